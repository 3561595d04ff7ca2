"""The paper's figures, drawn from the results of one sweep.

Each function takes the sweep, its results and the commit they were made at (None if unknown) and
returns a figure that belongs to no window and no global state: any thread may draw, without a
display.
"""

import math
import re
import string
import textwrap
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from tune_app.curves import (
    KIND_NAMES,
    Point,
    Result,
    Statistic,
    as_json,
    canonical,
    comparisons,
    density,
    mean_curves,
    percent_pruned,
    short,
    varied_fields,
)
from tune_app.spec import Sweep

# Okabe and Ito's colours without the yellow, which print loses. With seven colours and eight
# markers, 56 looks differ in at least one of the two.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")
_GREY = "#777777"

_KIND_LOOKS = {
    "lottery": {"color": _COLOURS[0], "marker": "o"},
    "preserve_lpr": {"color": _COLOURS[1], "marker": "s"},
    "global_random": {"color": _GREY, "marker": "^"},
}

_PRUNED, _ACCURACY = "fraction of weights pruned", "test accuracy (%)"

_TEXT, _SMALL = 8, 6.5  # points
_WIDTH, _HEIGHT = 2.2, 1.8  # inches of a panel with its labels
_MAX_COLUMNS = 4
_MAX_LPR_PANELS = 4


class NotDrawn(ValueError):
    """The sweep, or what there is of its results, has nothing for this figure to show."""


def fig1(sweep: Sweep, results: Sequence[Result], commit: str | None) -> Figure:
    """Coupled runs, a panel per H: lottery tickets against random masks.

    Raises:
        NotDrawn: no H is in both search spaces, or none of those has results.
    """
    means, varied = mean_curves(results), varied_fields(sweep)
    evals = as_json(sweep.eval_recipes)
    coupled = [recipe for recipe in as_json(sweep.find_recipes) if recipe in evals]
    if not coupled:
        raise NotDrawn("no H is in both search spaces")

    figure, [(panels, corner)] = _page([len(coupled)])
    last = sweep.eval_rounds[-1]
    shown = []
    for axes, recipe in zip(panels, coupled, strict=True):
        _title(axes, panels, short(recipe, varied))
        for kind in ("lottery", *sweep.baselines):
            find = None if kind == "global_random" else recipe
            points = means.get((kind, canonical(find), canonical(recipe)), {})
            rounds = range(last + 1) if kind == "lottery" else sweep.eval_rounds
            shown += _curve(axes, points, rounds, label=KIND_NAMES[kind], **_KIND_LOOKS[kind])
    _require(shown)
    _percent_axes(panels, shown)
    _sparsity_axes(panels, 0, sweep.prune.sparsity(last))
    _outer_labels(panels, _PRUNED, _ACCURACY)
    _legend(corner, panels)
    about = "Coupled runs, found and trained at the same H; every configuration is shown."
    _caption(figure, sweep, commit, about, shown)
    return figure


