"""The best coupled and the best decoupled configuration at each sparsity."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lt_core.config import Recipe
from tune_app.report.figures.captions import add_caption
from tune_app.report.figures.legends import add_legend
from tune_app.report.figures.lines import draw_curve
from tune_app.report.figures.looks import COLOURS, MARKERS
from tune_app.report.figures.not_drawn import NotDrawn
from tune_app.report.figures.panels import GREY, TEXT, new_axes, new_corner
from tune_app.report.figures.readable import MOST
from tune_app.report.figures.scales import ACCURACY, PRUNED, scale_percent, scale_sparsity
from tune_app.results.curves import Cell, Results, Statistic, comparisons, density, how_sparse
from tune_app.results.words import short, varied_fields
from tune_app.sweep.sweep import Sweep

_RING: dict[str, Any] = {"marker": "o", "markersize": 7, "fillstyle": "none"}
_DOT: dict[str, Any] = {"marker": ".", "markersize": 7}


def fig3(sweep: Sweep, results: Results, commit: str | None) -> Figure:
    """Accuracy of the best coupled and the best decoupled configuration; below it, their H.

    Raises:
        NotDrawn: the grid has no coupled or no decoupled configuration, or is complete nowhere.
    """
    pairs = _pairs(sweep, results)
    sparsities = [coupled.point.sparsity for coupled, _ in pairs]
    recipes, varied = [*sweep.find_recipes, *sweep.eval_recipes], varied_fields(sweep)
    if len(recipes) > 2 * MOST:
        chosen_ones = {r for pair in pairs for cell in pair for r in (cell.find, cell.eval)}
        recipes = [recipe for recipe in recipes if recipe in chosen_ones]
    names = list(dict.fromkeys(short(recipe, varied) for recipe in _in_order(recipes, varied)))
    strip = 0.2 * len(names) + 0.2  # inches
    figure = Figure(figsize=(5.5, 2.4 + strip), layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=(1, 0.01), height_ratios=(2.2, strip))
    top, bottom = (new_axes(figure, grid[row, 0]) for row in (0, 1))
    # Coupled to the left, decoupled to the right by a little: equal choices would overlap.
    aside = (1.2 * density(min(sparsities)) / density(max(sparsities))) ** 0.007
    shown: list[Statistic | None] = []
    for i, (name, shift) in enumerate((("coupled", aside), ("decoupled", 1 / aside))):
        chosen = [pair[i] for pair in pairs]
        points = {cell.point.round: cell.point for cell in chosen}
        look: dict[str, Any] = {"color": COLOURS[i], "marker": MARKERS[i]}
        shown += draw_curve(top, points, points, label=f"best {name}", **look)
        places = [
            [names.index(short(recipe, varied)) for recipe in (cell.find, cell.eval)]
            for cell in chosen
        ]
        at = [density(cell.point.sparsity) * shift for cell in chosen]
        _draw_recipes(bottom, at, places, COLOURS[i])
    for name, mark in (("its H_find", _RING), ("its H_eval", _DOT)):
        bottom.plot([], [], color=GREY, linestyle="", label=name, **mark)
    bottom.set_yticks(range(len(names)), names)
    bottom.set_ylim(-0.5, len(names) - 0.5)
    scale_percent([top], shown)
    scale_sparsity([top, bottom], min(sparsities), max(sparsities))
    top.tick_params(labelbottom=False)
    top.set_ylabel(ACCURACY, fontsize=TEXT)
    bottom.set_xlabel(PRUNED, fontsize=TEXT)
    for row, axes in enumerate((top, bottom)):
        add_legend(new_corner(figure, grid[row, 1]), [axes])
    add_caption(figure, sweep, commit, _about(sweep, results, pairs), shown)
    return figure


def _in_order(recipes: Sequence[Recipe], varied: Sequence[str]) -> list[Recipe]:
    """By their numbers, so that these grow upwards; what is no number keeps its place."""
    ranks = {}
    for field in varied:
        values = list(dict.fromkeys(getattr(recipe, field) for recipe in recipes))
        if all(isinstance(value, int | float) for value in values):
            values.sort()
        ranks[field] = values
    return sorted(recipes, key=lambda r: [ranks[f].index(getattr(r, f)) for f in varied])


def _pairs(sweep: Sweep, results: Results) -> list[tuple[Cell, Cell]]:
    finds, evals = sweep.find_recipes, sweep.eval_recipes
    if not any(find in evals for find in finds):
        raise NotDrawn("no H is in both search spaces, so there is no coupled configuration")
    if all(find == eval_ for find in finds for eval_ in evals):
        raise NotDrawn("the grid is one coupled configuration")
    pairs = comparisons(sweep, results.means)
    if not pairs:
        raise NotDrawn("there is no sparsity yet at which every configuration has results")
    return pairs


def _draw_recipes(
    axes: Axes, at: Sequence[float], places: Sequence[Sequence[int]], colour: str
) -> None:
    """A ring at H_find and a dot at H_eval, joined by a line, for each place of x."""
    for x, (find, eval_) in zip(at, places, strict=True):
        axes.plot([x, x], [find, eval_], color=colour, linewidth=1)
        axes.plot(x, find, color=colour, **_RING)
        axes.plot(x, eval_, color=colour, **_DOT)


def _about(sweep: Sweep, results: Results, pairs: Sequence[tuple[Cell, Cell]]) -> str:
    about = (
        f"Best coupled (H_find = H_eval) and best decoupled (H_find ≠ H_eval) configuration at "
        f"each sparsity, chosen on {sweep.select_on} accuracy."
    )
    compared = {coupled.point.round for coupled, _ in pairs}
    left_out = [round for round in sweep.eval_rounds[1:] if round not in compared]
    if left_out:
        at = ", ".join(how_sparse(results.means, round) for round in left_out)
        about += f" Not compared at {at}: not every configuration has results there."
    return about
