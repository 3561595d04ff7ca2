"""Coupled and decoupled configurations at equal compute.

Masks of the same sparsity leave different numbers of multiply-adds: which layers they prune counts.
So accuracies are interpolated, for each H_find, H_eval and seed, between two evaluated rounds, in
the logarithm of the multiply-adds left.
"""

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tune_app.plan.part import Pair
from tune_app.results.costs import left
from tune_app.results.curves import Cell, Means, Point, Statistic, best_pair
from tune_app.results.paired import Paired
from tune_app.results.racing import pairs_of
from tune_app.results.result import CurveKey, Result
from tune_app.sweep.sweep import Sweep


@dataclass(frozen=True)
class AtEqualMacs:
    """The best decoupled against the best coupled configuration."""

    macs_left: float
    """The fraction of the dense network's multiply-adds."""

    decoupled: Pair
    coupled: Pair
    decoupled_test: Statistic
    coupled_test: Statistic
    difference: Paired
    """Decoupled less coupled, on test."""


def at_equal_macs(
    sweep: Sweep, means: Means, round: int, macs_left: float | None = None
) -> AtEqualMacs | None:
    """Compare where masks leave the same multiply-adds.

    Args:
        sweep: a grid.
        means: of its results.
        round: the last one to look at.
        macs_left: the fraction of the multiply-adds; if not given, the most that any mask of
            `round` leaves. There every configuration has a mask that leaves no more, at this round,
            and one that leaves no less, at this or an earlier evaluated round.

    Returns:
        None where results have no costs, there is no earlier round, or no coupled or no decoupled
        configuration that has masks on both sides.
    """
    curves = {pair: _by_seed(sweep, means, pair, round) for pair in pairs_of(sweep)}
    reached = [left(curve[-1], "macs") for of in curves.values() for curve in of.values()]
    counted = [macs for macs in reached if macs is not None]
    if not counted or len(counted) < len(reached):
        return None
    target = macs_left or max(counted)
    there = []
    for (find, eval_), by_seed in curves.items():
        found = [_interpolated(curve, target) for curve in by_seed.values()]
        known = [result for result in found if result is not None]
        if len(known) == len(by_seed) > 0:
            there.append(Cell(find, eval_, Point.of(known)))
    pair = best_pair(sweep, there)
    if pair is None:
        return None
    coupled, decoupled = pair
    difference = Paired.of(decoupled.point.test_by_seed, coupled.point.test_by_seed)
    if difference is None:
        return None
    return AtEqualMacs(
        target,
        (decoupled.find, decoupled.eval),
        (coupled.find, coupled.eval),
        decoupled.point.test,
        coupled.point.test,
        difference,
    )


def _by_seed(sweep: Sweep, means: Means, pair: Pair, last: int) -> dict[int, list[Result]]:
    """The curves of a configuration over the evaluated rounds, for seeds that reach the last."""
    points = means.get(CurveKey("lottery", *pair), {})
    by_seed: dict[int, list[Result]] = {}
    for round in sweep.eval_rounds[1:]:
        if round in points and round <= last:
            for result in points[round].results:
                by_seed.setdefault(result.seed, []).append(result)
    return {seed: curve for seed, curve in by_seed.items() if curve[-1].round == last}


def _interpolated(curve: Sequence[Result], target: float) -> Result | None:
    """A result with the accuracies at a fraction of multiply-adds left; None out of range."""
    macs = [left(result, "macs") for result in curve]
    known = [(m, result) for m, result in zip(macs, curve, strict=True) if m]
    known.sort(key=lambda pair: pair[0])
    at = bisect.bisect_left([m for m, _ in known], target)
    if at == len(known) or (at == 0 and known[0][0] > target):
        return None
    above, below = known[at], known[max(at - 1, 0)]
    if above[0] == target or above[0] == below[0]:
        return above[1]
    share = math.log(target / below[0]) / math.log(above[0] / below[0])

    def between(low: float, high: float) -> float:
        return low + share * (high - low)

    return replace(
        above[1],
        val_accuracy=between(below[1].val_accuracy, above[1].val_accuracy),
        test_accuracy=between(below[1].test_accuracy, above[1].test_accuracy),
    )