def fig2(sweep: Sweep, results: Sequence[Result], commit: str | None) -> Figure:
    """Every H_find with every H_eval: a panel per H_eval, and again a panel per H_find.

    Raises:
        NotDrawn: the grid is one configuration, or none has results.
    """
    means, varied = mean_curves(results), varied_fields(sweep)
    finds, evals = as_json(sweep.find_recipes), as_json(sweep.eval_recipes)
    looks = _looks([*finds, *evals])
    by_eval, by_find = (("eval", evals), ("find", finds)), (("find", finds), ("eval", evals))
    # What a family's panels fix and what its curves vary; one curve alone would compare nothing.
    families = [family for family in (by_eval, by_find) if len(family[1][1]) > 1]
    if not families:
        raise NotDrawn("the grid is one configuration, so nothing to compare")

    figure, pages = _page([len(recipes) for (_, recipes), _ in families])
    everywhere = [axes for panels, _ in pages for axes in panels]
    shown, random = [], []
    for ((stage, fixed), (other, varying)), (panels, corner) in zip(families, pages, strict=True):
        for axes, recipe in zip(panels, fixed, strict=True):
            _title(axes, everywhere, short(recipe, varied, stage))
            for curve in varying:
                find, eval_ = (curve, recipe) if stage == "eval" else (recipe, curve)
                points = means.get(("lottery", canonical(find), canonical(eval_)), {})
                name, look = short(curve, varied, other), looks[canonical(curve)]
                shown += _curve(axes, points, sweep.eval_rounds, label=name, **look)
            if stage == "eval" and "global_random" in sweep.baselines:
                points = means.get(("global_random", "null", canonical(recipe)), {})
                random += _thin_line(axes, points, sweep.eval_rounds, KIND_NAMES["global_random"])
        _legend(corner, panels)
    _require(shown)
    floor = _percent_axes(everywhere, shown)
    _sparsity_axes(everywhere, 0, sweep.prune.sparsity(sweep.eval_rounds[-1]))
    _outer_labels(everywhere, _PRUNED, _ACCURACY)
    about = "Tickets found at H_find and trained at H_eval; every configuration is shown."
    if any(statistic and 100 * statistic.mean < floor for statistic in random):
        about += " Where random masks are worse than all tickets, their line leaves the panel."
    _caption(figure, sweep, commit, about, [*shown, *random])
    return figure


def fig3(sweep: Sweep, results: Sequence[Result], commit: str | None) -> Figure:
    """The best coupled against the best decoupled configuration, and below which they are.

    Raises:
        NotDrawn: the grid has no coupled or no decoupled configuration, or is complete nowhere.
    """
    finds, evals = as_json(sweep.find_recipes), as_json(sweep.eval_recipes)
    if not any(find in evals for find in finds):
        raise NotDrawn("no H is in both search spaces, so there is no coupled configuration")
    if all(find == eval_ for find in finds for eval_ in evals):
        raise NotDrawn("the grid is one coupled configuration")
    pairs = comparisons(sweep, mean_curves(results))
    if not pairs:
        raise NotDrawn("there is no sparsity yet at which every configuration has results")
    sparsities = [coupled.point.sparsity for coupled, _ in pairs]

    varied = varied_fields(sweep)
    names = list(dict.fromkeys(short(recipe, varied) for recipe in [*finds, *evals]))
    strip = 0.2 * len(names) + 0.2  # inches
    figure = Figure(figsize=(5.5, 2.4 + strip), layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=(1, 0.01), height_ratios=(2.2, strip))
    top, bottom = (_axes(figure, grid[row, 0]) for row in (0, 1))
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
        shown += _curve(top, points, points, label=f"best {name}", **look)
        for cell in chosen:
            x = density(cell.point.sparsity) * shift
            find, eval_ = (names.index(short(recipe, varied)) for recipe in (cell.find, cell.eval))
            bottom.plot([x, x], [find, eval_], color=_COLOURS[i], linewidth=1)
            bottom.plot(x, find, color=_COLOURS[i], **ring)
            bottom.plot(x, eval_, color=_COLOURS[i], **dot)
    for name, mark in (("its H_find", ring), ("its H_eval", dot)):
        bottom.plot([], [], color=_GREY, linestyle="", label=name, **mark)
    bottom.set_yticks(range(len(names)), names)
    bottom.set_ylim(len(names) - 0.5, -0.5)
    _percent_axes([top], shown)
    _sparsity_axes([top, bottom], min(sparsities), max(sparsities))
    top.tick_params(labelbottom=False)
    top.set_ylabel(_ACCURACY, fontsize=_TEXT)
    bottom.set_xlabel(_PRUNED, fontsize=_TEXT)
    for row, axes in enumerate((top, bottom)):
        _legend(_corner(figure, grid[row, 1]), [axes])
    about = (
        f"Best coupled (H_find = H_eval) and best decoupled (H_find ≠ H_eval) configuration at "
        f"each sparsity, chosen on {sweep.select_on} accuracy."
    )
    left_out = [r for r in sweep.eval_rounds[1:] if r not in {c.point.round for c, _ in pairs}]
    if left_out:
        at = ", ".join(percent_pruned(sweep, round) for round in left_out)
        about += f" Not compared at {at}: not every configuration has results there."
    _caption(figure, sweep, commit, about, shown)
    return figure


