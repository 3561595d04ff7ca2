"""Layerwise pruning ratios (LPR): those of the tickets, and masks that take them from others."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from lt_core.config import Recipe
from tune_app.report.figures.captions import add_caption
from tune_app.report.figures.legends import add_legend, add_split_legend
from tune_app.report.figures.lines import draw_curve, draw_line
from tune_app.report.figures.looks import COLOURS, MARKERS, recipe_looks, styles_of
from tune_app.report.figures.not_drawn import NotDrawn
from tune_app.report.figures.panels import (
    GREY,
    SMALL,
    WIDTH,
    label_outside,
    new_page,
    set_title,
)
from tune_app.report.figures.scales import scale_accuracy_over_sparsity, scale_percent
from tune_app.results.curves import Results, Statistic, lpr_pairs, percent_pruned
from tune_app.results.result import CurveKey
from tune_app.results.words import short, varied_fields
from tune_app.sweep.kinds import Kind
from tune_app.sweep.sweep import Sweep

_MAX_LPR_PANELS = 4


def fig6(sweep: Sweep, results: Results, commit: str | None) -> Figure:
    """The fraction pruned of each layer, a panel per sparsity and a curve per H_find.

    Raises:
        NotDrawn: there are no tickets yet.
    """
    # One LPR per seed: the same mask has results at every H_eval.
    lprs: dict[tuple[Recipe | None, int], dict[int, Mapping[str, float]]] = defaultdict(dict)
    sparsities = {}
    for result in results:
        if result.kind == "lottery" and result.round > 0:
            lprs[result.find, result.round][result.seed] = result.lpr
            sparsities[result.round] = result.sparsity
    rounds = _late(sorted(sparsities.keys() & set(sweep.eval_rounds)))
    if not rounds:
        raise NotDrawn("there are no tickets yet at an evaluated sparsity")

    varied, finds = varied_fields(sweep), sweep.find_recipes
    looks = recipe_looks([*finds, *sweep.eval_recipes])
    layers = list(next(iter(next(iter(lprs.values())).values())))
    places = range(len(layers))
    width = min(max(WIDTH, 0.12 * len(layers)), 8)
    figure, [(panels, corner)] = new_page([len(rounds)], width, max(1, int(8.8 / width)))
    shown: list[Statistic | None] = []
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
    sources: list[Recipe | None] = [None, *sweep.lpr_sources]
    if len(finds) > len(COLOURS) or len(sources) > len(MARKERS):
        raise NotDrawn(f"the curves of {len(finds)} H_find cannot be told apart")
    looks, styles = recipe_looks(finds), styles_of(sources)

    figure, [(panels, corner)] = new_page([len(evals)])
    shown: list[Statistic | None] = []
    for axes, eval_ in zip(panels, evals, strict=True):
        set_title(axes, panels, short(eval_, varied, "eval"))
        for find, source in [*((find, None) for find in finds), *lpr_pairs(sweep)]:
            name = short(find, varied, "find")
            if source:
                name += f", LPR of {short(source, varied)}"
            kind: Kind = "lpr_constrained" if source else "lottery"
            points = means.get(CurveKey(kind, find, eval_, source), {})
            look = looks[find] | styles[sources.index(source)]
            shown += draw_curve(axes, points, sweep.eval_rounds, label=name, **look)
    scale_accuracy_over_sparsity(panels, shown, means)
    within = {short(find, varied): looks[find]["color"] for find in finds}
    names = ["the same", *(short(source, varied) for source in sweep.lpr_sources)]
    lpr_of = dict(zip(names, styles, strict=True))
    add_split_legend(corner, "within layers by", within, "LPR of", lpr_of)
    about = (
        "LPR-constrained pruning: one H_find chooses the weights within each layer (colour), the "
        "chain of another says how many (marker and line); for regular tickets both are the same."
    )
    add_caption(figure, sweep, commit, about, shown)
    return figure


def _late(rounds: Sequence[int]) -> list[int]:
    """At most four rounds, evenly spread over the later half of the prunings, with the last."""
    late = [round for round in rounds if 2 * round >= rounds[-1]]
    if len(late) <= _MAX_LPR_PANELS:
        return late
    step = (len(late) - 1) / (_MAX_LPR_PANELS - 1)
    return [late[int(i * step + 0.5)] for i in range(_MAX_LPR_PANELS)]
