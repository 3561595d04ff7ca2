"""The figures of a search, drawn from its samples.

Each function takes the sweep, its samples and the commit they were made at (None if unknown) and
returns a figure, as those of figures.py do.
"""

import itertools
import statistics
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axis import Axis
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from lt_core.config import Recipe
from tune_app.report.figures import NotDrawn
from tune_app.report.importances import Unknown, importances
from tune_app.report.panels import GREY, SMALL, TEXT, add_legend, new_page
from tune_app.report.search_words import complete, counts, sparsities
from tune_app.results.method import method
from tune_app.results.words import field_name, text
from tune_app.search.samples import Sample, Samples, best
from tune_app.sweep.spaces import Stage, at_point, points
from tune_app.sweep.sweep import Sweep

# The same colours as in fig3.
_COLOURS = {True: "#0072B2", False: "#D55E00"}
_MARKERS = {True: "s", False: "o"}
_NAMES = {True: "coupled", False: "decoupled"}


def draw_search(sweep: Sweep, samples: Samples, commit: str | None) -> Figure:
    """The best validation accuracy so far, coupled and decoupled, against trainings done.

    Raises:
        NotDrawn: no sample is complete.
    """
    drawn = _drawn(samples)
    floor = _floor(drawn)
    last = max(samples.spent[0], 1)
    figure, [([axes], corner)] = new_page([1])
    for coupled in (False, True):
        of_kind = [s for s in drawn if s.configuration.coupled == coupled]
        name, look = _NAMES[coupled], {"color": _COLOURS[coupled]}
        if not of_kind:
            continue
        x, y = steps(of_kind)
        axes.step([*x, last], [*y, y[-1]], where="post", linewidth=1.3, **look)
        axes.plot([], [], linewidth=1.3, label=f"best {name} so far", **look)
        dots = {"linestyle": "", "markersize": 3.5, "markeredgewidth": 0, "alpha": 0.5, **look}
        inside = [s for s in of_kind if s.value >= floor]
        places = ([s.trainings for s in inside], [100 * s.value for s in inside])
        axes.plot(*places, marker=_MARKERS[coupled], label=f"{name} sample", **dots)
        below = [s.trainings for s in of_kind if s.value < floor]
        at_the_edge = axes.get_xaxis_transform()
        axes.plot(below, [0.015] * len(below), marker="v", transform=at_the_edge, **dots)
    top = max(sample.value for sample in drawn)
    margin = 0.05 * max(top - floor, 0.01)
    axes.set_ylim(100 * (floor - 2 * margin), 100 * (top + margin))
    axes.set_xlim(-0.02 * last, 1.02 * last)
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10], integer=True))
    axes.set_xlabel("trainings done", fontsize=TEXT)
    axes.set_ylabel("validation accuracy (%)", fontsize=TEXT)
    add_legend(corner, [axes])
    about = f"Each configuration, at the trainings done by its end; {counts(samples)}."
    if num_below := sum(sample.value < floor for sample in drawn):
        about += f" Triangles at the lower edge: {num_below} below it."
    _add_caption(figure, sweep, commit, about)
    return figure


def steps(samples: Sequence[Sample]) -> tuple[list[int], list[float]]:
    """Trainings done, and the best accuracy by then in percent, as samples were completed."""
    in_order = sorted(samples, key=lambda sample: sample.trainings)
    values = itertools.accumulate((100 * sample.value for sample in in_order), max)
    return [sample.trainings for sample in in_order], list(values)


