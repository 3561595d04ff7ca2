"""Tables of the masks of a grid compared: for report.md, and as a CSV file."""

from typing import Any

from tune_app.report.masks import MaskComparison, Overlap
from tune_app.report.tables import Rows, as_markdown
from tune_app.results.curves import percent_pruned
from tune_app.results.words import short, text, varied_fields
from tune_app.sweep.sweep import Sweep
from tune_app.words import plural

_MAX_LINES = 60


def varied_by_find(sweep: Sweep) -> tuple[str, ...]:
    """The fields in which H_find differ; all that the sweep varies where there is one H_find."""
    varied, finds = varied_fields(sweep), sweep.find_recipes
    names = [name for name in varied if len({getattr(find, name) for find in finds}) > 1]
    return tuple(names) or varied


def overlap_rows(sweep: Sweep, masks: MaskComparison) -> Rows:
    """The overlaps, a line for each pair of H_find and a column for each sparsity."""
    varied = varied_by_find(sweep)
    names = [short(find, varied, "find") for find in sweep.find_recipes]
    found = {(overlap.finds, overlap.round): overlap for overlap in masks.overlaps}
    rows = [["", *(f"{percent_pruned(at)} pruned" for at in masks.sparsities.values())]]
    for i, j in sorted({overlap.finds for overlap in masks.overlaps}, key=_seeds_last):
        name = f"{names[i]} and {names[j]}" if i != j else f"{names[i]}, two seeds"
        cells = (found.get(((i, j), round)) for round in masks.sparsities)
        rows.append([name, *(_cell(overlap) if overlap else "–" for overlap in cells)])
    return rows


def _seeds_last(finds: tuple[int, int]) -> tuple[bool, tuple[int, int]]:
    return finds[0] == finds[1], finds


def _cell(overlap: Overlap) -> str:
    """`0.68 ± 0.01 (3), chance 0.26`"""
    jaccard = overlap.jaccard
    return f"{jaccard.text(2, scale=1)} ({jaccard.n}), chance {overlap.chance:.2f}"


def overlap_lines(sweep: Sweep, masks: MaskComparison) -> list[str]:
    """The section of report.md; nothing where nothing is compared."""
    if not masks.overlaps:
        return []
    rows = overlap_rows(sweep, masks)
    lines = [
        "## Masks compared\n",
        "Jaccard index of two masks, the weights alive in both over those alive in either: mean ± "
        "sample standard deviation (number of pairs), and what chance gives at the same layerwise "
        "pruning ratios. Masks of two H_find have the same seed, so the same initialization; masks "
        "of one H_find are compared between every two seeds.\n",
    ]
    shown, evaluated = len(masks.sparsities), len(sweep.eval_rounds) - 1
    if shown < evaluated:
        lines.append(f"At {shown} of {plural(evaluated, 'evaluated sparsity')}.\n")
    if len(rows) > _MAX_LINES:
        return [*lines, f"All {len(rows) - 1:,} lines are in `tables/overlap.csv`.\n"]
    return [*lines, as_markdown(rows)]


def overlap_csv(sweep: Sweep, masks: MaskComparison) -> list[list[Any]]:
    """One line for each overlap; `n` is the number of pairs of masks, and the deviation of one pair
    is empty."""
    varied = varied_by_find(sweep)
    fields = [f"{which}_{name}" for which in ("find", "other_find") for name in varied]
    numbers = ["n", "jaccard_mean", "jaccard_std", "chance_mean"]
    rows: list[list[Any]] = [["round", "sparsity", "between", *fields, *numbers]]
    for overlap in masks.overlaps:
        recipes = [sweep.find_recipes[place] for place in overlap.finds]
        values = [text(getattr(recipe, name)) for recipe in recipes for name in varied]
        between = "seeds" if overlap.finds[0] == overlap.finds[1] else "H_find"
        spread = overlap.jaccard.std if overlap.jaccard.n > 1 else ""
        at = (overlap.round, masks.sparsities[overlap.round], between)
        jaccard = (overlap.jaccard.n, overlap.jaccard.mean, spread)
        rows.append([*at, *values, *jaccard, overlap.chance])
    return rows
