"""Two runs in one figure: a panel for each configuration, a line for each run."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from tune_app.report.figures.captions import set_caption
from tune_app.report.figures.legends import add_legend
from tune_app.report.figures.lines import draw_curve
from tune_app.report.figures.looks import COLOURS
from tune_app.report.figures.panels import label_outside, new_page, set_title
from tune_app.report.figures.scales import (
    ACCURACY,
    PRUNED,
    scale_percent,
    scale_sparsity,
)
from tune_app.results.curves import Point, Statistic
from tune_app.words import plural

_MAX_PANELS = 24


def draw_two_runs(
    names: tuple[str, str],
    curves: Mapping[str, tuple[Mapping[int, Point], Mapping[int, Point]]],
) -> Figure:
    """Test accuracy over sparsity.

    Args:
        names: of the runs.
        curves: of both, by round, by configuration; at least one.
    """
    shown = dict(list(curves.items())[:_MAX_PANELS])
    figure, [(panels, corner)] = new_page([len(shown)])
    drawn: list[Statistic | None] = []
    for axes, (what, pair) in zip(panels, shown.items(), strict=True):
        set_title(axes, panels, what)
        for name, points, colour, marker in zip(names, pair, COLOURS, "os", strict=False):
            drawn += draw_curve(axes, points, points, label=name, color=colour, marker=marker)
    there = (point for pair in shown.values() for points in pair for point in points.values())
    scale_sparsity(panels, 0, max(point.sparsity for point in there))
    scale_percent(panels, drawn)
    label_outside(panels, PRUNED, ACCURACY)
    add_legend(corner, panels)
    left_out = len(curves) - len(shown)
    more = f" {plural(left_out, 'configuration')} more are not drawn." if left_out else ""
    set_caption(figure, [f"Mean ± sample standard deviation over seeds of each run.{more}"])
    return figure
