"""The best accuracy that a search has found so far, against trainings done."""

import itertools
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tune_app.report.figures.legends import add_legend
from tune_app.report.figures.panels import TEXT, new_page
from tune_app.report.figures.search_looks import (
    SAMPLE_COLOURS,
    SAMPLE_MARKERS,
    SAMPLE_NAMES,
    add_search_caption,
    lower_end,
    shown_samples,
)
from tune_app.report.search_words import counts
from tune_app.search.samples import Sample, Samples
from tune_app.sweep.sweep import Sweep


def draw_search(sweep: Sweep, samples: Samples, commit: str | None) -> Figure:
    """The best validation accuracy so far, coupled and decoupled, against trainings done.

    Samples below the scale are triangles at its edge.

    Raises:
        NotDrawn: no sample is complete.
    """
    drawn = shown_samples(samples)
    values = [sample.known_value for sample in drawn]
    floor, top = lower_end(values), max(values)
    last = max(samples.spent[0], 1)
    figure, [([axes], corner)] = new_page([1])
    for coupled in (False, True):
        of_kind = [s for s in drawn if s.configuration.coupled == coupled]
        name = SAMPLE_NAMES[coupled]
        look: dict[str, Any] = {"color": SAMPLE_COLOURS[coupled]}
        if not of_kind:
            continue
        x, y = steps(of_kind)
        axes.step([*x, last], [*y, y[-1]], where="post", linewidth=1.3, **look)
        axes.plot([], [], linewidth=1.3, label=f"best {name} so far", **look)
        dots = {"linestyle": "", "markersize": 3.5, "markeredgewidth": 0, "alpha": 0.5, **look}
        inside = [s for s in of_kind if s.known_value >= floor]
        places = ([s.trainings for s in inside], [100 * s.known_value for s in inside])
        axes.plot(*places, marker=SAMPLE_MARKERS[coupled], label=f"{name} sample", **dots)
        below = [s.trainings for s in of_kind if s.known_value < floor]
        at_the_edge = axes.get_xaxis_transform()
        axes.plot(below, [0.015] * len(below), marker="v", transform=at_the_edge, **dots)
    margin = 0.05 * max(top - floor, 0.01)
    axes.set_ylim(100 * (floor - 2 * margin), 100 * (top + margin))
    axes.set_xlim(-0.02 * last, 1.02 * last)
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10], integer=True))
    axes.set_xlabel("trainings done", fontsize=TEXT)
    axes.set_ylabel("validation accuracy (%)", fontsize=TEXT)
    add_legend(corner, [axes])
    about = f"Each configuration, at the trainings done by its end; {counts(samples)}."
    if num_below := sum(sample.known_value < floor for sample in drawn):
        about += f" Triangles at the lower edge: {num_below} below it."
    add_search_caption(figure, sweep, commit, about)
    return figure


def steps(samples: Sequence[Sample]) -> tuple[list[int], list[float]]:
    """Trainings done at the end of each sample, and the best accuracy by then, in percent."""
    in_order = sorted(samples, key=lambda sample: sample.trainings)
    values = itertools.accumulate((100 * sample.known_value for sample in in_order), max)
    return [sample.trainings for sample in in_order], list(values)
