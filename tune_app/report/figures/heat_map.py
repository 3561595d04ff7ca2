"""What a search tells of every pair of H_find and H_eval, as a map, and how surely."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tune_app.report.figures.legends import add_legend
from tune_app.report.figures.panels import (
    GREY,
    SMALL,
    TEXT,
    label_outside,
    new_page,
    set_title,
    subscripts,
)
from tune_app.report.figures.recipe_axis import RecipeAxis, recipe_axis
from tune_app.report.figures.search_looks import (
    SAMPLE_COLOURS,
    SAMPLE_MARKERS,
    SAMPLE_NAMES,
    add_search_caption,
    lower_end,
    shown_samples,
)
from tune_app.report.importances import Unknown, importances
from tune_app.report.search_words import counts, place, points
from tune_app.results.words import field_name
from tune_app.search.chooser import Configuration
from tune_app.search.ranking import Ranking, rank
from tune_app.search.samples import Sample, Samples
from tune_app.sweep.sweep import Sweep

_NUM_PLACES = 33
"""Of a field of numbers."""

_DOT: dict[str, Any] = {
    "linestyle": "",
    "markersize": 4.5,
    "markeredgecolor": "#333333",
    "markeredgewidth": 0.4,
}


@dataclass(frozen=True)
class _Plane:
    """One field of H_find and one of H_eval, and the samples there."""

    fields: tuple[str, str]
    x: RecipeAxis
    y: RecipeAxis

    def place(self, pair: Configuration) -> tuple[float, float]:
        find, evaluated = self.fields
        return self.x.place(getattr(pair.find, find)), self.y.place(getattr(pair.eval, evaluated))

    def pairs(self, through: Configuration) -> list[list[Configuration]]:
        """The configurations of its cells, in rows; in all other fields as `through`."""
        find, evaluated = self.fields
        finds = [
            through.find.model_copy(update={find: value})
            for value in self.x.evenly(_NUM_PLACES, getattr(through.find, find))
        ]
        evals = [
            through.eval.model_copy(update={evaluated: value})
            for value in self.y.evenly(_NUM_PLACES, getattr(through.eval, evaluated))
        ]
        return [[Configuration(find, eval_) for find in finds] for eval_ in evals]


def heat_map(sweep: Sweep, samples: Samples, commit: str | None) -> Figure:
    """H_find × H_eval, by the most important field of each: the posterior mean with the value of
    every sample, and the mean's deviation.

    Raises:
        NotDrawn: no sample is complete.
    """
    shown = shown_samples(samples)
    fields, how_chosen = _fields(sweep, samples)
    plane = _Plane(fields, *(recipe_axis(sweep, shown, field) for field in fields))
    figure, [(panels, corner)] = new_page([2], width=3.3, height=2.9)
    x, y = (field_name(f, stage) for f, stage in zip(fields, ("find", "eval"), strict=True))
    plane.x.apply(panels[0].xaxis, panels[0].set_xlim)
    plane.y.apply(panels[0].yaxis, panels[0].set_ylim)
    label_outside(panels, subscripts(x), subscripts(y))
    for axes, title in zip(panels, ("expected accuracy", "its deviation"), strict=True):
        axes.grid(False)
        set_title(axes, panels, title)
        if fields[0] == fields[1]:
            ends = plane.x.ends
            axes.plot(ends, ends, color=GREY, linestyle="--", linewidth=0.8, label="coupled")

    ranking = rank(sweep, samples.judged)
    top = ranking.samples[0].configuration
    mean, deviation = _posterior(ranking, plane.pairs(top))
    values = [sample.known_value for sample in shown]
    floor, high = lower_end(values), max(values)
    is_cut = min(values) < floor or mean.min() < 100 * floor
    scale = Normalize(100 * floor, 100 * max(high, floor + 0.001))
    _draw_cells(panels[0], plane, mean, scale, "viridis", "validation accuracy (%)", is_cut)
    _draw_cells(panels[1], plane, deviation, Normalize(0), "Purples", "points", False)
    _draw_samples(panels[0], shown, plane.place, ScalarMappable(scale, "viridis"))
    at = np.array([plane.place(sample.configuration) for sample in shown])
    panels[1].plot(*at.T, ".", color="#333333", markersize=2)
    _draw_best(panels[0], ranking, plane.place)
    add_legend(corner, panels[:1])
    about = (
        f"Colours: the posterior mean over fresh seeds (a) and its deviation (b), with all other "
        f"fields as in the best: {place(sweep, top)}. Dots: the mean validation accuracy of every "
        f"configuration; {counts(samples)}.{how_chosen} Rings: the best by posterior mean ± its "
        "deviation."
    )
    if is_cut:
        about += f" Below {100 * floor:.1f}% all look alike."
    add_search_caption(figure, sweep, commit, about)
    return figure


def _posterior(
    ranking: Ranking, pairs: Sequence[Sequence[Configuration]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and deviation of rows of configurations, in points."""
    expected = ranking.expected([pair for row in pairs for pair in row])
    shape = len(pairs), len(pairs[0])
    mean = np.array([each.mean for each in expected]).reshape(shape)
    deviation = np.array([each.deviation for each in expected]).reshape(shape)
    return 100 * mean, 100 * deviation


def _draw_cells(
    axes: Axes,
    plane: _Plane,
    values: NDArray[np.float64],
    scale: Normalize,
    colours: str,
    name: str,
    is_cut: bool,
) -> None:
    """A colour for each cell, and the bar that tells what it says."""
    edges = plane.x.edges(_NUM_PLACES), plane.y.edges(_NUM_PLACES)
    cells = axes.pcolormesh(*edges, values, norm=scale, cmap=colours, rasterized=True, zorder=0)
    figure = axes.get_figure(root=True)
    assert figure is not None  # every panel is of one
    bar = figure.colorbar(cells, ax=axes, extend="min" if is_cut else "neither", pad=0.02)
    bar.ax.tick_params(labelsize=SMALL, width=0.6, length=2.5)
    bar.set_label(name, fontsize=TEXT)
    bar.outline.set_linewidth(0.6)


def _draw_samples(
    axes: Axes,
    samples: Sequence[Sample],
    place: Callable[[Configuration], tuple[float, float]],
    colours: ScalarMappable,
) -> None:
    """A dot for each sample."""
    for sample in sorted(samples, key=lambda sample: sample.known_value):  # the best on top
        marker = SAMPLE_MARKERS[sample.configuration.coupled]
        colour = colours.to_rgba(np.array(100 * sample.known_value))
        axes.plot(*place(sample.configuration), marker=marker, color=colour, **_DOT)


def _draw_best(
    axes: Axes, ranking: Ranking, place: Callable[[Configuration], tuple[float, float]]
) -> None:
    """A ring around the best coupled and the best decoupled sample."""
    for coupled, size in ((False, 9), (True, 11)):
        if top_of_kind := ranking.best(coupled):
            name, marker = SAMPLE_NAMES[coupled], SAMPLE_MARKERS[coupled]
            [expected] = ranking.expected([top_of_kind.configuration])
            axes.plot([], [], marker=marker, color="white", label=f"{name} sample", **_DOT)
            axes.plot(
                *place(top_of_kind.configuration),
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
