"""Slices of a search's posterior: what to expect along each searched field, and how surely."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tune_app.report.figures.panels import SMALL, TEXT, WIDTH, new_axes, subscripts
from tune_app.report.figures.recipe_axis import RecipeAxis, recipe_axis
from tune_app.report.figures.search_looks import (
    SAMPLE_COLOURS,
    SAMPLE_NAMES,
    add_search_caption,
    lower_end,
    shown_samples,
)
from tune_app.report.search_words import place
from tune_app.results.words import field_name
from tune_app.search.chooser import Configuration
from tune_app.search.ranking import Ranking, rank
from tune_app.search.samples import Samples
from tune_app.sweep.sweep import Sweep

_NUM_PLACES = 41


def draw_posterior(sweep: Sweep, samples: Samples, commit: str | None) -> Figure:
    """Expected accuracy along each searched field, through the best configurations.

    Numbers have a line and a band of two deviations, categories points with bars.

    Raises:
        NotDrawn: no sample is complete.
    """
    shown_samples(samples)
    ranking = rank(sweep, samples.judged)
    tops = [top for coupled in (False, True) if (top := ranking.best(coupled)) is not None]
    stages = [("find", sweep.find.varied), ("eval", sweep.eval.varied)]
    rows = [(stage, fields) for stage, fields in stages if fields]
    columns = max(len(fields) for _, fields in rows)
    figure = Figure(
        figsize=(max(1.1 * WIDTH * columns + 0.6, 4.5), 1.9 * len(rows)), layout="constrained"
    )
    grid = figure.add_gridspec(len(rows), columns)
    panels: list[Axes] = []
    for row, (stage, fields) in enumerate(rows):
        for column, field in enumerate(fields):
            shared = panels[0] if panels else None
            axes = new_axes(figure, grid[row, column], sharey=shared)
            panels.append(axes)
            axis = recipe_axis(sweep, shown_samples(samples), field)
            axis.apply(axes.xaxis, axes.set_xlim)
            axes.set_xlabel(subscripts(field_name(field, stage)), fontsize=TEXT)
            for top in tops:
                _draw_slice(axes, axis, ranking, top.configuration, (stage, field))
            axes.tick_params(labelleft=column == 0)
    values = [sample.known_value for sample in shown_samples(samples)]
    floor, highest = lower_end(values), max(values)
    margin = 0.2 * max(highest - floor, 0.01)
    panels[0].set_ylim(100 * (floor - margin), min(100 * (highest + margin), 100))
    panels[0].legend(fontsize=SMALL, frameon=False)
    figure.supylabel("expected validation accuracy (%)", fontsize=TEXT)
    through = "; ".join(
        f"{SAMPLE_NAMES[top.configuration.coupled]}, {place(sweep, top.configuration)}"
        for top in tops
    )
    about = (
        "Posterior mean over fresh seeds and two of its deviations, along each field with all "
        f"others as in the best configurations (dots): {through}. Along a field of a coupled one, "
        "its other stage stays as it is."
    )
    add_search_caption(figure, sweep, commit, about)
    return figure


def _draw_slice(
    axes: Axes, axis: RecipeAxis, ranking: Ranking, top: Configuration, along: tuple[str, str]
) -> None:
    stage, field = along
    values = axis.evenly(_NUM_PLACES, getattr(getattr(top, stage), field))
    recipe = getattr(top, stage)
    pairs = []
    for value in values:
        moved = recipe.model_copy(update={field: value})
        pairs.append(Configuration(*((moved, top.eval) if stage == "find" else (top.find, moved))))
    expected = ranking.expected(pairs)
    mean = 100 * np.array([each.mean for each in expected])
    low, high = np.clip(100 * np.array([each.within(2) for each in expected]), 0, 100).T
    aside = 0.0
    if axis.places is not None:  # or the bars of one would hide those of the other
        aside = -0.06 if top.coupled else 0.06
    x = [axis.place(value) + aside for value in values]
    colour, name = SAMPLE_COLOURS[top.coupled], f"best {SAMPLE_NAMES[top.coupled]}"
    if axis.places is None:
        axes.plot(x, mean, color=colour, linewidth=1.2, label=name)
        axes.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
    else:
        axes.errorbar(
            x, mean, (mean - low, high - mean), color=colour, linestyle="", marker="_", label=name
        )
    [at_top] = ranking.expected([top])
    axes.plot(
        axis.place(getattr(recipe, field)) + aside,
        100 * at_top.mean,
        "o",
        color=colour,
        markersize=4,
    )
