"""The look of each recipe and of each kind of mask: colour, marker and line."""

from collections.abc import Iterable, Sequence
from typing import Any

from lt_core.config import Recipe
from tune_app.report.figures.panels import GREY
from tune_app.sweep.kinds import Kind, is_file
from tune_app.sweep.sweep import Sweep

# Okabe and Ito's colours without the yellow, which print loses. Seven colours and eight markers
# make 56 looks that differ in at least one of the two.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")
_LINES = ("-", "--", ":", "-.")

KIND_LOOKS: dict[Kind, dict[str, Any]] = {
    "lottery": {"color": COLOURS[0], "marker": "o"},
    "preserve_lpr": {"color": COLOURS[1], "marker": "s"},
    "global_random": {"color": GREY, "marker": "^"},
    "preserve_lpr_live": {"color": COLOURS[3], "marker": "v"},
    "erk": {"color": COLOURS[4], "marker": "P"},
    "reinit": {"color": COLOURS[2], "marker": "D"},
    "signs": {"color": COLOURS[2], "marker": "v", "linestyle": "--"},
    "interpolated": {"color": COLOURS[0], "marker": "s", "linestyle": "--"},
    "snip": {"color": COLOURS[5], "marker": "X"},
    "grasp": {"color": COLOURS[6], "marker": "<"},
    "synflow": {"color": COLOURS[5], "marker": "D", "linestyle": "--"},
}


def looks_of_kinds(sweep: Sweep) -> dict[Kind, dict[str, Any]]:
    """Of tickets, baselines and the sweep's given masks; that of a file has no line."""
    given = {
        kind: {
            "color": COLOURS[(3 + i) % len(COLOURS)],
            "marker": MARKERS[-1 - i % len(MARKERS)],
            "linestyle": "" if is_file(kind) else ":",
        }
        for i, kind in enumerate(sweep.masks or ())
    }
    return KIND_LOOKS | given


def recipe_looks(recipes: Iterable[Recipe]) -> dict[Recipe, dict[str, Any]]:
    """One colour and marker per H, the same in every figure of a sweep."""
    return {
        recipe: {"color": COLOURS[i % len(COLOURS)], "marker": MARKERS[i % len(MARKERS)]}
        for i, recipe in enumerate(dict.fromkeys(recipes))
    }


def styles_of(items: Sequence[Any]) -> list[dict[str, Any]]:
    """A marker and a line for each item, beside a colour that says something else."""
    return [
        {"marker": marker, "linestyle": _LINES[i % len(_LINES)]}
        for i, (_, marker) in enumerate(zip(items, MARKERS, strict=False))
    ]
