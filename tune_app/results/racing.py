"""The race of a grid: which configurations need no more seeds, and when none does.

Seeds are trained one after another. After the first few, and after each that follows, one looks:

- A configuration is dropped that is below the leader of its class, coupled or decoupled, by a
  paired one-sided t-test over the seeds, which both have. The leaders stay.
- Seeds are enough once the 95% interval of the best decoupled less the best coupled, by a paired
  t-test too, is as narrow as is asked.

Each look is another chance to be wrong, so all of them are at one level at which the chance over
all looks together is ALPHA: Pocock 1977, "Group sequential methods in the design and analysis of
clinical trials" (Biometrika 64), section 2, with t-tests in place of z-tests. Then, wherever the
race ends, for differences that are normal: a configuration is dropped because of another that is
no better with a probability of at most 5%, and the interval misses the difference of two
configurations with at most 5%. Which ones lead is learnt from the same seeds, and the level is not
divided by the number of rivals: it need not be. In 1,000 replays on a measured grid of 12 x 12
configurations, at 98.3 and 99.0% pruned and to within 1 point, a race of 3 to 10 seeds needed 52
and 56% of the trainings of 10 seeds; its pick was more than 0.5 points below the best in 0.4 and
35.4% of them, that of 10 seeds in 0.2 and 35.3%; the truly best of a class was dropped in at most
4.6%, and the interval missed in at most 2.2%. Grids of 3 x 3 needed 74 and 81%.

What is compared is what the sweep selects on, at the highest evaluated sparsity: the answer of a
grid is about that one, and there configurations differ most. A configuration that failed with a
seed cannot lead and is dropped.
"""

import itertools
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

from tune_app.plan.part import Pair, part
from tune_app.plan.plan import Plan
from tune_app.plan.trainings import Training
from tune_app.results.result import Result
from tune_app.sweep.seeds import SeedRace
from tune_app.sweep.sweep import Sweep

ALPHA = 0.05

ROUNDING = 0.001
"""Least deviation that differences count with: accuracies are shares of a number of images, so that
those of a few seeds may be equal by chance."""

_NUM_DRAWN = 2_000_000

Outcomes = Mapping[tuple[Pair, int], float | str]
"""Accuracy by configuration and seed, or why there is none; not there while it may still come."""


@dataclass(frozen=True)
class Drop:
    """A configuration that needs no more seeds."""

    after: int
    """Number of seeds that it was compared over."""

    below: float | None
    """Mean difference to the leader of its class, in [0, 1]; None where a training failed."""

    reason: str = ""
    """Why a training failed."""


@dataclass(frozen=True)
class Gain:
    """The best decoupled less the best coupled, paired by seed, in [-1, 1]."""

    decoupled: Pair
    coupled: Pair
    mean: float
    margin: float
    """Half the width of the interval around the mean."""


@dataclass(frozen=True)
class Standing:
    """A race by the results that are there."""

    num_seeds: int
    """Seeds at the last look; 0 before the first."""

    dropped: Mapping[Pair, Drop] = field(default_factory=dict)
    """In the order in which they dropped out."""

    gain: Gain | None = None
    """None before the first look, and where a class has no configuration left."""

    is_over: bool = False
    """Whether no seed is wanted any more."""


def standing(race: SeedRace, pairs: Sequence[Pair], outcomes: Outcomes) -> Standing:
    """Look after each seed that every configuration still in the race has an outcome of.

    It depends on no outcome of a later seed, nor of a configuration that is dropped.

    Args:
        race: as the sweep file has it.
        pairs: all configurations, coupled and decoupled ones.
        outcomes: those that are known.
    """
    now = Standing(0)
    for num_seeds in range(race.first, race.at_most + 1):
        left = [pair for pair in pairs if pair not in now.dropped]
        seeds = race.seeds[:num_seeds]
        if now.is_over or any((pair, seed) not in outcomes for pair in left for seed in seeds):
            break
        now = _look(race, pairs, now, seeds, outcomes)
    return now


def _look(
    race: SeedRace, pairs: Sequence[Pair], before: Standing, seeds: Sequence[int], of: Outcomes
) -> Standing:
    dropped = dict(before.dropped)
    leaders: dict[bool, Pair] = {}
    accuracies: dict[Pair, list[float]] = {}
    for pair in (pair for pair in pairs if pair not in dropped):
        found = [of[pair, seed] for seed in seeds]
        failed = [value for value in found if isinstance(value, str)]
        if failed:
            dropped[pair] = Drop(len(seeds), None, failed[0])
        else:
            accuracies[pair] = [value for value in found if not isinstance(value, str)]
    for is_coupled in (False, True):
        alike = [pair for pair in accuracies if (pair[0] == pair[1]) == is_coupled]
        if not alike:
            continue
        leader = max(alike, key=lambda pair: statistics.fmean(accuracies[pair]))
        leaders[is_coupled] = leader
        for pair in alike:
            mean, error = _difference(accuracies[leader], accuracies[pair])
            if mean > error * quantile(race, len(seeds), sides=1):
                dropped[pair] = Drop(len(seeds), mean)
    if len(leaders) < 2:
        return Standing(len(seeds), dropped, None, is_over=True)
    decoupled, coupled = leaders[False], leaders[True]
    mean, error = _difference(accuracies[decoupled], accuracies[coupled])
    margin = error * quantile(race, len(seeds), sides=2)
    is_over = 100 * margin <= race.until or len(seeds) == race.at_most
    return Standing(len(seeds), dropped, Gain(decoupled, coupled, mean, margin), is_over)