def fig6(sweep: Sweep, results: Sequence[Result], commit: str | None) -> Figure:
    """The fraction pruned of each layer, a panel per sparsity and a curve per H_find.

    Raises:
        NotDrawn: there are no tickets yet.
    """
    # A mask is the same whatever trains it: each seed counts once.
    lprs: dict[tuple[str, int], dict[int, Mapping[str, float]]] = defaultdict(dict)
    sparsities = {}
    for result in results:
        if result["kind"] == "lottery" and result["round"] > 0:
            lprs[canonical(result["find"]), result["round"]][result["seed"]] = result["lpr"]
            sparsities[result["round"]] = result["sparsity"]
    rounds = _late(sorted(sparsities.keys() & set(sweep.eval_rounds)))
    if not rounds:
        raise NotDrawn("there are no tickets yet at an evaluated sparsity")

    varied, finds = varied_fields(sweep), as_json(sweep.find_recipes)
    looks = _looks([*finds, *as_json(sweep.eval_recipes)])
    layers = list(next(iter(next(iter(lprs.values())).values())))
    places = range(len(layers))
    width = min(max(_WIDTH, 0.12 * len(layers)), 8)
    figure, [(panels, corner)] = _page([len(rounds)], width, max(1, int(8.8 / width)))
    shown = []
    for axes, round in zip(panels, rounds, strict=True):
        _title(axes, panels, f"{percent_pruned(sweep, round)} pruned")
        axes.axhline(100 * sparsities[round], color=_GREY, linewidth=0.6, label="whole network")
        for find in finds:
            of_seeds = lprs.get((canonical(find), round), {}).values()
            means = [Statistic.of([lpr[layer] for lpr in of_seeds]) for layer in layers if of_seeds]
            shown += means or [None] * len(layers)
            if means:
                name, look = short(find, varied, "find"), looks[canonical(find)]
                _line(axes, places, means, label=name, **look)
    _legend(corner, panels)
    _percent_axes(panels, shown)
    every = math.ceil(0.12 * len(layers) / width)
    for axes in panels:
        axes.set_xticks(places[::every], layers[::every], rotation=90, fontsize=_SMALL)
    _outer_labels(panels, "layer, from input to output", "pruned of the layer (%)")
    figure.set_figheight(figure.get_figheight() + 0.06 * max(map(len, layers)))
    about = "The fraction pruned of each layer, in the tickets of every H_find."
    _caption(figure, sweep, commit, about, shown)
    return figure


def _require(shown: Iterable[Statistic | None]) -> None:
    if not any(shown):
        raise NotDrawn("there are no results of pruned networks yet")


def _late(rounds: Sequence[int]) -> list[int]:
    """At most four rounds, evenly spread over the later half of the prunings, with the last."""
    late = [round for round in rounds if 2 * round >= rounds[-1]]
    if len(late) <= _MAX_LPR_PANELS:
        return late
    step = (len(late) - 1) / (_MAX_LPR_PANELS - 1)
    return [late[int(i * step + 0.5)] for i in range(_MAX_LPR_PANELS)]


def _looks(recipes: Iterable[Result]) -> dict[str, dict[str, str]]:
    """One colour and marker per H, the same in every figure of a sweep."""
    keys = dict.fromkeys(map(canonical, recipes))
    return {
        key: {"color": _COLOURS[i % len(_COLOURS)], "marker": _MARKERS[i % len(_MARKERS)]}
        for i, key in enumerate(keys)
    }


