"""The same tickets over what they cost: weights, multiply-adds, live weights, bytes."""

from collections import defaultdict
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lt_core.config import Recipe
from tune_app.report.figures.captions import add_caption
from tune_app.report.figures.legends import add_legend
from tune_app.report.figures.lines import FAINT_BAND, draw_line
from tune_app.report.figures.looks import recipe_looks
from tune_app.report.figures.not_drawn import NotDrawn
from tune_app.report.figures.panels import label_outside, new_page, set_title
from tune_app.report.figures.scales import ACCURACY, scale_left, scale_percent
from tune_app.results.costs import AXES, Axis, mean_left
from tune_app.results.curves import Means, Point, Results, Statistic, best, cells
from tune_app.results.result import CurveKey
from tune_app.results.words import short, varied_fields
from tune_app.sweep.sweep import Sweep
from tune_app.words import plural

_SAME = 0.02
"""Relative difference up to which two costs are one."""


def fig_costs(sweep: Sweep, results: Results, commit: str | None) -> Figure:
    """Accuracy over each cost that tells masks apart: a curve per H_find, at its best H_eval.

    Raises:
        NotDrawn: costs are not known, or are the same for all masks of a round.
    """
    means, varied = results.means, varied_fields(sweep)
    chosen = {find: _best_eval(sweep, means, find) for find in sweep.find_recipes}
    curves = {
        find: [points[round] for round in sweep.eval_rounds[1:] if round in points]
        for find, eval_ in chosen.items()
        if eval_ and (points := means.get(CurveKey("lottery", find, eval_), {}))
    }
    every = [point for curve in curves.values() for point in curve]
    if not every:
        raise NotDrawn("there are no results of pruned networks yet")
    lacking = sum(mean_left(point.results, "macs") is None for point in every)
    if lacking:
        raise NotDrawn(f"at {lacking} of {plural(len(every), 'point')} costs are not counted")
    axes_of = [axis for axis in AXES if axis == "weights" or _tells_apart(every, axis)]
    if axes_of == ["weights"]:
        raise NotDrawn("tickets of one sparsity cost the same")

    looks = recipe_looks(sweep.find_recipes)
    figure, [(panels, corner)] = new_page([len(axes_of)])
    shown: list[Statistic | None] = []
    for axes, axis in zip(panels, axes_of, strict=True):
        set_title(axes, panels, AXES[axis])
        for find, curve in curves.items():
            eval_ = chosen[find]
            assert eval_ is not None  # only those have a curve
            name = short(find, varied)
            if len(varied) == 1:  # of more, there would be no room for the panels
                name += f" → {short(eval_, varied)}"
            _draw(axes, curve, axis, label=name, **looks[find])
        shown += [point.test for point in every]
    scale_percent(panels, shown)
    left = [x for axis in axes_of for point in every if (x := _x(point, axis))]
    scale_left(panels, left)
    label_outside(panels, "left, % of the dense network\n(log scale)", ACCURACY)
    add_legend(corner, panels)
    about = (
        f"Tickets of each H_find, trained at the H_eval that is best for it on {sweep.select_on} "
        "accuracy at the highest sparsity, over what is left of the dense network."
    )
    add_caption(figure, sweep, commit, about, [point.test for point in every])
    return figure


def _best_eval(sweep: Sweep, means: Means, find: Recipe) -> Recipe | None:
    for round in reversed(sweep.eval_rounds[1:]):
        found = [cell for cell in cells(sweep, means, round) if cell.find == find]
        if found:
            return best(sweep, found).eval
    return None


def _x(point: Point, axis: Axis) -> float | None:
    left = mean_left(point.results, axis)
    return None if left is None else left.mean


def _tells_apart(points: list[Point], axis: Axis) -> bool:
    """Whether masks of one round differ in a cost."""
    by_round: dict[int, list[float]] = defaultdict(list)
    for point in points:
        if x := _x(point, axis):
            by_round[point.round].append(x)
    return any(max(left) / min(left) - 1 > _SAME for left in by_round.values())


def _draw(axes: Axes, curve: list[Point], axis: Axis, **look: Any) -> None:
    there = [(x, point.test) for point in curve if (x := _x(point, axis))]
    draw_line(axes, [x for x, _ in there], [test for _, test in there], FAINT_BAND, **look)
