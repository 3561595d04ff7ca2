"""The overlap of the masks of every two H_find as a map, a panel per sparsity."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from tune_app.report.figures.captions import set_caption
from tune_app.report.figures.not_drawn import NotDrawn
from tune_app.report.figures.panels import (
    GREY,
    SMALL,
    TEXT,
    label_outside,
    new_page,
    set_title,
    subscripts,
)
from tune_app.report.masks import MaskComparison, Overlap
from tune_app.report.masks_tables import varied_by_find
from tune_app.results.curves import percent_pruned
from tune_app.results.method import method
from tune_app.results.racing import least_seeds
from tune_app.results.words import field_name, short, text
from tune_app.sweep.sweep import Sweep
from tune_app.words import plural

OVERLAP_TITLE = "Masks compared: overlap against chance"

_MAX_WITH_NUMBERS = 8  # H_find
_CELL, _PANEL = 0.45, 3.0  # inches: of a cell with numbers, of a panel without
_WIDTH = 8.8  # inches of a page


def draw_overlap(sweep: Sweep, masks: MaskComparison, commit: str | None) -> Figure:
    """H_find × H_find: how far above chance their masks overlap, a panel per sparsity.

    Raises:
        NotDrawn: there are no masks of two H_find with the same seed.
    """
    between = [overlap for overlap in masks.overlaps if overlap.finds[0] < overlap.finds[1]]
    if not between:
        raise NotDrawn("there are no masks of two H_find with the same seed")
    num_finds = len(sweep.find_recipes)
    side = max(_CELL * num_finds, 1.5) if num_finds <= _MAX_WITH_NUMBERS else _PANEL
    columns = max(1, int(_WIDTH / (side + 0.3)))
    figure, [(panels, corner)] = new_page([len(masks.sparsities)], max_columns=columns)
    for axes, (round, sparsity) in zip(panels, masks.sparsities.items(), strict=True):
        set_title(axes, panels, f"{percent_pruned(sparsity)} pruned")
        at_round = [overlap for overlap in masks.overlaps if overlap.round == round]
        image = _draw_map(axes, at_round, num_finds)

    names, title = _names(sweep)
    longest = max(map(len, names))
    shown = range(0, num_finds, math.ceil(0.13 * num_finds / side))
    rotation = 90 if 0.065 * longest * len(shown) > side else 0
    for axes in panels:
        axes.set_xticks(shown, names[:: shown.step], rotation=rotation, fontsize=SMALL)
        axes.set_yticks(shown, names[:: shown.step], fontsize=SMALL)
    label_outside(panels, subscripts(title), subscripts(title))
    rows = math.ceil(len(panels) / columns)
    across, margin = math.ceil(len(panels) / rows), 0.05 * longest
    figure.set_size_inches(across * (side + 0.3) + 1.2 + margin, rows * (side + 0.6) + margin)

    bar = figure.colorbar(image, ax=[*panels, corner], pad=0.02, aspect=20 * rows)
    bar.ax.tick_params(labelsize=SMALL, width=0.6, length=2.5)
    bar.set_label("overlap above chance", fontsize=TEXT)
    bar.outline.set_linewidth(0.6)
    set_caption(figure, _caption(sweep, masks, between, commit))
    return figure


def _draw_map(axes: Axes, overlaps: Sequence[Overlap], num_finds: int) -> AxesImage:
    """The lower triangle, and the diagonal in a frame; numbers where there is room for them."""
    shown = np.full((num_finds, num_finds), np.nan)
    for overlap in overlaps:
        left, below = overlap.finds
        shown[below, left] = overlap.above_chance
    axes.grid(False)
    for place in range(num_finds):
        frame = (place - 0.5, place - 0.5)
        axes.add_patch(Rectangle(frame, 1, 1, fill=False, edgecolor=GREY, linewidth=0.6))
    for overlap in overlaps if num_finds <= _MAX_WITH_NUMBERS else ():
        colour = "white" if overlap.above_chance > 0.55 else "black"
        numbers = f"{overlap.jaccard.mean:.2f}\n({overlap.chance:.2f})"
        axes.text(*overlap.finds, numbers, ha="center", va="center", color=colour, fontsize=5.5)
    return axes.imshow(shown, cmap="Blues", vmin=0, vmax=1, aspect="auto")


def _names(sweep: Sweep) -> tuple[list[str], str]:
    """The labels of every H_find on an axis, and of the axis."""
    varied, finds = varied_by_find(sweep), sweep.find_recipes
    if len(varied) > 1:
        return [short(find, varied) for find in finds], "H_find"
    [field] = varied
    return [text(getattr(find, field)) for find in finds], field_name(field, "find")


def _caption(
    sweep: Sweep, masks: MaskComparison, between: Sequence[Overlap], commit: str | None
) -> list[str]:
    num_finds, counts = len(sweep.find_recipes), sorted({overlap.jaccard.n for overlap in between})
    n = " to ".join(map(str, dict.fromkeys((counts[0], counts[-1]))))
    numbers = ""
    if num_finds <= _MAX_WITH_NUMBERS:
        numbers = " Numbers are the Jaccard index and, in brackets, that by chance."
    sentences = [
        "How far the masks of two H_find overlap, from the Jaccard index that chance gives at the "
        f"same layerwise pruning ratios, 0, to the same mask, 1.{numbers} Below the diagonal: the "
        "same seed, so the same initialization. On it: one H_find at two seeds.",
        *method(sweep),
        f"{sweep.model} on {sweep.dataset}; mean over seeds, n\u00a0=\u00a0{n}; "
        f"commit {commit or 'unknown'}.",
    ]
    num_seeds, asked = least_seeds(sweep), len(masks.sparsities) * math.comb(num_finds, 2)
    fewer = asked - sum(overlap.jaccard.n >= num_seeds for overlap in between)
    if fewer:
        sentences.append(
            f"Incomplete: {fewer} of {plural(asked, 'pair')} have masks of fewer than "
            f"{plural(num_seeds, 'seed')}."
        )
    return sentences
