"""Curves of accuracy over sparsity: means with their deviations, in percent."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from tune_app.report.figures.panels import GREY
from tune_app.results.curves import Point, Statistic, density

BAND, FAINT_BAND = 0.15, 0.05
"""Opacities of the deviations."""


def draw_curve(
    axes: Axes,
    points: Mapping[int, Point],
    rounds: Iterable[int],
    band: float = BAND,
    **look: Any,
) -> list[Statistic | None]:
    """A curve through the rounds with points.

    Returns:
        The test accuracy of each of `rounds`, None where it has no point.
    """
    there = [points[round] for round in rounds if round in points]
    x = [density(point.sparsity) for point in there]
    draw_line(axes, x, [point.test for point in there], band, **look)
    return [points[round].test if round in points else None for round in rounds]


def draw_line(
    axes: Axes, x: Sequence[float], y: Sequence[Statistic], band: float = BAND, **look: Any
) -> None:
    """Means ± standard deviations, in percent, within 0 and 100; a single seed has a mean only.

    `band` is the opacity of the deviations.
    """
    mean = 100 * np.array([statistic.mean for statistic in y])
    std = 100 * np.array([statistic.std for statistic in y])
    low, high = np.clip(mean - std, 0, 100), np.clip(mean + std, 0, 100)
    axes.plot(x, mean, linewidth=1.1, markersize=3.2, markeredgewidth=0, **look)
    if len(y) == 1:  # a band would have no width
        axes.errorbar(
            x, mean, [mean - low, high - mean], color=look["color"], linewidth=0.8, capsize=2
        )
    else:
        axes.fill_between(x, low, high, color=look["color"], alpha=band, linewidth=0)


def draw_thin_line(
    axes: Axes, points: Mapping[int, Point], rounds: Iterable[int], label: str, style: str = "--"
) -> list[Statistic | None]:
    """A curve without markers and deviations, for a baseline. Returns what `draw_curve` does."""
    there = [points[round] for round in rounds if round in points]
    x, y = [density(point.sparsity) for point in there], [100 * point.test.mean for point in there]
    axes.plot(x, y, linestyle=style, color=GREY, linewidth=0.8, label=label)
    return [points[round].test if round in points else None for round in rounds]
