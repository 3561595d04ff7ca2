"""What decoupling gains: the two configurations that a search chose, over fresh seeds.

They were chosen on validation with other seeds, so nothing here was selected on the accuracies that
it reports. The other trainings of the comparison, combinations of the two and baselines, are not
used. Both configurations have the same seeds, with the same initialization and order of the data,
and are compared seed by seed.
"""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from tune_app.report.search_words import place
from tune_app.results.curves import Statistic, best_pair, cells, mean_curves, percent_pruned
from tune_app.results.result import CurveKey, Result
from tune_app.search.chooser import Configuration
from tune_app.search.ranking import rank
from tune_app.search.samples import Samples
from tune_app.sweep.sweep import Sweep
from tune_app.words import plural

_CONFIDENCE = 0.95
_ENOUGH = 6
"""The number of seeds from which an interval without 0 counts as evidence. Of two equally good
configurations, one is better in all n seeds in 2 / 2^n of the cases, and then the bootstrap
interval always excludes 0; from 6 seeds on that is less than 5%. In simulations with normal
differences the interval had the true difference in 75, 82, 91 and 92% of the cases for 3, 5, 10 and
20 seeds."""


@dataclass(frozen=True)
class Gain:
    """Test accuracies of both configurations, in [0, 1], over the seeds with results of both."""

    rounds: tuple[int, ...]
    """One round, or several whose mean is compared seed by seed."""

    sparsity: float
    """As measured, the mean over rounds and seeds."""

    decoupled: Statistic
    coupled: Statistic
    difference: Statistic
    """Decoupled less coupled, by seed."""

    interval: tuple[float, float] | None
    """95% interval of the mean difference, by a percentile bootstrap over seeds. None for one seed
    and for equal differences, from which a bootstrap draws only equal means."""


def gains(
    search: Sweep, samples: Samples, comparison: Sweep, results: Iterable[Result]
) -> list[Gain]:
    """The gain at each evaluated round, and over the searched rounds together.

    Args:
        search: the search.
        samples: its samples.
        comparison: the sweep that trained the best of them over fresh seeds.
        results: of the comparison; rounds where no seed has both configurations are left out.
    """
    chosen = _chosen(search, samples)
    if len(chosen) < 2:
        return []
    results = list(results)
    found = [_by_round_and_seed(configuration, results) for configuration in chosen]
    rounds = dict.fromkeys([*((r,) for r in comparison.eval_rounds[1:]), search.search_rounds])
    every = [_gain(together, comparison.seeds, *found) for together in rounds]
    return [gain for gain in every if gain is not None]


def _chosen(search: Sweep, samples: Samples) -> list[Configuration]:
    """The best decoupled and the best coupled configuration, as far as there are any."""
    ranking = rank(search, samples.judged)
    found = (ranking.best(coupled) for coupled in (False, True))
    return [sample.configuration for sample in found if sample is not None]


def _by_round_and_seed(
    configuration: Configuration, results: Sequence[Result]
) -> dict[tuple[int, int], Result]:
    curve = CurveKey("lottery", configuration.find, configuration.eval)
    return {(r.round, r.seed): r for r in results if r.curve == curve}


def _gain(
    rounds: Sequence[int],
    seeds: Sequence[int],
    decoupled: Mapping[tuple[int, int], Result],
    coupled: Mapping[tuple[int, int], Result],
) -> Gain | None:
    both = decoupled.keys() & coupled.keys()
    seeds = [seed for seed in seeds if all((round, seed) in both for round in rounds)]
    if not seeds:
        return None

    def test(found: Mapping[tuple[int, int], Result]) -> list[float]:
        return [statistics.fmean(found[r, s].test_accuracy for r in rounds) for s in seeds]

    ours, theirs = test(decoupled), test(coupled)
    # Accuracies are shares of a number of images: smaller differences are rounding errors.
    differences = [round(a - b, 9) for a, b in zip(ours, theirs, strict=True)]
    return Gain(
        rounds=tuple(rounds),
        sparsity=statistics.fmean(
            found[r, s].sparsity for found in (decoupled, coupled) for r in rounds for s in seeds
        ),
        decoupled=Statistic.of(ours),
        coupled=Statistic.of(theirs),
        difference=Statistic.of(differences),
        interval=_interval(differences),
    )