def _page(
    families: Sequence[int], width: float = _WIDTH, max_columns: int = _MAX_COLUMNS
) -> tuple[Figure, list[tuple[list[Axes], Axes]]]:
    """A figure of panels that share their axes; each family has its own rows and legend corner."""
    rows = [math.ceil(size / max_columns) for size in families]
    across = [math.ceil(size / deep) for size, deep in zip(families, rows, strict=True)]
    figure = Figure(figsize=(max(across) * width + 1.4, sum(rows) * _HEIGHT), layout="constrained")
    ratios = [1.0] * max(across) + [0.01]
    grid = figure.add_gridspec(sum(rows), len(ratios), width_ratios=ratios)
    pages, first, top = [], None, 0
    for size, deep, columns in zip(families, rows, across, strict=True):
        panels = []
        for i in range(size):
            place = grid[top + i // columns, i % columns]
            panels.append(_axes(figure, place, sharex=first, sharey=first))
            first = first or panels[0]
        pages.append((panels, _corner(figure, grid[top : top + deep, -1])))
        top += deep
    return figure, pages


def _axes(figure: Figure, place: SubplotSpec, **shared: Axes | None) -> Axes:
    axes = figure.add_subplot(place, **shared)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=_SMALL, width=0.6, length=2.5)
    axes.grid(axis="y", color="#DDDDDD", linewidth=0.5)
    axes.set_axisbelow(True)
    return axes


def _corner(figure: Figure, place: SubplotSpec) -> Axes:
    axes = figure.add_subplot(place)
    axes.set_axis_off()
    return axes


def _title(axes: Axes, panels: Sequence[Axes], text: str) -> None:
    letter = f"({string.ascii_lowercase[panels.index(axes)]})  " if 1 < len(panels) <= 26 else ""
    parts = text.split(", ")  # two fit into the width of a panel
    lines = (", ".join(parts[i : i + 2]) for i in range(0, len(parts), 2))
    axes.set_title(letter + _subscripts(",\n".join(lines)), fontsize=_TEXT, loc="left")


def _subscripts(text: str) -> str:
    return re.sub(r"_(find|eval)\b", r"$_\\mathrm{\1}$", text)


def _curve(
    axes: Axes, points: Mapping[int, Point], rounds: Iterable[int], **look: str
) -> list[Statistic | None]:
    """Draw the rounds that are there; returns the test accuracies of all, None where missing."""
    there = [points[round] for round in rounds if round in points]
    _line(
        axes, [density(point.sparsity) for point in there], [point.test for point in there], **look
    )
    return [points[round].test if round in points else None for round in rounds]


def _line(axes: Axes, x: Sequence[float], y: Sequence[Statistic], **look: str) -> None:
    """Mean ± standard deviation, in percent; one seed has a mean only."""
    mean = [100 * statistic.mean for statistic in y]
    std = [100 * statistic.std for statistic in y]
    axes.plot(x, mean, linewidth=1.1, markersize=3.2, markeredgewidth=0, **look)
    if len(y) == 1:  # a band would have no width
        axes.errorbar(x, mean, std, color=look["color"], linewidth=0.8, capsize=2)
    else:
        low, high = ([m + sign * s for m, s in zip(mean, std, strict=True)] for sign in (-1, 1))
        axes.fill_between(x, low, high, color=look["color"], alpha=0.15, linewidth=0)


def _thin_line(
    axes: Axes, points: Mapping[int, Point], rounds: Iterable[int], label: str
) -> list[Statistic | None]:
    """The same without markers and deviations, for what is only there to compare with."""
    there = [points[round] for round in rounds if round in points]
    x, y = [density(point.sparsity) for point in there], [100 * point.test.mean for point in there]
    axes.plot(x, y, "--", color=_GREY, linewidth=0.8, label=label)
    return [points[round].test if round in points else None for round in rounds]


