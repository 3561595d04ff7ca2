"""Coupled and decoupled configurations at equal compute.

Masks of the same sparsity leave different numbers of multiply-adds: which layers they prune counts.
So accuracies are interpolated, for each H_find, H_eval and seed, between two evaluated rounds, in
the logarithm of the multiply-adds left.
"""

import bisect
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lt_core.config import Recipe
from tune_app.results.costs import left
from tune_app.results.curves import Means, Statistic
from tune_app.results.paired import Paired
from tune_app.results.result import CurveKey, Result
from tune_app.sweep.sweep import Sweep

_Pair = tuple[Recipe, Recipe]
"""H_find and H_eval."""

_Accuracies = dict[int, float]
"""By seed."""


@dataclass(frozen=True)
class AtEqualMacs:
    """The best decoupled against the best coupled configuration."""

    macs_left: float
    """The fraction of the dense network's multiply-adds."""

    decoupled: _Pair
    coupled: _Pair
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
    pairs = [*itertools.product(sweep.find_recipes, sweep.eval_recipes)]
    curves = {pair: _by_seed(sweep, means, pair, round) for pair in pairs}
    reached = [left(curve[-1], "macs") for of in curves.values() for curve in of.values()]
    counted = [macs for macs in reached if macs is not None]
    if not counted or len(counted) < len(reached):
        return None
    target = macs_left or max(counted)
    at_target: dict[_Pair, tuple[_Accuracies, _Accuracies]] = {}
    for pair, by_seed in curves.items():
        found = {seed: _interpolated(curve, target) for seed, curve in by_seed.items()}
        known = {seed: both for seed, both in found.items() if both is not None}
        if len(known) == len(by_seed) > 0:
            val, test = ({seed: both[i] for seed, both in known.items()} for i in (0, 1))
            at_target[pair] = (val, test)
    decoupled, coupled = (_best(sweep, at_target, kind) for kind in (False, True))
    if decoupled is None or coupled is None:
        return None
    ours, theirs = at_target[decoupled][1], at_target[coupled][1]
    difference = Paired.of(ours, theirs)
    if difference is None:
        return None
    means_of = [Statistic.of([*test.values()]) for test in (ours, theirs)]
    return AtEqualMacs(target, decoupled, coupled, means_of[0], means_of[1], difference)


def _by_seed(sweep: Sweep, means: Means, pair: _Pair, last: int) -> dict[int, list[Result]]:
    """The curves of a configuration over the evaluated rounds, for seeds that reach the last."""
    points = means.get(CurveKey("lottery", *pair), {})
    by_seed: dict[int, list[Result]] = {}
    for round in sweep.eval_rounds[1:]:
        if round in points and round <= last:
            for result in points[round].results:
                by_seed.setdefault(result.seed, []).append(result)
    return {seed: curve for seed, curve in by_seed.items() if curve[-1].round == last}


def _interpolated(curve: Sequence[Result], target: float) -> tuple[float, float] | None:
    """Validation and test accuracy at a fraction of multiply-adds left; None out of range."""
    macs = [left(result, "macs") for result in curve]
    known = [(m, result) for m, result in zip(macs, curve, strict=True) if m]
    known.sort(key=lambda pair: pair[0])
    at = bisect.bisect_left([m for m, _ in known], target)
    if at == len(known) or (at == 0 and known[0][0] > target):
        return None
    above, below = known[at], known[max(at - 1, 0)]
    if above[0] == target or above[0] == below[0]:
        return above[1].val_accuracy, above[1].test_accuracy
    share = math.log(target / below[0]) / math.log(above[0] / below[0])

    def between(measure: str) -> float:
        low, high = getattr(below[1], measure), getattr(above[1], measure)
        return float(low + share * (high - low))

    return between("val_accuracy"), between("test_accuracy")


def _best(
    sweep: Sweep,
    at_target: Mapping[_Pair, tuple[_Accuracies, _Accuracies]],
    coupled: bool,
) -> _Pair | None:
    """As `best` of curves.py: of the configurations with the most seeds."""
    pairs = [pair for pair in at_target if (pair[0] == pair[1]) == coupled]
    if not pairs:
        return None
    selected = 0 if sweep.select_on == "validation" else 1
    most = max(len(at_target[pair][0]) for pair in pairs)
    full = [pair for pair in pairs if len(at_target[pair][0]) == most]
    return max(full, key=lambda pair: Statistic.of([*at_target[pair][selected].values()]).mean)