def _interval(differences: Sequence[float]) -> tuple[float, float] | None:
    if len(set(differences)) == 1:
        return None
    found = stats.bootstrap(
        (differences,),
        np.mean,
        confidence_level=_CONFIDENCE,
        method="percentile",  # others divide by the spread of a jackknife, which may be 0
        rng=np.random.default_rng(0),
    ).confidence_interval
    return float(found.low), float(found.high)


def gain(search: Sweep, samples: Samples, comparison: Sweep, results: Iterable[Result]) -> str:
    """What decoupling gains at the searched sparsity, in sentences; none while no seed has both.

    Takes what `gains` takes.
    """
    found = {gain.rounds: gain for gain in gains(search, samples, comparison, results)}
    gain = found.get(search.search_rounds)
    if gain is None:
        return ""
    n, asked = gain.difference.n, len(comparison.seeds)
    seeds = plural(asked, "fresh seed") if n == asked else f"{n} of {asked} fresh seeds"
    where = f"{percent_pruned(gain.sparsity)} pruned"
    if len(gain.rounds) > 1:
        where = f"the mean over {len(gain.rounds)} sparsities"
    return (
        f"Trained again over {seeds}, at {where}, decoupled reaches test "
        f"{gain.decoupled.sentence()}, coupled {gain.coupled.sentence()}; {_in_words(gain)}"
    )


def other_picks(
    search: Sweep, samples: Samples, comparison: Sweep, results: Iterable[Result]
) -> list[str]:
    """Why the comparison's own report names another configuration; nothing where it names the same.

    Takes what `gains` takes.
    """
    round = search.search_rounds[-1]
    pair = best_pair(comparison, cells(comparison, mean_curves(results), round))
    if pair is None:
        return []
    named = {Configuration(cell.find, cell.eval) for cell in pair}
    others = [place(search, one) for one in named.difference(_chosen(search, samples))]
    return [
        f"The report of {comparison.name} names another configuration, {other}: it has every "
        "pairing of the chosen H_find and H_eval, and picks by the fresh seeds themselves."
        for other in others
    ]


def _in_words(gain: Gain) -> str:
    """The difference, and what it shows."""
    mean, n = 100 * gain.difference.mean, gain.difference.n
    said = f"decoupled less coupled, by seed: {mean:+.1f} points"
    if n == 1:
        return f"{said}; one seed has no spread, so it may be chance."
    if gain.interval is None:
        return f"{said} in each of {n} seeds, which leaves nothing to work an interval out from."
    low, high = (100 * end for end in gain.interval)
    said += f", 95% bootstrap interval {low:+.1f} to {high:+.1f}"
    if low <= 0 <= high:
        return f"{said}; it includes 0, so neither is shown to be better."
    better = "decoupled" if low > 0 else "coupled"
    if n < _ENOUGH:
        return (
            f"{said}. It excludes 0, but {n} seeds are few: equally good configurations differ in "
            f"one direction in all of them in {200 / 2**n:.0f}% of the cases."
        )
    return f"{said}; it excludes 0: {better} is better, as far as {n} seeds can tell."


def gain_csv(found: Iterable[Gain]) -> list[list[Any]]:
    """One line per gain; rounds are separated by spaces, no deviation where there is one seed."""
    rows: list[list[Any]] = [list(_COLUMNS)]
    for gain in found:
        means = [
            value
            for statistic in (gain.decoupled, gain.coupled, gain.difference)
            for value in (statistic.mean, statistic.std if statistic.n > 1 else "")
        ]
        rounds, n = " ".join(map(str, gain.rounds)), gain.difference.n
        rows.append([rounds, gain.sparsity, n, *means, *(gain.interval or ("", ""))])
    return rows


_COLUMNS = (
    "rounds",
    "sparsity",
    "n",
    "decoupled_test_mean",
    "decoupled_test_std",
    "coupled_test_mean",
    "coupled_test_std",
    "difference_mean",
    "difference_std",
    "difference_low",
    "difference_high",
)
