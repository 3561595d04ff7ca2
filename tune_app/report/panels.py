"""The look of all figures: panels that share axes, curves with their spread, captions."""

import math
import re
import string
import textwrap
from collections.abc import Collection, Iterable, Mapping, Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from tune_app.results.curves import Point, Statistic, density
from tune_app.results.method import method
from tune_app.sweep.sweep import Sweep
from tune_app.words import plural

TEXT, SMALL = 8, 6.5  # points
WIDTH, _HEIGHT = 2.2, 1.8  # inches of a panel with its labels
_MAX_COLUMNS = 4
GREY = "#777777"
BAND, FAINT_BAND = 0.15, 0.05


def new_page(
    families: Sequence[int], width: float = WIDTH, max_columns: int = _MAX_COLUMNS
) -> tuple[Figure, list[tuple[list[Axes], Axes]]]:
    """A figure of panels that share their axes; each family has its own rows and legend corner."""
    rows = [math.ceil(size / max_columns) for size in families]
    across = [math.ceil(size / deep) for size, deep in zip(families, rows, strict=True)]
    size = 1.8 if sum(families) == 1 else 1  # one panel has the page for itself
    inches = (max(across) * width * size + 1.4, sum(rows) * _HEIGHT * size)
    figure = Figure(figsize=inches, layout="constrained")
    ratios = [1.0] * max(across) + [0.01]
    grid = figure.add_gridspec(sum(rows), len(ratios), width_ratios=ratios)
    pages, first, top = [], None, 0
    for num_panels, deep, columns in zip(families, rows, across, strict=True):
        panels = []
        for i in range(num_panels):
            place = grid[top + i // columns, i % columns]
            panels.append(new_axes(figure, place, sharex=first, sharey=first))
            first = first or panels[0]
        pages.append((panels, new_corner(figure, grid[top : top + deep, -1])))
        top += deep
    return figure, pages


def new_axes(figure: Figure, place: SubplotSpec, **shared: Axes | None) -> Axes:
    axes = figure.add_subplot(place, **shared)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=SMALL, width=0.6, length=2.5)
    axes.grid(axis="y", color="#DDDDDD", linewidth=0.5)
    axes.set_axisbelow(True)
    return axes


def new_corner(figure: Figure, place: SubplotSpec) -> Axes:
    axes = figure.add_subplot(place)
    axes.set_axis_off()
    return axes


def set_title(axes: Axes, panels: Sequence[Axes], text: str) -> None:
    letter = f"({string.ascii_lowercase[panels.index(axes)]})  " if 1 < len(panels) <= 26 else ""
    parts = text.split(", ")  # two fit into the width of a panel
    lines = (", ".join(parts[i : i + 2]) for i in range(0, len(parts), 2))
    axes.set_title(letter + _subscripts(",\n".join(lines)), fontsize=TEXT, loc="left")


def _subscripts(text: str) -> str:
    return re.sub(r"_(find|eval)\b", r"$_\\mathrm{\1}$", text)


def draw_curve(
    axes: Axes,
    points: Mapping[int, Point],
    rounds: Iterable[int],
    band: float = BAND,
    **look: str,
) -> list[Statistic | None]:
    """Draw the rounds that are there; returns the test accuracies of all, None where missing."""
    there = [points[round] for round in rounds if round in points]
    x = [density(point.sparsity) for point in there]
    draw_line(axes, x, [point.test for point in there], band, **look)
    return [points[round].test if round in points else None for round in rounds]


def draw_line(
    axes: Axes, x: Sequence[float], y: Sequence[Statistic], band: float = BAND, **look: str
) -> None:
    """Mean ± standard deviation, in percent; one seed has a mean only.

    `band` is how opaque the deviations are.
    """
    mean = [100 * statistic.mean for statistic in y]
    std = [100 * statistic.std for statistic in y]
    axes.plot(x, mean, linewidth=1.1, markersize=3.2, markeredgewidth=0, **look)
    if len(y) == 1:  # a band would have no width
        axes.errorbar(x, mean, std, color=look["color"], linewidth=0.8, capsize=2)
    else:
        low, high = ([m + sign * s for m, s in zip(mean, std, strict=True)] for sign in (-1, 1))
        axes.fill_between(x, low, high, color=look["color"], alpha=band, linewidth=0)


def draw_thin_line(
    axes: Axes, points: Mapping[int, Point], rounds: Iterable[int], label: str, style: str = "--"
) -> list[Statistic | None]:
    """The same without markers and deviations, for what is only there to compare with."""
    there = [points[round] for round in rounds if round in points]
    x, y = [density(point.sparsity) for point in there], [100 * point.test.mean for point in there]
    axes.plot(x, y, linestyle=style, color=GREY, linewidth=0.8, label=label)
    return [points[round].test if round in points else None for round in rounds]


