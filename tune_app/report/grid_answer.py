"""The answer of a grid: a few sentences that claim no more than its results show."""

import itertools
from collections.abc import Mapping, Sequence

from tune_app.plan.part import Pair
from tune_app.report.equal_macs import AtEqualMacs, at_equal_macs
from tune_app.results.curves import (
    Cell,
    Means,
    best,
    cells,
    comparisons,
    how_sparse,
    most_complete_round,
    num_cells,
    percent_pruned,
)
from tune_app.results.paired import Paired
from tune_app.results.racing import pairs_of
from tune_app.results.words import short, varied_fields
from tune_app.sweep.sweep import Sweep

_MAX_NAMED = 3


def answer(sweep: Sweep, means: Means, failed: Mapping[Pair, str]) -> str:
    """The best H_find and H_eval, how sure that is, and whether it is so at other sparsities too.

    Args:
        sweep: a grid.
        means: of its results.
        failed: the reasons of configurations that have failed for good.
    """
    round = most_complete_round(sweep, means)
    found = cells(sweep, means, round)
    if not found:
        return "No answer yet: no configuration has a result of a ticket."
    sentences = [_compared(sweep, means, round, found), _along(sweep, means)]
    if (equal := at_equal_macs(sweep, means, round)) is not None:
        sentences.append(_at_equal_macs(sweep, equal))
    sentences.append(_without(sweep, found, failed))
    return " ".join(filter(None, sentences))


def _compared(sweep: Sweep, means: Means, round: int, found: Sequence[Cell]) -> str:
    at = f"At {how_sparse(means, round)}"
    top = best(sweep, found)
    if len(found) == 1:
        total = num_cells(sweep)
        only = "the only configuration" + (" with results" if total > 1 else "")
        return f"{at}, {only}, {_place(sweep, top)}, reaches test {top.point.test.sentence()}."

    others = [cell for cell in found if cell.coupled != top.coupled]
    other_kind = "decoupled" if top.coupled else "coupled"
    rank = f"best {other_kind} configuration"
    if not others:
        others = [cell for cell in found if cell != top]
        rank = f"next best configuration (there is no {other_kind} one)"
    other = best(sweep, others)
    same = "the same H" if top.coupled else "another H"
    return (
        f"{at}, masks {_place(sweep, top)}, {same}, are best by {sweep.select_on} accuracy: "
        f"test {top.point.test.sentence()}, against {other.point.test.sentence()} for the {rank}, "
        f"{_place(sweep, other)}. "
        f"{_difference(top, other)}."
    )


def _difference(top: Cell, other: Cell) -> str:
    if top.coupled == other.coupled:
        names, (one, less) = ("the first", "the next"), (top, other)
    else:
        names = ("decoupled", "coupled")
        one, less = (other, top) if top.coupled else (top, other)
    paired = Paired.of(one.point.test_by_seed, less.point.test_by_seed)
    said = f"{names[0]} less {names[1]}, by seed".capitalize()
    return f"{said}: {paired.in_words(*names) if paired else 'they have no seed in common'}"


def _along(sweep: Sweep, means: Means) -> str:
    """Where along the sparsities which of the two is better; nothing for a single sparsity."""
    compared = []
    for coupled, decoupled in comparisons(sweep, means):
        paired = Paired.of(decoupled.point.test_by_seed, coupled.point.test_by_seed)
        if paired is not None:
            compared.append((percent_pruned(coupled.point.sparsity), paired))
    if len(compared) < 2:
        return ""
    shown = {sign: [at for at, paired in compared if paired.sign == sign] for sign in (1, -1, 0)}
    parts = [
        f"{name} is better at {_few(shown[sign])}"
        for name, sign in (("decoupled", 1), ("coupled", -1))
        if shown[sign]
    ]
    if parts and shown[0]:
        parts.append(f"neither is shown to be at {_few(shown[0])}")
    signed = [(at, paired.mean > 0) for at, paired in compared if paired.mean]
    changes = [(a, b) for (a, was), (b, now) in itertools.pairwise(signed) if was != now]
    if len(changes) == 1:
        [(a, b)] = changes
        parts.append(f"the mean difference changes its sign between {a} and {b}")
    elif changes:
        parts.append(f"the mean difference changes its sign {len(changes)} times")
    if not any(paired.sign for _, paired in compared):
        parts.insert(0, "neither is shown to be better at any")
    return f"Of {len(compared)} sparsities, {'; '.join(parts)}."


def _few(named: Sequence[str]) -> str:
    if len(named) > _MAX_NAMED + 1:
        return f"{len(named)} ({named[0]} to {named[-1]})"
    return " and ".join(filter(None, (", ".join(named[:-1]), named[-1])))


def _at_equal_macs(sweep: Sweep, equal: AtEqualMacs) -> str:
    decoupled, coupled = (_at(sweep, pair) for pair in (equal.decoupled, equal.coupled))
    return (
        f"At equal compute, {100 * equal.macs_left:.1f}% of the multiply-adds, the best decoupled "
        f"masks, {decoupled}, less the best coupled, {coupled}: "
        f"{equal.difference.in_words('decoupled', 'coupled')}."
    )


def _without(sweep: Sweep, found: Sequence[Cell], failed: Mapping[Pair, str]) -> str:
    """What is not compared: what has no result, or has failed for some seeds."""
    num_seeds = {(cell.find, cell.eval): cell.point.test.n for cell in found}
    # Of a race, fewer seeds are not lacking: the report has a section on it.
    wanted = 1 if sweep.race is not None else max(num_seeds.values())
    lacking = [
        pair for pair in pairs_of(sweep) if num_seeds.get(pair, 0) < wanted or pair in failed
    ]
    if not lacking:
        return ""

    def why(pair: Pair) -> str:
        n = num_seeds.get(pair, 0)
        return failed.get(pair, f"{n} of {wanted} seeds" if n else "no result yet")

    named = [f"{_at(sweep, pair)} ({why(pair)})" for pair in lacking[:2]]
    more = f" and {len(lacking) - 2:,} more" if len(lacking) > 2 else ""
    total = num_cells(sweep)
    return f"Not compared, {len(lacking):,} of {total:,}: {'; '.join(named)}{more}."


def _place(sweep: Sweep, cell: Cell) -> str:
    return _at(sweep, (cell.find, cell.eval))


def _at(sweep: Sweep, pair: Pair) -> str:
    find, eval_ = (short(recipe, varied_fields(sweep)) for recipe in pair)
    if pair[0] == pair[1]:
        return f"found and trained at {find}"
    return f"found at {find} and trained at {eval_}"
