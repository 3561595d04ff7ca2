"""The answer of a grid: one sentence that claims no more than its results show."""

import itertools
import math
from collections.abc import Mapping, Sequence

from lt_core.config import Recipe
from tune_app.results.curves import (
    Cell,
    Means,
    best,
    cells,
    how_sparse,
    most_complete_round,
    num_cells,
)
from tune_app.results.words import short, varied_fields
from tune_app.sweep.sweep import Sweep

Pair = tuple[Recipe, Recipe]
"""H_find and H_eval."""


def answer(sweep: Sweep, means: Means, failed: Mapping[Pair, str]) -> str:
    """One sentence: the best H_find and H_eval where the grid is complete, and how sure that is.

    Args:
        sweep: a grid.
        means: of its results.
        failed: the reasons of configurations that have failed for good. Where no others lack
            results, the rest is compared, and one more sentence says without which.
    """
    round = most_complete_round(sweep, means)
    found = cells(sweep, means, round)
    there = {(cell.find, cell.eval) for cell in found}
    pairs = itertools.product(sweep.find_recipes, sweep.eval_recipes)
    lacking = [pair for pair in pairs if pair not in there]
    if lacking and found and all(pair in failed for pair in lacking):
        return f"{_compared(sweep, means, round, found)} {_without(sweep, lacking, failed)}"
    if lacking:
        total = num_cells(sweep)
        if total == 1:
            return "No answer yet: the only configuration has no result of a ticket."
        return (
            f"No answer yet: at no sparsity do all {total} configurations have results; at "
            f"{how_sparse(means, round)} {len(found)} do."
        )
    return _compared(sweep, means, round, found)


def _without(sweep: Sweep, lacking: Sequence[Pair], failed: Mapping[Pair, str]) -> str:
    total = num_cells(sweep)
    named = [f"{_at(sweep, pair)} ({failed[pair]})" for pair in lacking[:2]]
    more = f" and {len(lacking) - 2:,} more" if len(lacking) > 2 else ""
    return f"Not compared, {len(lacking):,} of {total:,} that failed: {'; '.join(named)}{more}."


def _compared(sweep: Sweep, means: Means, round: int, found: Sequence[Cell]) -> str:
    at = f"At {how_sparse(means, round)}"
    top = best(sweep, found)
    if len(found) == 1:
        total = num_cells(sweep)
        only = "the only configuration" + (" with results" if total > 1 else "")
        return f"{at}, {only}, {_place(sweep, top)}, reaches test {_score(top)}."

    others = [cell for cell in found if cell.coupled != top.coupled]
    other_kind = "decoupled" if top.coupled else "coupled"
    rank = f"best {other_kind} configuration"
    if not others:
        others = [cell for cell in found if cell != top]
        rank = f"next best configuration (the grid has no {other_kind} one)"
    other = best(sweep, others)
    same = "the same H" if top.coupled else "another H"
    return (
        f"{at}, masks {_place(sweep, top)}, {same}, are best by {sweep.select_on} accuracy: "
        f"test {_score(top)}, against {_score(other)} for the {rank}, {_place(sweep, other)}; "
        f"{_verdict(top, other)}."
    )


def _place(sweep: Sweep, cell: Cell) -> str:
    return _at(sweep, (cell.find, cell.eval))


def _at(sweep: Sweep, pair: Pair) -> str:
    find, eval_ = (short(recipe, varied_fields(sweep)) for recipe in pair)
    if pair[0] == pair[1]:
        return f"found and trained at {find}"
    return f"found at {find} and trained at {eval_}"


def _score(cell: Cell) -> str:
    test = cell.point.test
    spread = f" ± {100 * test.std:.1f}" if test.n > 1 else ""
    return f"{100 * test.mean:.1f}{spread}% (n={test.n})"


def _verdict(top: Cell, other: Cell) -> str:
    """The test accuracies of two cells, `top` the selected one, compared with their spread."""
    a, b = top.point.test, other.point.test
    gap = 100 * (a.mean - b.mean)
    if a.n == 1 or b.n == 1:
        return f"one seed has no spread, so the difference of {abs(gap):.1f} points may be chance"
    # The typical distance of two single seeds of equally good configurations.
    spread = 100 * math.hypot(a.std, b.std)
    if abs(gap) <= spread:
        return (
            f"the difference of {abs(gap):.1f} points is within the spread over seeds "
            f"({spread:.1f}), so neither is shown to be better"
        )
    beyond = f"more than the spread over seeds ({spread:.1f})"
    if gap < 0:
        return f"but on test the latter is better by {-gap:.1f} points, {beyond}"
    return f"the difference of {gap:.1f} points is {beyond}"
