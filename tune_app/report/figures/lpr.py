"""Layerwise pruning ratios (LPR): those of the tickets, and masks that take them from others."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lt_core.config import Recipe
from tune_app.report.figures.captions import add_caption
from tune_app.report.figures.legends import add_legend, add_split_legend
from tune_app.report.figures.lines import BAND, draw_curve
from tune_app.report.figures.looks import COLOURS, MARKERS, recipe_looks, styles_of
from tune_app.report.figures.not_drawn import NotDrawn
from tune_app.report.figures.panels import (
    GREY,
    SMALL,
    TEXT,
    label_outside,
    new_page,
    set_title,
)
from tune_app.report.figures.scales import scale_accuracy_over_sparsity, scale_layers
from tune_app.results.curves import Results, Statistic, density, lpr_pairs, percent_pruned
from tune_app.results.result import CurveKey
from tune_app.results.words import short, varied_fields
from tune_app.sweep.kinds import Kind
from tune_app.sweep.sweep import Sweep

_MAX_LPR_PANELS = 4
_LPR_WIDTH, _LPR_HEIGHT = 4.0, 1.3  # inches of such a panel


def fig6(sweep: Sweep, results: Results, commit: str | None) -> Figure:
    """The fraction pruned of each layer, a panel per sparsity and a curve per H_find; on a scale of
    what is left, on which layers that are nearly empty differ.

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

    layers = list(next(iter(next(iter(lprs.values())).values())))
    pruned = {
        place: [Statistic.of([lpr[layer] for lpr in of_seeds.values()]) for layer in layers]
        for place, of_seeds in lprs.items()
    }
    drawn = [pruned.get((find, round)) for round in rounds for find in sweep.find_recipes]
    nothing: list[Statistic | None] = [None] * len(layers)
    shown = [layer for means in drawn for layer in means or nothing]
    of_all = [layer.mean for layer in shown if layer]
    edge = 1 - density(max((mean for mean in of_all if mean < 1), default=0.5)) / 2

    varied, looks = varied_fields(sweep), recipe_looks([*sweep.find_recipes, *sweep.eval_recipes])
    width = min(max(_LPR_WIDTH, 0.12 * len(layers)), 8)
    # One column: the names of the layers, which are long, are there once.
    figure, [(panels, corner)] = new_page([len(rounds)], width, max_columns=1)
    for axes, round in zip(panels, rounds, strict=True):
        set_title(axes, panels, f"{percent_pruned(sparsities[round])} pruned")
        axes.axhline(density(sparsities[round]), color=GREY, linewidth=0.6, label="whole network")
        for find in sweep.find_recipes:
            if (find, round) in pruned:
                name = short(find, varied, "find")
                _draw_layers(axes, pruned[find, round], edge, label=name, **looks[find])
    add_legend(corner, panels)
    scale_layers(panels, min(of_all), edge)
    every = math.ceil(0.12 * len(layers) / width)
    for axes in panels:
        axes.set_xticks(range(0, len(layers), every), layers[::every], rotation=90, fontsize=SMALL)
    label_outside(panels, "layer, from input to output", "")
    figure.supylabel("pruned of the layer, % (log scale of what is left)", fontsize=TEXT)
    figure.set_figheight(_LPR_HEIGHT * len(rounds) + 0.3 + 0.06 * max(map(len, layers)))
    about = "The fraction pruned of each layer, in the tickets of every H_find."
    if max(of_all) == 1:
        about += " Triangles at the upper edge: nothing is left of the layer in any seed."
    add_caption(figure, sweep, commit, about, shown)
    return figure


def _draw_layers(axes: Axes, pruned: Sequence[Statistic], edge: float, **look: Any) -> None:
    """What is left of each layer, with its deviation; at the fraction `edge` where nothing is."""
    mean = np.array([layer.mean for layer in pruned])
    std = np.array([layer.std for layer in pruned])
    places = np.arange(len(pruned))
    middle, low, high = (1 - np.clip(p, 0, edge) for p in (mean, mean - std, mean + std))
    axes.plot(places, middle, linewidth=1.1, markersize=3.2, markeredgewidth=0, **look)
    axes.fill_between(places, low, high, color=look["color"], alpha=BAND, linewidth=0)
    for place in places[mean == 1]:
        axes.plot(place, 1 - edge, "^", color=look["color"], markersize=5, clip_on=False)


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
