"""Legends, in the corner beside the panels."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D

from tune_app.report.figures.panels import SMALL, num_letters, subscripts


def add_legend(corner: Axes, panels: Sequence[Axes]) -> None:
    """A legend with every curve of the panels once."""
    handles: dict[str, Artist] = {}
    for axes in panels:
        for handle, name in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(subscripts(name), handle)
    _place_legend(corner, list(handles.values()), list(handles))


def add_split_legend(
    corner: Axes,
    of_colours: str,
    colours: Mapping[str, str],
    of_styles: str,
    styles: Mapping[str, dict[str, Any]],
) -> None:
    """A legend for curves whose colour says one thing and whose marker and line say another.

    Args:
        corner: beside the panels.
        of_colours: heading of the colours.
        colours: by name.
        of_styles: heading of the markers and lines.
        styles: by name.
    """
    style_of_all: dict[str, Any] = {"color": "#333333", "linewidth": 1.1, "markersize": 3.2}
    looks: list[tuple[str, dict[str, Any]]] = [(of_colours, {"linestyle": ""})]
    looks += [(name, {"color": colour, "linewidth": 3}) for name, colour in colours.items()]
    looks.append((of_styles, {"linestyle": ""}))
    looks += [(name, style_of_all | style) for name, style in styles.items()]
    # 2.6: the shortest handles that show a dash and a dot.
    legend = _place_legend(
        corner, [Line2D([], [], **look) for _, look in looks], [name for name, _ in looks], 2.6
    )
    for heading in (0, 1 + len(colours)):
        legend.get_texts()[heading].set_fontweight("bold")


def _place_legend(
    corner: Axes, handles: Sequence[Artist], names: Sequence[str], handle_length: float = 2.0
) -> Legend:
    _make_room(corner, names)
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


def _make_room(corner: Axes, names: Sequence[str]) -> None:
    """Widen the figure: beside a wide legend its panels would be too narrow for their titles."""
    figure = corner.figure
    assert isinstance(figure, Figure)  # every corner is made by `new_corner`
    legends = [legend for axes in figure.axes if (legend := axes.get_legend())]
    before = [text.get_text() for legend in legends for text in legend.get_texts()]
    figure.set_figwidth(figure.get_figwidth() + _width([*before, *names]) - _width(before))


def _width(names: Sequence[str]) -> float:
    """Of a legend in inches; at least what every page has room for."""
    return max([1.0, *(0.05 * num_letters(name) + 0.45 for name in names)])