def scale_percent(panels: Sequence[Axes], shown: Iterable[Statistic | None]) -> float:
    """Fit y to means and deviations; returns its lower end, in percent."""
    there = [statistic for statistic in shown if statistic]
    spread = [0 if statistic.n == 1 else statistic.std for statistic in there]
    low = 100 * min(statistic.mean - std for statistic, std in zip(there, spread, strict=True))
    high = 100 * max(statistic.mean + std for statistic, std in zip(there, spread, strict=True))
    high = min(high, 100)
    margin = 0.05 * max(high - low, 1)
    for axes in panels:
        axes.set_ylim(low - margin, high + margin)
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    return low - margin


def scale_sparsity(panels: Sequence[Axes], low: float, high: float) -> None:
    """x is the fraction pruned, spaced by log density so that what lies past 0.9 can be read."""
    thinnest, densest = density(high), density(low)
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
        axes.set_xscale("log")
        axes.set_xlim(densest * margin, thinnest / margin)
        axes.xaxis.set_major_locator(FixedLocator(ticks))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda tick, _: f"{1 - tick:.6g}"))


def label_outside(panels: Sequence[Axes], x: str, y: str) -> None:
    """Label the left and the lowest panels only."""
    for axes in panels:
        place = axes.get_subplotspec()
        below = [p for p in panels if p.get_subplotspec().colspan == place.colspan]
        lowest = all(p.get_subplotspec().rowspan.start <= place.rowspan.start for p in below)
        axes.tick_params(labelleft=place.colspan.start == 0, labelbottom=lowest)
        if lowest:
            axes.set_xlabel(x, fontsize=TEXT)
        if place.colspan.start == 0:
            axes.set_ylabel(y, fontsize=TEXT)


def add_legend(corner: Axes, panels: Sequence[Axes]) -> None:
    """Every curve of the panels once, beside them."""
    handles = {}
    for axes in panels:
        for handle, name in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(_subscripts(name), handle)
    _place_legend(corner, list(handles.values()), list(handles))


def add_split_legend(
    corner: Axes,
    of_colours: str,
    colours: Mapping[str, str],
    of_styles: str,
    styles: Mapping[str, Mapping[str, str]],
) -> None:
    """For curves whose colour says one thing and whose marker and line another.

    Args:
        corner: beside the panels.
        of_colours: what colours say.
        colours: by name.
        of_styles: what marker and line say.
        styles: by name.
    """
    style_of_all = {"color": "#333333", "linewidth": 1.1, "markersize": 3.2}
    looks = [(of_colours, {"linestyle": ""})]
    looks += [(name, {"color": colour, "linewidth": 3}) for name, colour in colours.items()]
    looks.append((of_styles, {"linestyle": ""}))
    looks += [(name, style_of_all | style) for name, style in styles.items()]
    # The shortest handles that show a dash and a dot.
    legend = _place_legend(
        corner, [Line2D([], [], **look) for _, look in looks], [name for name, _ in looks], 2.6
    )
    for heading in (0, 1 + len(colours)):
        legend.get_texts()[heading].set_fontweight("bold")


def _place_legend(
    corner: Axes, handles: Sequence[Artist], names: Sequence[str], handle_length: float = 2.0
) -> Legend:
    return corner.legend(
        handles,
        names,
        loc="upper left",
        bbox_to_anchor=(0, 1),
        fontsize=SMALL,
        frameon=False,
        borderaxespad=0,
        handlelength=handle_length,
    )


def add_caption(
    figure: Figure,
    sweep: Sweep,
    commit: str | None,
    about: str,
    shown: Sequence[Statistic | None],
    baselines: Collection[str] = (),
) -> None:
    """Say below the panels what is shown, how it was made, and what is missing.

    Args:
        figure: grows by what the text takes.
        sweep: whose results are shown.
        commit: that made them.
        about: sentences on the figure.
        shown: its points; None for those that are missing.
        baselines: those that are shown.
    """
    counts = sorted({statistic.n for statistic in shown if statistic})
    n = " to ".join(map(str, dict.fromkeys((counts[0], counts[-1]))))
    spread = " ± sample standard deviation" if counts[-1] > 1 else ""
    parts = [
        about,
        *method(sweep, baselines),
        f"{sweep.model} on {sweep.dataset}; mean{spread} over seeds, n\u00a0=\u00a0{n}; "
        f"commit {commit or 'unknown'}.",
    ]
    none = sum(statistic is None for statistic in shown)
    fewer = sum(statistic is not None and statistic.n < len(sweep.seeds) for statistic in shown)
    if none or fewer:
        parts.append(
            f"Incomplete: of {plural(len(shown), 'point')} {none} are missing and {fewer} have "
            f"fewer than {plural(len(sweep.seeds), 'seed')}."
        )
    width, height = figure.get_size_inches()
    lines = textwrap.wrap(" ".join(parts), int(width * 19))
    figure.supxlabel("\n".join(lines), x=0.01, ha="left", fontsize=SMALL, color="#444444")
    figure.set_size_inches(width, height + 0.13 * len(lines))
