"""The axes of accuracy and of sparsity."""

from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from tune_app.report.figures.not_drawn import NotDrawn
from tune_app.report.figures.panels import label_outside
from tune_app.results.curves import Means, Statistic, density

PRUNED = "fraction of weights pruned\n(log scale of what is left)"
ACCURACY = "test accuracy (%)"
"""The labels of the two axes."""


def scale_accuracy_over_sparsity(
    panels: Sequence[Axes], shown: Sequence[Statistic | None], means: Means
) -> float:
    """Scales and labels of accuracy over sparsity; returns the lower end of y, in percent.

    Raises:
        NotDrawn: nothing is shown.
    """
    if not any(shown):
        raise NotDrawn("there are no results of pruned networks yet")
    reached = max(point.sparsity for points in means.values() for point in points.values())
    scale_sparsity(panels, 0, reached)
    label_outside(panels, PRUNED, ACCURACY)
    return scale_percent(panels, shown)


def scale_percent(panels: Sequence[Axes], shown: Iterable[Statistic | None]) -> float:
    """Limits of y around means and deviations; returns the lower one, in percent."""
    there = [statistic for statistic in shown if statistic]
    spread = [0 if statistic.n == 1 else statistic.std for statistic in there]
    low = 100 * min(statistic.mean - std for statistic, std in zip(there, spread, strict=True))
    high = 100 * max(statistic.mean + std for statistic, std in zip(there, spread, strict=True))
    low, high = max(low, 0), min(high, 100)
    margin = 0.05 * max(high - low, 1)
    for axes in panels:
        axes.set_ylim(low - margin, high + margin)
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    return low - margin


def scale_sparsity(panels: Sequence[Axes], low: float, high: float) -> None:
    """The fraction pruned as x, spaced by log density so that high sparsities can be read."""
    _scale_left(panels, "x", density(low), density(high), lambda left: f"{1 - left:.6g}")


def scale_layers(panels: Sequence[Axes], low: float, high: float) -> None:
    """The percentage pruned of a layer as y, spaced like the fraction pruned."""
    _scale_left(panels, "y", density(low), density(high), lambda left: f"{100 * (1 - left):.6g}")


def scale_left(panels: Sequence[Axes], left: Iterable[float]) -> None:
    """The fraction left as x, falling to the right, in percent."""
    there = sorted(left)
    _scale_left(panels, "x", there[-1], there[0], lambda left: f"{100 * left:.6g}")


def _scale_left(
    panels: Sequence[Axes],
    which: Literal["x", "y"],
    densest: float,
    thinnest: float,
    name: Callable[[float], str],
) -> None:
    """An axis of what is left, on a log scale from the most to the least."""
    ticks = [1.0, *(digit * 10.0**-power for power in range(1, 7) for digit in (5, 2, 1))]
    if thinnest > 0.25:
        ticks = [1, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3]
    ticks = [tick for tick in ticks if 0.97 * thinnest <= tick <= 1.03 * densest]
    if len(ticks) > 7:
        ticks = [tick for tick in ticks if f"{tick:e}"[0] == "1"]
    if len(ticks) < 2:
        ticks = sorted({float(f"{tick:.2g}") for tick in (thinnest, densest)})
    margin = 1.1 * (densest / thinnest) ** 0.02
    for axes in panels:
        limits = (densest * margin, thinnest / margin)
        axes.set(**{f"{which}scale": "log", f"{which}lim": limits})
        axis: Axis = getattr(axes, f"{which}axis")
        axis.set_major_locator(FixedLocator(ticks))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda tick, _: name(tick)))
