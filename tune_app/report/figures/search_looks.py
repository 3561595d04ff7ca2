"""Shared by the figures of a search: looks of samples, the lower end of values, captions."""

import statistics
from collections.abc import Sequence

from matplotlib.figure import Figure

from tune_app.report.figures.captions import set_caption
from tune_app.report.figures.looks import COLOURS
from tune_app.report.figures.not_drawn import NotDrawn
from tune_app.report.search_words import complete, sparsities
from tune_app.results.method import method
from tune_app.search.samples import Sample, Samples
from tune_app.sweep.sweep import Sweep

# By whether a sample is coupled. Colours as in fig3.
SAMPLE_COLOURS = {True: COLOURS[0], False: COLOURS[1]}
SAMPLE_MARKERS = {True: "s", False: "o"}
SAMPLE_NAMES = {True: "coupled", False: "decoupled"}


def shown_samples(samples: Samples) -> list[Sample]:
    """The samples with a final value.

    Raises:
        NotDrawn: there are none.
    """
    shown = complete(samples)
    if not shown:
        raise NotDrawn("no sample is complete")
    return shown


def lower_end(values: Sequence[float]) -> float:
    """The lower end of a scale: the lowest value, but no further below the median than the highest
    is above it. Next to a diverged sample all others would look alike.
    """
    return max(min(values), 2 * statistics.median(values) - max(values))


def add_search_caption(figure: Figure, sweep: Sweep, commit: str | None, about: str) -> None:
    """The caption of a figure of a search."""
    sentences = [
        about,
        *method(sweep),
        f"{sweep.model} on {sweep.dataset}; validation accuracy is the mean over seeds "
        f"(n\u00a0=\u00a0{len(sweep.seeds)}) {sparsities(sweep)}; commit {commit or 'unknown'}.",
    ]
    set_caption(figure, sentences)