def heat_map(sweep: Sweep, samples: Samples, commit: str | None) -> Figure:
    """H_find × H_eval: the value of every sample, by the most important field of each.

    Raises:
        NotDrawn: no sample is complete.
    """
    drawn = _drawn(samples)
    (find, evaluated), how_chosen = _fields(sweep, samples)
    x, y = _scale(sweep, drawn, find), _scale(sweep, drawn, evaluated)
    figure, [([axes], corner)] = new_page([1])
    axes.grid(False)
    x.apply(axes.xaxis, axes.set_xlim)
    y.apply(axes.yaxis, axes.set_ylim)
    axes.set_xlabel(_name("find", find), fontsize=TEXT)
    axes.set_ylabel(_name("eval", evaluated), fontsize=TEXT)
    if find == evaluated:
        axes.plot(x.ends, x.ends, color=GREY, linestyle="--", linewidth=0.8, label="coupled")

    def place(sample: Sample) -> tuple[float, float]:
        pair = sample.configuration
        return x.place(getattr(pair.find, find)), y.place(getattr(pair.eval, evaluated))

    floor, top = _floor(drawn), max(sample.value for sample in drawn)
    colours = ScalarMappable(Normalize(100 * floor, 100 * max(top, floor + 0.001)), "viridis")
    dot = {"linestyle": "", "markersize": 4.5, "markeredgecolor": "#333333", "markeredgewidth": 0.4}
    for sample in sorted(drawn, key=lambda sample: sample.value):  # the best on top
        marker = _MARKERS[sample.configuration.coupled]
        colour = colours.to_rgba(100 * sample.value)
        axes.plot(*place(sample), marker=marker, color=colour, **dot)
    for coupled, size in ((False, 9), (True, 11)):
        if top_of_kind := best(drawn, coupled):
            name, marker = _NAMES[coupled], _MARKERS[coupled]
            axes.plot([], [], marker=marker, color="white", label=f"{name} sample", **dot)
            axes.plot(
                *place(top_of_kind),
                linestyle="",
                marker=marker,
                markersize=size,
                fillstyle="none",
                markeredgewidth=1.4,
                color=_COLOURS[coupled],
                label=f"best {name}, {100 * top_of_kind.value:.1f}%",
            )
    is_cut = any(sample.value < floor for sample in drawn)
    bar = figure.colorbar(colours, ax=axes, extend="min" if is_cut else "neither", pad=0.02)
    bar.ax.tick_params(labelsize=SMALL, width=0.6, length=2.5)
    bar.set_label("validation accuracy (%)", fontsize=TEXT)
    bar.outline.set_linewidth(0.6)
    add_legend(corner, [axes])
    about = f"The mean validation accuracy of every configuration; {counts(samples)}.{how_chosen}"
    if is_cut:
        about += f" Below {100 * floor:.1f}% all look alike."
    _add_caption(figure, sweep, commit, about)
    return figure


def draw_importances(sweep: Sweep, samples: Samples, commit: str | None) -> Figure:
    """The share of the variance of validation accuracy that each parameter explains by itself.

    Raises:
        NotDrawn: one parameter varies, or there are too few samples.
    """
    try:
        shares, n = importances(sweep, samples)
    except Unknown as reason:
        raise NotDrawn(str(reason)) from None
    figure, [([axes], _)] = new_page([1])
    figure.set_figheight(0.25 * len(shares) + 0.7)
    axes.grid(False)
    axes.set_xlim(0, 100)
    axes.set_ylim(len(shares) - 0.4, -0.6)
    names = [_name(*name.split(".", 1)) for name in shares]
    axes.set_yticks(range(len(shares)), names, fontsize=TEXT)
    axes.tick_params(axis="y", length=0)
    for row, (name, share) in enumerate(shares.items()):
        colour = "#56B4E9" if name.startswith("find.") else "#E69F00"
        axes.barh(row, 100 * share, height=0.6, color=colour)
        label_place = (100 * share, row)
        axes.annotate(
            f"{100 * share:.0f}%",
            label_place,
            xytext=(3 if share < 0.9 else -3, 0),
            textcoords="offset points",
            ha="left" if share < 0.9 else "right",
            va="center",
            fontsize=SMALL,
        )
    axes.set_xlabel("variance explained (%)", fontsize=TEXT)
    about = (
        "How much of the variance of validation accuracy over the search spaces each parameter "
        f"explains by itself: fANOVA, a random forest fitted to n = {n} complete samples. The rest "
        f"of 100%, {100 * max(0, 1 - sum(shares.values())):.0f}%, is due to several together."
    )
    if left_out := len(complete(samples)) - n:
        about += f" {left_out} more, with an H outside of its search space, are left out."
    _add_caption(figure, sweep, commit, about)
    return figure


def _drawn(samples: Samples) -> list[Sample]:
    drawn = complete(samples)
    if not drawn:
        raise NotDrawn("no sample is complete")
    return drawn


def _floor(samples: Sequence[Sample]) -> float:
    """Where a scale begins: as far below the median as the best is above, if samples lie there.

    What diverged is so far below that all others would look alike.
    """
    values = [sample.value for sample in samples]
    return max(min(values), 2 * statistics.median(values) - max(values))


def _name(stage: str, field: str) -> str:
    """`LR` with a small `find`."""
    return rf"{field_name(field)}$_\mathrm{{{stage}}}$"


