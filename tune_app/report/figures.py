"""The paper's figures, drawn from the results of one sweep.

Each function takes the sweep, its results and the commit they were made at (None if unknown) and
returns a figure that belongs to no window and no global state: any thread may draw, without a
display.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lt_core.config import Recipe
from tune_app.report.panels import (
    BAND,
    FAINT_BAND,
    GREY,
    SMALL,
    TEXT,
    WIDTH,
    add_caption,
    add_legend,
    add_split_legend,
    draw_curve,
    draw_line,
    draw_thin_line,
    label_outside,
    new_axes,
    new_corner,
    new_page,
    scale_percent,
    scale_sparsity,
    set_title,
)
from tune_app.results.curves import (
    Means,
    Results,
    Statistic,
    comparisons,
    density,
    how_sparse,
    lpr_pairs,
    percent_pruned,
)
from tune_app.results.result import CurveKey
from tune_app.results.words import KIND_NAMES, short, varied_fields
from tune_app.sweep.sweep import Sweep

# Okabe and Ito's colours without the yellow, which print loses. With seven colours and eight
# markers, 56 looks differ in at least one of the two.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")
_LINES = ("-", "--", ":", "-.")

_KIND_LOOKS = {
    "lottery": {"color": _COLOURS[0], "marker": "o"},
    "preserve_lpr": {"color": _COLOURS[1], "marker": "s"},
    "global_random": {"color": GREY, "marker": "^"},
    "reinit": {"color": _COLOURS[2], "marker": "D"},
}

_PRUNED, _ACCURACY = "fraction of weights pruned", "test accuracy (%)"

_MAX_LPR_PANELS = 4
_MAX_IN_ONE = 25  # curves


class NotDrawn(ValueError):
    """The sweep, or what there is of its results, has nothing for this figure to show."""


def fig1(sweep: Sweep, results: Results, commit: str | None) -> Figure:
    """Coupled runs, a panel per H: lottery tickets against random masks.

    Raises:
        NotDrawn: no H is in both search spaces, or none of those has results.
    """
    means, varied = results.means, varied_fields(sweep)
    evals = sweep.eval_recipes
    coupled = [recipe for recipe in sweep.find_recipes if recipe in evals]
    if not coupled:
        raise NotDrawn("no H is in both search spaces")

    figure, [(panels, corner)] = new_page([len(coupled)])
    last = sweep.eval_rounds[-1]
    shown = []
    for axes, recipe in zip(panels, coupled, strict=True):
        set_title(axes, panels, short(recipe, varied))
        for kind in ("lottery", *sweep.baselines):
            find = None if kind == "global_random" else recipe
            points = means.get(CurveKey(kind, find, recipe), {})
            rounds = range(last + 1) if kind == "lottery" else sweep.eval_rounds
            shown += draw_curve(axes, points, rounds, label=KIND_NAMES[kind], **_KIND_LOOKS[kind])
    _scale(panels, shown, means)
    add_legend(corner, panels)
    about = "Coupled runs, found and trained at the same H; every configuration is shown."
    add_caption(figure, sweep, commit, about, shown, sweep.baselines)
    return figure


def fig2(sweep: Sweep, results: Results, commit: str | None) -> Figure:
    """Every H_find with every H_eval: a panel per H_eval, and again a panel per H_find.

    Raises:
        NotDrawn: the grid is one configuration, or none has results.
    """
    means, varied = results.means, varied_fields(sweep)
    finds, evals = sweep.find_recipes, sweep.eval_recipes
    looks = _looks([*finds, *evals])
    by_eval, by_find = (("eval", evals), ("find", finds)), (("find", finds), ("eval", evals))
    # What a family's panels fix and what its curves vary; one curve alone would compare nothing.
    families = [family for family in (by_eval, by_find) if len(family[1][1]) > 1]
    if not families:
        raise NotDrawn("the grid is one configuration, so nothing to compare")

    figure, pages = new_page([len(recipes) for (_, recipes), _ in families])
    everywhere = [axes for panels, _ in pages for axes in panels]
    shown, random = [], []
    for ((stage, fixed), (other, varying)), (panels, corner) in zip(families, pages, strict=True):
        for axes, recipe in zip(panels, fixed, strict=True):
            set_title(axes, everywhere, short(recipe, varied, stage))
            for curve in varying:
                find, eval_ = (curve, recipe) if stage == "eval" else (recipe, curve)
                points = means.get(CurveKey("lottery", find, eval_), {})
                name, look = short(curve, varied, other), looks[curve]
                shown += draw_curve(axes, points, sweep.eval_rounds, label=name, **look)
            if stage == "eval":
                random += _draw_random(axes, sweep, means, recipe)
        add_legend(corner, panels)
    floor = _scale(everywhere, shown, means)
    about = "Tickets found at H_find and trained at H_eval; every configuration is shown."
    about += _left_panel(random, floor)
    add_caption(figure, sweep, commit, about, [*shown, *random], ["global_random"] * bool(random))
    return figure


def fig_a3(sweep: Sweep, results: Results, commit: str | None) -> Figure:
    """Every H_find with every H_eval in one panel.

    Raises:
        NotDrawn: there are no results of pruned networks.
    """
    means, varied = results.means, varied_fields(sweep)
    finds, evals = sweep.find_recipes, sweep.eval_recipes
    looks, styles = _looks(finds), _styles(evals)
    # Many bands on top of each other hide the curves.
    band = BAND if len(finds) * len(evals) <= 4 else FAINT_BAND

    figure, [(panels, corner)] = new_page([1])
    shown, random = [], []
    for eval_, style in zip(evals, styles, strict=True):
        for find in finds:
            points = means.get(CurveKey("lottery", find, eval_), {})
            name = f"{short(find, varied, 'find')}, {short(eval_, varied, 'eval')}"
            look = looks[find] | style
            shown += draw_curve(*panels, points, sweep.eval_rounds, band, label=name, **look)
        random += _draw_random(*panels, sweep, means, eval_, style["linestyle"])
    floor = _scale(panels, shown, means)
    found_at = {short(find, varied): looks[find]["color"] for find in finds}
    if random:
        found_at[KIND_NAMES["global_random"]] = GREY
    trained_at = dict(zip((short(eval_, varied) for eval_ in evals), styles, strict=True))
    add_split_legend(corner, "found at", found_at, "trained at", trained_at)
    about = "Every H_find (colour) with every H_eval (marker and line)."
    about += _left_panel(random, floor)
    add_caption(figure, sweep, commit, about, [*shown, *random], ["global_random"] * bool(random))
    return figure


def fig3(sweep: Sweep, results: Results, commit: str | None) -> Figure:
    """The best coupled against the best decoupled configuration, and below which they are.

    Raises:
        NotDrawn: the grid has no coupled or no decoupled configuration, or is complete nowhere.
    """
    finds, evals = sweep.find_recipes, sweep.eval_recipes
    if not any(find in evals for find in finds):
        raise NotDrawn("no H is in both search spaces, so there is no coupled configuration")
    if all(find == eval_ for find in finds for eval_ in evals):
        raise NotDrawn("the grid is one coupled configuration")
    means = results.means
    pairs = comparisons(sweep, means)
    if not pairs:
        raise NotDrawn("there is no sparsity yet at which every configuration has results")
    sparsities = [coupled.point.sparsity for coupled, _ in pairs]

    varied = varied_fields(sweep)
    names = list(dict.fromkeys(short(recipe, varied) for recipe in [*finds, *evals]))
    strip = 0.2 * len(names) + 0.2  # inches
    figure = Figure(figsize=(5.5, 2.4 + strip), layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=(1, 0.01), height_ratios=(2.2, strip))
    top, bottom = (new_axes(figure, grid[row, 0]) for row in (0, 1))
    ring, dot = (
        {"marker": "o", "markersize": 7, "fillstyle": "none"},
        {"marker": ".", "markersize": 7},
    )
    # A little to each side, or what both chose would lie on top of each other.
    aside = (1.2 * density(min(sparsities)) / density(max(sparsities))) ** 0.007
    shown = []
    for i, (name, shift) in enumerate((("coupled", aside), ("decoupled", 1 / aside))):
        chosen = [pair[i] for pair in pairs]
        points = {cell.point.round: cell.point for cell in chosen}
        look = {"color": _COLOURS[i], "marker": _MARKERS[i]}
        shown += draw_curve(top, points, points, label=f"best {name}", **look)
        for cell in chosen:
            x = density(cell.point.sparsity) * shift
            find, eval_ = (names.index(short(recipe, varied)) for recipe in (cell.find, cell.eval))
            bottom.plot([x, x], [find, eval_], color=_COLOURS[i], linewidth=1)
            bottom.plot(x, find, color=_COLOURS[i], **ring)
            bottom.plot(x, eval_, color=_COLOURS[i], **dot)
    for name, mark in (("its H_find", ring), ("its H_eval", dot)):
        bottom.plot([], [], color=GREY, linestyle="", label=name, **mark)
    bottom.set_yticks(range(len(names)), names)
    bottom.set_ylim(len(names) - 0.5, -0.5)
    scale_percent([top], shown)
    scale_sparsity([top, bottom], min(sparsities), max(sparsities))
    top.tick_params(labelbottom=False)
    top.set_ylabel(_ACCURACY, fontsize=TEXT)
    bottom.set_xlabel(_PRUNED, fontsize=TEXT)
    for row, axes in enumerate((top, bottom)):
        add_legend(new_corner(figure, grid[row, 1]), [axes])
    about = (
        f"Best coupled (H_find = H_eval) and best decoupled (H_find ≠ H_eval) configuration at "
        f"each sparsity, chosen on {sweep.select_on} accuracy."
    )
    left_out = [r for r in sweep.eval_rounds[1:] if r not in {c.point.round for c, _ in pairs}]
    if left_out:
        at = ", ".join(how_sparse(means, round) for round in left_out)
        about += f" Not compared at {at}: not every configuration has results there."
    add_caption(figure, sweep, commit, about, shown)
    return figure


def fig6(sweep: Sweep, results: Results, commit: str | None) -> Figure:
    """The fraction pruned of each layer, a panel per sparsity and a curve per H_find.

    Raises:
        NotDrawn: there are no tickets yet.
    """
    # A mask is the same whatever trains it: each seed counts once.
    lprs: dict[tuple[Recipe, int], dict[int, Mapping[str, float]]] = defaultdict(dict)
    sparsities = {}
    for result in results:
        if result.kind == "lottery" and result.round > 0:
            lprs[result.find, result.round][result.seed] = result.lpr
            sparsities[result.round] = result.sparsity
    rounds = _late(sorted(sparsities.keys() & set(sweep.eval_rounds)))
    if not rounds:
        raise NotDrawn("there are no tickets yet at an evaluated sparsity")

    varied, finds = varied_fields(sweep), sweep.find_recipes
    looks = _looks([*finds, *sweep.eval_recipes])
    layers = list(next(iter(next(iter(lprs.values())).values())))
    places = range(len(layers))
    width = min(max(WIDTH, 0.12 * len(layers)), 8)
    figure, [(panels, corner)] = new_page([len(rounds)], width, max(1, int(8.8 / width)))
    shown = []
    for axes, round in zip(panels, rounds, strict=True):
        set_title(axes, panels, f"{percent_pruned(sparsities[round])} pruned")
        axes.axhline(100 * sparsities[round], color=GREY, linewidth=0.6, label="whole network")
        for find in finds:
            of_seeds = lprs.get((find, round), {}).values()
            means = [Statistic.of([lpr[layer] for lpr in of_seeds]) for layer in layers if of_seeds]
            shown += means or [None] * len(layers)
            if means:
                name, look = short(find, varied, "find"), looks[find]
                draw_line(axes, places, means, label=name, **look)
    add_legend(corner, panels)
    scale_percent(panels, shown)
    every = math.ceil(0.12 * len(layers) / width)
    for axes in panels:
        axes.set_xticks(places[::every], layers[::every], rotation=90, fontsize=SMALL)
    label_outside(panels, "layer, from input to output", "pruned of the layer (%)")
    figure.set_figheight(figure.get_figheight() + 0.06 * max(map(len, layers)))
    about = "The fraction pruned of each layer, in the tickets of every H_find."
    add_caption(figure, sweep, commit, about, shown)
    return figure


def fig7(sweep: Sweep, results: Results, commit: str | None) -> Figure:
    """LPR-constrained pruning beside the regular tickets: a panel per H_eval.

    Raises:
        NotDrawn: there are too many H_find, or no results of pruned networks.
    """
    means, varied = results.means, varied_fields(sweep)
    finds, evals = sweep.find_recipes, sweep.eval_recipes
    sources = [None, *sweep.lpr_sources]
    if len(finds) > len(_COLOURS) or len(sources) > len(_MARKERS):
        raise NotDrawn(f"the curves of {len(finds)} H_find cannot be told apart")
    looks, styles = _looks(finds), _styles(sources)

    figure, [(panels, corner)] = new_page([len(evals)])
    shown = []
    for axes, eval_ in zip(panels, evals, strict=True):
        set_title(axes, panels, short(eval_, varied, "eval"))
        for find, source in [*((find, None) for find in finds), *lpr_pairs(sweep)]:
            kind, name = "lottery", short(find, varied, "find")
            if source:
                kind, name = "lpr_constrained", f"{name}, LPR of {short(source, varied)}"
            points = means.get(CurveKey(kind, find, eval_, source), {})
            look = looks[find] | styles[sources.index(source)]
            shown += draw_curve(axes, points, sweep.eval_rounds, label=name, **look)
    _scale(panels, shown, means)
    within = {short(find, varied): looks[find]["color"] for find in finds}
    names = ["the same", *(short(source, varied) for source in sources[1:])]
    lpr_of = dict(zip(names, styles, strict=True))
    add_split_legend(corner, "within layers by", within, "LPR of", lpr_of)
    about = (
        "LPR-constrained pruning: one H_find chooses the weights within each layer (colour), the "
        "chain of another says how many (marker and line); for regular tickets both are the same."
    )
    add_caption(figure, sweep, commit, about, shown)
    return figure


def fig9(sweep: Sweep, results: Results, commit: str | None) -> Figure:
    """Early pruning: a panel per H_eval, a curve per H_find that begins with its own dense network.

    Raises:
        NotDrawn: there are no results of pruned networks.
    """
    means, dense, varied = results.means, results.dense, varied_fields(sweep)
    finds, evals = sweep.find_recipes, sweep.eval_recipes
    looks = _looks([*finds, *evals])

    figure, [(panels, corner)] = new_page([len(evals)])
    shown = []
    for axes, eval_ in zip(panels, evals, strict=True):
        set_title(axes, panels, short(eval_, varied, "eval"))
        for find in finds:
            tickets = means.get(CurveKey("lottery", find, eval_), {})
            points = {round: point for round, point in tickets.items() if round > 0}
            if points and find in dense:
                points[0] = dense[find]
            name, look = short(find, varied, "find"), looks[find]
            shown += draw_curve(axes, points, sweep.eval_rounds, label=name, **look)
    _scale(panels, shown, means)
    add_legend(corner, panels)
    about = (
        "Tickets found at H_find and trained at H_eval. The points at 0 are dense networks trained "
        "at H_find, for as long as its chains train before they prune."
    )
    add_caption(figure, sweep, commit, about, shown)
    return figure


def _scale(panels: Sequence[Axes], shown: Sequence[Statistic | None], means: Means) -> float:
    """Scale and label panels of accuracy over sparsity; returns the lower end of y, in percent.

    Raises:
        NotDrawn: nothing is shown.
    """
    if not any(shown):
        raise NotDrawn("there are no results of pruned networks yet")
    reached = max(point.sparsity for points in means.values() for point in points.values())
    scale_sparsity(panels, 0, reached)
    label_outside(panels, _PRUNED, _ACCURACY)
    return scale_percent(panels, shown)


def _late(rounds: Sequence[int]) -> list[int]:
    """At most four rounds, evenly spread over the later half of the prunings, with the last."""
    late = [round for round in rounds if 2 * round >= rounds[-1]]
    if len(late) <= _MAX_LPR_PANELS:
        return late
    step = (len(late) - 1) / (_MAX_LPR_PANELS - 1)
    return [late[int(i * step + 0.5)] for i in range(_MAX_LPR_PANELS)]


def _looks(recipes: Iterable[Recipe]) -> dict[Recipe, dict[str, str]]:
    """One colour and marker per H, the same in every figure of a sweep."""
    return {
        recipe: {"color": _COLOURS[i % len(_COLOURS)], "marker": _MARKERS[i % len(_MARKERS)]}
        for i, recipe in enumerate(dict.fromkeys(recipes))
    }


def _styles(items: Sequence[Any]) -> list[dict[str, str]]:
    """A marker and line for each, to go with the colour of something else."""
    return [
        {"marker": marker, "linestyle": _LINES[i % len(_LINES)]}
        for i, (_, marker) in enumerate(zip(items, _MARKERS, strict=False))
    ]


def _draw_random(
    axes: Axes, sweep: Sweep, means: Means, eval_: Recipe, style: str = "--"
) -> list[Statistic | None]:
    """Global random masks, if they are a baseline, to compare with."""
    if "global_random" not in sweep.baselines:
        return []
    points = means.get(CurveKey("global_random", None, eval_), {})
    return draw_thin_line(axes, points, sweep.eval_rounds, KIND_NAMES["global_random"], style)


def _left_panel(random: Iterable[Statistic | None], floor: float) -> str:
    if any(statistic and 100 * statistic.mean < floor for statistic in random):
        return " Where random masks are worse than all tickets, their line leaves the panel."
    return ""


class PaperFigure(NamedTuple):
    draw: Callable[[Sweep, Results, str | None], Figure]
    title: str
    is_asked: Callable[[Sweep], bool]
    """Whether a sweep asks for it; what its results allow, `draw` knows."""


def _always(sweep: Sweep) -> bool:
    return True


def _fits_in_one(sweep: Sweep) -> bool:
    finds, evals = len(sweep.find_recipes), len(sweep.eval_recipes)
    told_apart = 1 < finds <= len(_COLOURS) and 1 < evals <= len(_MARKERS)
    return told_apart and finds * evals <= _MAX_IN_ONE


def _finds_lprs(sweep: Sweep) -> bool:
    """Otherwise the sweep file gives the LPR."""
    return sweep.prune.strategy == "global_magnitude"


def _takes_lprs(sweep: Sweep) -> bool:
    return bool(lpr_pairs(sweep))


def _stops_early(sweep: Sweep) -> bool:
    return len({recipe.stop for recipe in sweep.find_recipes}) > 1


FIGURES = {
    "fig1": PaperFigure(fig1, "Coupled runs: lottery tickets against baselines", _always),
    "fig2": PaperFigure(fig2, "Every H_find with every H_eval", _always),
    "figA3": PaperFigure(fig_a3, "Every H_find with every H_eval, all in one", _fits_in_one),
    "fig3": PaperFigure(fig3, "The best coupled against the best decoupled configuration", _always),
    "fig6": PaperFigure(fig6, "The fraction pruned of each layer", _finds_lprs),
    "fig7": PaperFigure(fig7, "The LPR of one H_find, the weights of another", _takes_lprs),
    "fig9": PaperFigure(fig9, "Pruned before convergence", _stops_early),
}
"""By name; in the order of a report."""