def _percent_axes(panels: Sequence[Axes], shown: Iterable[Statistic | None]) -> float:
    """Fit y to means and deviations; returns its lower end, in percent."""
    there = [statistic for statistic in shown if statistic]
    spread = [0 if statistic.n == 1 else statistic.std for statistic in there]
    low = 100 * min(statistic.mean - std for statistic, std in zip(there, spread, strict=True))
    high = 100 * max(statistic.mean + std for statistic, std in zip(there, spread, strict=True))
    high = min(high, 100)
    margin = 0.05 * max(high - low, 1)
    for axes in panels:
        axes.set_ylim(low - margin, high + margin)
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    return low - margin


def _sparsity_axes(panels: Sequence[Axes], low: float, high: float) -> None:
    """x is the fraction pruned, spaced by log density so that what lies past 0.9 can be read."""
    thinnest, densest = density(high), density(low)
    ticks = [1.0, *(digit * 10.0**-power for power in range(1, 7) for digit in (5, 2, 1))]
    if thinnest > 0.3:
        ticks = [1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4]
    ticks = [tick for tick in ticks if 0.97 * thinnest <= tick <= 1.03 * densest]
    if len(ticks) > 7:
        ticks = [tick for tick in ticks if f"{tick:e}"[0] == "1"]
    if len(ticks) < 2:
        ticks = sorted({float(f"{tick:.2g}") for tick in (thinnest, densest)})
    margin = 1.1 * (densest / thinnest) ** 0.02
    for axes in panels:
        axes.set_xscale("log")
        axes.set_xlim(densest * margin, thinnest / margin)
        axes.xaxis.set_major_locator(FixedLocator(ticks))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda tick, _: f"{1 - tick:.6g}"))


def _outer_labels(panels: Sequence[Axes], x: str, y: str) -> None:
    """Label the left and the lowest panels only."""
    for axes in panels:
        place = axes.get_subplotspec()
        below = [p for p in panels if p.get_subplotspec().colspan == place.colspan]
        lowest = all(p.get_subplotspec().rowspan.start <= place.rowspan.start for p in below)
        axes.tick_params(labelleft=place.colspan.start == 0, labelbottom=lowest)
        if lowest:
            axes.set_xlabel(x, fontsize=_TEXT)
        if place.colspan.start == 0:
            axes.set_ylabel(y, fontsize=_TEXT)


def _legend(corner: Axes, panels: Sequence[Axes]) -> None:
    """Every curve of the panels once, beside them."""
    handles = {}
    for axes in panels:
        for handle, name in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(_subscripts(name), handle)
    corner.legend(
        handles.values(),
        handles.keys(),
        loc="upper left",
        bbox_to_anchor=(0, 1),
        fontsize=_SMALL,
        frameon=False,
        borderaxespad=0,
    )


def _caption(
    figure: Figure,
    sweep: Sweep,
    commit: str | None,
    about: str,
    shown: Sequence[Statistic | None],
) -> None:
    counts = sorted({statistic.n for statistic in shown if statistic})
    n = " to ".join(map(str, dict.fromkeys((counts[0], counts[-1]))))
    spread = " ± sample standard deviation" if counts[-1] > 1 else ""
    parts = [
        about,
        f"{sweep.model} on {sweep.dataset}; mean{spread} over seeds, n\u00a0=\u00a0{n}; "
        f"commit {commit or 'unknown'}.",
    ]
    none = sum(statistic is None for statistic in shown)
    fewer = sum(statistic is not None and statistic.n < len(sweep.seeds) for statistic in shown)
    if none or fewer:
        parts.append(
            f"Incomplete: of {len(shown)} points {none} are missing and {fewer} have fewer than "
            f"{len(sweep.seeds)} seeds."
        )
    width, height = figure.get_size_inches()
    lines = textwrap.wrap(" ".join(parts), int(width * 19))
    figure.supxlabel("\n".join(lines), x=0.01, ha="left", fontsize=_SMALL, color="#444444")
    figure.set_size_inches(width, height + 0.13 * len(lines))