def _difference(one: Sequence[float], other: Sequence[float]) -> tuple[float, float]:
    """Mean of `one` less `other`, and its standard error."""
    differences = [a - b for a, b in zip(one, other, strict=True)]
    deviation = max(statistics.stdev(differences), ROUNDING)
    return statistics.fmean(differences), deviation / math.sqrt(len(differences))


@cache
def quantile(race: SeedRace, num_seeds: int, sides: Literal[1, 2]) -> float:
    """The t statistic that counts at a look at so many seeds: where the true difference is 0, some
    look of a race has a higher one, or on either of two `sides`, with the probability ALPHA."""
    from scipy.special import stdtrit  # takes longer to load than a dry run may

    return float(-stdtrit(num_seeds - 1, _level(race.first, race.at_most, sides)))


@cache
def _level(first: int, at_most: int, sides: Literal[1, 2]) -> float:
    """The p-value on one side below which a look counts.

    By simulation: how t statistics of equal configurations are distributed depends on no
    deviation.
    """
    import numpy as np
    from scipy.special import stdtr

    # RandomState draws the same numbers in every version of NumPy.
    drawn = np.random.RandomState(0).standard_normal((_NUM_DRAWN // at_most, at_most))
    n = np.arange(1, at_most + 1)
    means = drawn.cumsum(axis=1) / n
    squares = np.maximum((drawn**2).cumsum(axis=1) - n * means**2, 1e-9)
    n, means, squares = n[first - 1 :], means[:, first - 1 :], squares[:, first - 1 :]
    t = means / np.sqrt(squares / (n - 1) / n)
    p = stdtr(n - 1, t if sides == 1 else -np.abs(t))
    return float(np.quantile(p.min(axis=1), ALPHA))


def least_seeds(sweep: Sweep) -> int:
    """The number of seeds that every configuration of a grid is trained with."""
    return len(sweep.seeds) if sweep.race is None else sweep.race.first


def compared(sweep: Sweep, plan: Plan) -> dict[tuple[Pair, int], Training]:
    """The trainings that are compared, by configuration and seed, in the order of the plan."""
    return {
        ((training.find, training.eval), training.seed): training
        for training in plan.trainings.values()
        if training.kind == "lottery" and training.round == sweep.eval_rounds[-1]
        if training.find is not None
    }


def accuracies_of(sweep: Sweep, results: Iterable[Result]) -> dict[str, float]:
    """What a sweep selects on, by training."""
    if sweep.select_on == "test":
        return {result.id: result.test_accuracy for result in results}
    return {result.id: result.val_accuracy for result in results}


def outcomes_of(
    sweep: Sweep, plan: Plan, accuracies: Mapping[str, float], failures: Mapping[str, str]
) -> dict[tuple[Pair, int], float | str]:
    """The outcomes of a grid's race.

    Args:
        sweep: the grid.
        plan: of the grid, with all seeds.
        accuracies: what the sweep selects on, by training.
        failures: why trainings have none and will have none, likewise. A failed round of a chain
            stands for all that need its tickets.
    """
    outcomes: dict[tuple[Pair, int], float | str] = {}
    for at, training in compared(sweep, plan).items():
        if training.id in accuracies:
            outcomes[at] = accuracies[training.id]
        else:
            assert training.ticket is not None  # it is under one
            before = plan.chain_of_ticket[training.ticket].ids[: training.round]
            failed = [id for id in (*before, training.id) if id in failures]
            if failed:
                outcomes[at] = failures[failed[0]]
    return outcomes


def standing_of(sweep: Sweep, outcomes: Outcomes) -> Standing:
    """The standing of a grid's race."""
    assert sweep.race is not None  # only then it is asked
    return standing(sweep.race, pairs_of(sweep), outcomes)


def pairs_of(sweep: Sweep) -> tuple[Pair, ...]:
    """All configurations of a grid."""
    return tuple(itertools.product(sweep.find_recipes, sweep.eval_recipes))


def still_needed(
    sweep: Sweep, plan: Plan, results: Iterable[Result], failures: Mapping[str, str]
) -> Plan:
    """The part of a grid's plan that is needed: with a race that of `needed`, else all of it.

    Args:
        sweep: the grid.
        plan: of the grid, with all seeds.
        results: those that are known; others than `compared` make no difference.
        failures: why trainings have none and will have none, by id.
    """
    if sweep.race is None:
        return plan
    outcomes = outcomes_of(sweep, plan, accuracies_of(sweep, results), failures)
    return needed(sweep, plan, standing_of(sweep, outcomes))


def needed(sweep: Sweep, plan: Plan, now: Standing) -> Plan:
    """The part of a grid's plan that its race needs, if nothing more is dropped.

    Args:
        sweep: a grid with a race.
        plan: of the grid, with all seeds.
        now: the standing.
    """
    return _over(sweep, plan, now, now.num_seeds if now.is_over else len(sweep.seeds))


def needed_next(sweep: Sweep, plan: Plan, now: Standing) -> Plan:
    """The part of `needed` that the race needs before it looks again."""
    assert sweep.race is not None  # only then it is asked
    if now.is_over:
        return needed(sweep, plan, now)
    return _over(sweep, plan, now, max(sweep.race.first, now.num_seeds + 1))


def _over(sweep: Sweep, plan: Plan, now: Standing, most: int) -> Plan:
    num_seeds = {
        pair: now.dropped[pair].after if pair in now.dropped else most for pair in pairs_of(sweep)
    }
    return part(plan, sweep.seeds, num_seeds)
