"""H_find and H_eval of a search's samples as a map of their accuracy."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from tune_app.report.figures.legends import add_legend
from tune_app.report.figures.panels import GREY, SMALL, TEXT, new_page, subscripts
from tune_app.report.figures.recipe_axis import recipe_axis
from tune_app.report.figures.search_looks import (
    SAMPLE_COLOURS,
    SAMPLE_MARKERS,
    SAMPLE_NAMES,
    add_search_caption,
    lower_end,
    shown_samples,
)
from tune_app.report.importances import Unknown, importances
from tune_app.report.search_words import counts, points
from tune_app.results.words import field_name
from tune_app.search.ranking import rank
from tune_app.search.samples import Sample, Samples
from tune_app.sweep.sweep import Sweep

_DOT: dict[str, Any] = {
    "linestyle": "",
    "markersize": 4.5,
    "markeredgecolor": "#333333",
    "markeredgewidth": 0.4,
}


def heat_map(sweep: Sweep, samples: Samples, commit: str | None) -> Figure:
    """H_find × H_eval: the value of every sample, by the most important field of each.

    Raises:
        NotDrawn: no sample is complete.
    """
    shown = shown_samples(samples)
    (find, evaluated), how_chosen = _fields(sweep, samples)
    x, y = recipe_axis(sweep, shown, find), recipe_axis(sweep, shown, evaluated)
    figure, [([axes], corner)] = new_page([1])
    axes.grid(False)
    x.apply(axes.xaxis, axes.set_xlim)
    y.apply(axes.yaxis, axes.set_ylim)
    axes.set_xlabel(subscripts(field_name(find, "find")), fontsize=TEXT)
    axes.set_ylabel(subscripts(field_name(evaluated, "eval")), fontsize=TEXT)
    if find == evaluated:
        axes.plot(x.ends, x.ends, color=GREY, linestyle="--", linewidth=0.8, label="coupled")

    def place(sample: Sample) -> tuple[float, float]:
        pair = sample.configuration
        return x.place(getattr(pair.find, find)), y.place(getattr(pair.eval, evaluated))

    values = [sample.known_value for sample in shown]
    floor, top = lower_end(values), max(values)
    colours = ScalarMappable(Normalize(100 * floor, 100 * max(top, floor + 0.001)), "viridis")
    _draw_samples(axes, shown, place, colours)
    _draw_best(axes, sweep, samples, place)
    is_cut = min(values) < floor
    bar = figure.colorbar(colours, ax=axes, extend="min" if is_cut else "neither", pad=0.02)
    bar.ax.tick_params(labelsize=SMALL, width=0.6, length=2.5)
    bar.set_label("validation accuracy (%)", fontsize=TEXT)
    bar.outline.set_linewidth(0.6)
    add_legend(corner, [axes])
    about = (
        f"The mean validation accuracy of every configuration; {counts(samples)}.{how_chosen} "
        "Rings: the best by posterior mean ± its deviation."
    )
    if is_cut:
        about += f" Below {100 * floor:.1f}% all look alike."
    add_search_caption(figure, sweep, commit, about)
    return figure


def _draw_samples(
    axes: Axes,
    samples: Sequence[Sample],
    place: Callable[[Sample], tuple[float, float]],
    colours: ScalarMappable,
) -> None:
    """A dot for each sample."""
    for sample in sorted(samples, key=lambda sample: sample.known_value):  # the best on top
        marker = SAMPLE_MARKERS[sample.configuration.coupled]
        colour = colours.to_rgba(np.array(100 * sample.known_value))
        axes.plot(*place(sample), marker=marker, color=colour, **_DOT)


def _draw_best(
    axes: Axes, sweep: Sweep, samples: Samples, place: Callable[[Sample], tuple[float, float]]
) -> None:
    """A ring around the best coupled and the best decoupled sample."""
    ranking = rank(sweep, samples.judged)
    for coupled, size in ((False, 9), (True, 11)):
        if top_of_kind := ranking.best(coupled):
            name, marker = SAMPLE_NAMES[coupled], SAMPLE_MARKERS[coupled]
            [expected] = ranking.expected([top_of_kind.configuration])
            axes.plot([], [], marker=marker, color="white", label=f"{name} sample", **_DOT)
            axes.plot(
                *place(top_of_kind),
                linestyle="",
                marker=marker,
                markersize=size,
                fillstyle="none",
                markeredgewidth=1.4,
                color=SAMPLE_COLOURS[coupled],
                label=f"best {name}, {points(expected)}%",
            )


def _fields(sweep: Sweep, samples: Samples) -> tuple[tuple[str, str], str]:
    """The fields of H_find and of H_eval on the axes, and a sentence on their choice, if any.

    A stage that varies nothing has the field of the other one, in which its coupled samples differ.
    """
    varied = [sweep.find.varied, sweep.eval.varied]
    how = ""
    try:
        shares, _ = importances(sweep, samples)
    except Unknown:
        shares = {}
    shown: list[str] = []
    for stage, fields in zip(("find", "eval"), varied, strict=True):
        most = max(fields, key=lambda field: shares.get(f"{stage}.{field}", 0.0), default="")
        shown.append(most)
    if max(map(len, varied)) > 1:
        which = "the most important" if shares else "the first"
        how = f" Where several fields vary, {which} one is shown."
    find, evaluated = shown
    return (find or evaluated, evaluated or find), how
