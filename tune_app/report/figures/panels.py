"""Panels: a page of axes that share their scales, with titles and labels."""

import math
import re
import string
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec

TEXT, SMALL = 8, 6.5  # points
WIDTH, _HEIGHT = 2.2, 1.8  # inches of a panel with its labels
_MAX_COLUMNS = 4
GREY = "#777777"

_TITLE = 29  # letters in the width of a panel


def new_page(
    families: Sequence[int],
    width: float = WIDTH,
    max_columns: int = _MAX_COLUMNS,
    height: float = _HEIGHT,
) -> tuple[Figure, list[tuple[list[Axes], Axes]]]:
    """A figure of panels that share their axes; each family has its own rows and legend corner."""
    rows = [math.ceil(size / max_columns) for size in families]
    across = [math.ceil(size / deep) for size, deep in zip(families, rows, strict=True)]
    size = 1.8 if sum(families) == 1 else 1  # one panel has the page for itself
    inches = (max(across) * width * size + 1.4, sum(rows) * height * size)
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
    title = letter
    for place, part in enumerate(text.split(", ")):
        separator = ", " if place else ""
        if num_letters(subscripts(title.split("\n")[-1] + separator + part)) > _TITLE:
            separator = ",\n" if place else ""
        title += separator + part
    axes.set_title(subscripts(title), fontsize=TEXT, loc="left")


def subscripts(text: str) -> str:
    return re.sub(r"_(find|eval)\b", r"$_\\mathrm{\1}$", text)


def num_letters(text: str) -> int:
    """The width of a text with subscripts, in letters of its size."""
    return len(re.sub(r"\$_\\mathrm{\w+}\$", "___", text))


def label_outside(panels: Sequence[Axes], x: str, y: str) -> None:
    """Labels and tick labels, at the left and the lowest panels only."""
    for axes in panels:
        place = _place(axes)
        rows = [_place(other).rowspan for other in panels if _place(other).colspan == place.colspan]
        lowest = all(row.start <= place.rowspan.start for row in rows)
        axes.tick_params(labelleft=place.colspan.start == 0, labelbottom=lowest)
        if lowest:
            axes.set_xlabel(x, fontsize=TEXT)
        if place.colspan.start == 0:
            axes.set_ylabel(y, fontsize=TEXT)


def _place(axes: Axes) -> SubplotSpec:
    place = axes.get_subplotspec()
    assert place is not None  # every panel is made by `new_axes`
    return place