def _fields(sweep: Sweep, samples: Samples) -> tuple[tuple[str, str], str]:
    """Which field of H_find and of H_eval is shown, and how they were chosen where several vary.

    Where one of them does not vary, the field of the other is shown, in which coupled samples
    differ.
    """
    varied = [sweep.find.varied, sweep.eval.varied]
    how = ""
    try:
        shares, _ = importances(sweep, samples)
    except Unknown:
        shares = {}
    shown: list[str | None] = []
    for stage, fields in zip(("find", "eval"), varied, strict=True):
        most = max(fields, key=lambda field: shares.get(f"{stage}.{field}", 0.0), default=None)
        shown.append(most)
    if max(map(len, varied)) > 1:
        which = "the most important" if shares else "the first"
        how = f" Where several fields vary, {which} one is shown."
    find, evaluated = shown
    return (find or evaluated, evaluated or find), how


@dataclass(frozen=True)
class _Scale:
    """A field of a recipe as an axis."""

    places: dict[Any, float] | None
    """Of values that are not all numbers; None where they are."""

    log: bool
    ends: tuple[float, float]
    ticks: dict[float, str]
    """Labels by place; none where those of matplotlib do."""

    def place(self, value: Any) -> float:
        return float(value) if self.places is None else self.places[value]

    def apply(self, axis: Axis, set_limits: Any) -> None:
        if self.log:
            axis.axes.set(**{f"{axis.axis_name}scale": "log"})
        set_limits(*self.ends)
        if self.ticks:
            axis.set_major_locator(FixedLocator(list(self.ticks)))
            axis.set_major_formatter(FuncFormatter(lambda at, _: self.ticks.get(at, "")))
        else:
            axis.set_major_locator(MaxNLocator(5))
            axis.set_major_formatter(FuncFormatter(lambda at, _: f"{at:g}"))
        axis.set_minor_locator(NullLocator())


def _scale(sweep: Sweep, samples: Sequence[Sample], field: str) -> _Scale:
    """The axis of a field: the same for H_find and H_eval, so that coupled lies on the diagonal."""
    recipes = [r for s in samples for r in (s.configuration.find, s.configuration.eval)]
    listed = [
        getattr(recipe, field)
        for stage in (sweep.find, sweep.eval)
        for recipe in _points(stage, sweep.train)
        if field in stage.varied
    ]
    values = list(dict.fromkeys([*listed, *(getattr(recipe, field) for recipe in recipes)]))
    if not all(isinstance(value, int | float) for value in values):
        places = {value: float(i) for i, value in enumerate(values)}
        ticks = {place: text(value) for value, place in places.items()}
        return _Scale(places, False, (-0.5, len(values) - 0.5), ticks)
    low, high = min(values), max(values)
    ranges = [getattr(stage.parameters, field) for stage in (sweep.find, sweep.eval)]
    ranges = [domain for domain in ranges if domain is not None and domain.values is None]
    is_log = any(domain.log for domain in ranges) if ranges else low > 0 and high >= 5 * low
    if is_log and low > 0:
        margin = (high / low) ** 0.06
        ends = (low / margin, high * margin)
        ticks = [float(f"{digit}e{power}") for power in range(-12, 13) for digit in (1, 2, 5)]
        ticks = [tick for tick in ticks if ends[0] <= tick <= ends[1]]
        if len(ticks) > 7:
            ticks = [tick for tick in ticks if f"{tick:e}"[0] == "1"]
    else:
        is_log, ticks = False, []
        margin = 0.06 * (high - low) or 0.5
        ends = (low - margin, high + margin)
    if not ranges and len(listed) <= 8:
        ticks = sorted(set(listed))
    return _Scale(None, is_log, ends, {float(tick): f"{tick:g}" for tick in ticks})


def _points(stage: Stage, train: Recipe) -> list[Recipe]:
    return [at_point(train, point) for point in points(stage)]


def _add_caption(figure: Figure, sweep: Sweep, commit: str | None, about: str) -> None:
    """Say below the panels what is shown and how it was made; the figure grows by that."""
    parts = [
        about,
        *method(sweep),
        f"{sweep.model} on {sweep.dataset}; validation accuracy is the mean over seeds "
        f"(n\u00a0=\u00a0{len(sweep.seeds)}) {sparsities(sweep)}; commit {commit or 'unknown'}.",
    ]
    width, height = figure.get_size_inches()
    lines = textwrap.wrap(" ".join(parts), int(width * 19))
    figure.supxlabel("\n".join(lines), x=0.01, ha="left", fontsize=SMALL, color="#444444")
    figure.set_size_inches(width, height + 0.13 * len(lines))
