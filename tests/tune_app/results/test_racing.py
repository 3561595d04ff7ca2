"""The race of a grid's configurations over seeds: what drops out, and when it is over."""

import math
import random

import pytest

from tune_app.results import racing
from tune_app.results.racing import Drop, quantile, standing
from tune_app.sweep.seeds import SeedRace

# Names stand for recipes. Coupled: (a, a), (b, b); decoupled: (a, b), (b, a).
AA, BB, AB, BA = ("a", "a"), ("b", "b"), ("a", "b"), ("b", "a")


def race(at_most=4, until=0.01, first=3) -> SeedRace:
    return SeedRace.model_validate({"first": first, "at_most": at_most, "until": until})


def outcomes(**rows):
    """By name of the pair, an outcome for each of the first seeds; None: not there yet."""
    return {
        ((pair[0], pair[1]), seed): value
        for pair, row in rows.items()
        for seed, value in enumerate(row)
        if value is not None
    }


GOOD, ALIKE = (0.90, 0.92, 0.91, 0.93), (0.91, 0.91, 0.93, 0.92)
# Below GOOD by 0.40, 0.41 and 0.42: 0.41 with a standard error of 0.01 / sqrt(3) = 0.0058.
BAD = (0.50, 0.51, 0.49, 0.90)


def test_one_look_is_an_ordinary_t_test():
    # Tables of Student's t, 2 degrees of freedom: 2.920 for 5% on one side, 4.303 on two.
    assert quantile(race(at_most=3), 3, sides=1) == pytest.approx(2.920, rel=0.01)
    assert quantile(race(at_most=3), 3, sides=2) == pytest.approx(4.303, rel=0.01)


def test_more_looks_ask_for_more_but_for_less_than_a_union_bound():
    # Tables, 9 degrees of freedom: 1.833 for 5% on one side, 3.111 for 5% / 8.
    assert 1.9 < quantile(race(at_most=10), 10, sides=1) < 3.0
    assert quantile(race(at_most=10), 10, sides=1) < quantile(race(at_most=10), 10, sides=2)


def test_what_is_clearly_below_its_leader_drops_out_and_needs_no_more_seeds():
    now = standing(race(), (AA, BB, AB), outcomes(aa=GOOD, bb=(*BAD[:3], None), ab=ALIKE))
    assert now.dropped == {BB: Drop(after=3, below=pytest.approx(0.41))}
    assert now.num_seeds == 4
    assert now.is_over


def test_nothing_is_decided_before_the_first_seeds_are_complete():
    for missing in range(3):
        row = [None if seed == missing else value for seed, value in enumerate(BAD)]
        now = standing(race(), (AA, BB, AB), outcomes(aa=GOOD, bb=row, ab=ALIKE))
        assert (now.num_seeds, now.dropped, now.gain, now.is_over) == (0, {}, None, False)


def test_a_configuration_is_compared_with_the_leader_of_its_own_class():
    # The only coupled one is 40 points below the decoupled ones, and is needed to say so.
    now = standing(race(), (AB, BA, BB), outcomes(ab=GOOD, ba=ALIKE, bb=(0.5, 0.51, 0.49, 0.5)))
    assert now.dropped == {}
    assert now.gain.coupled == BB


def test_equally_good_ones_stay():
    now = standing(race(), (AA, BB, AB), outcomes(aa=GOOD, bb=ALIKE, ab=GOOD))
    assert now.dropped == {}


@pytest.mark.parametrize(("difference", "is_dropped"), [(0.001, False), (0.05, True)])
def test_equal_differences_are_no_certainty(difference, is_dropped):
    # They count with a deviation of 0.001: 0.001 is 1.7 standard errors, 0.05 is 87.
    below = [value - difference for value in GOOD]
    now = standing(race(), (AA, BB, AB), outcomes(aa=GOOD, bb=below, ab=ALIKE))
    assert (BB in now.dropped) == is_dropped


def test_the_gain_is_that_of_the_two_leaders_by_seed():
    # Decoupled less coupled: 0.01, 0.02 and 0.03, mean 0.02, standard error 0.01 / sqrt(3).
    rows = {"aa": (0.80, 0.80, 0.80), "ab": (0.81, 0.82, 0.83), "ba": (0.5, 0.9, 0.5)}
    now = standing(race(at_most=3), (AA, AB, BA), outcomes(**rows))
    assert (now.gain.decoupled, now.gain.coupled) == (AB, AA)
    assert now.gain.mean == pytest.approx(0.02)
    assert now.gain.margin == pytest.approx(4.303 * 0.01 / math.sqrt(3), rel=0.01)


@pytest.mark.parametrize(("until", "num_seeds"), [(0.1, 10), (5.0, 3)])
def test_it_is_over_once_the_interval_is_narrow_enough(until, num_seeds):
    # Differences of 0.000, 0.002, 0.004, 0.000, ...: margins of 2 to 0.2 points.
    rows = {"aa": (0.8,) * 10, "ab": [0.8 + 0.002 * (seed % 3) for seed in range(10)]}
    now = standing(race(at_most=10, until=until), (AA, AB), outcomes(**rows))
    assert (now.num_seeds, now.is_over) == (num_seeds, True)


def test_a_configuration_that_failed_cannot_lead():
    rows = {"aa": (0.99, "Diverged: loss is nan", 0.99), "bb": GOOD, "ab": ALIKE}
    now = standing(race(), (AA, BB, AB), outcomes(**rows))
    assert now.dropped == {AA: Drop(after=3, below=None, reason="Diverged: loss is nan")}
    assert now.gain.coupled == BB


def test_a_class_of_failures_ends_it():
    rows = {"aa": ("Diverged: loss is nan", 0.9, 0.9), "ab": ALIKE}
    now = standing(race(), (AA, AB), outcomes(**rows))
    assert (now.num_seeds, now.gain, now.is_over) == (3, None, True)


def test_it_is_decided_alike_wherever_it_is_interrupted():
    rng = random.Random(0)
    means = {AA: 0.9, BB: 0.88, AB: 0.9, BA: 0.85}
    drawn = {
        (pair, seed): mean + rng.gauss(0, 0.01)
        for seed in range(10)
        for pair, mean in means.items()
    }
    whole = standing(race(at_most=10), tuple(means), drawn)
    assert len(whole.dropped) == 2  # else there is little to decide
    for length in range(len(drawn)):
        begun = standing(race(at_most=10), tuple(means), dict(list(drawn.items())[:length]))
        expected = {p: d for p, d in whole.dropped.items() if d.after <= begun.num_seeds}
        assert begun.dropped == expected


def replays(number: int):
    """Races of ten seeds between equal configurations, with what a seed does to all of them."""
    rng = random.Random(0)
    for _ in range(number):
        drawn = {}
        for seed in range(10):
            common = rng.gauss(0.8, 0.02)
            drawn |= {(pair, seed): common + rng.gauss(0, 0.02) for pair in (AA, BB, AB)}
        yield standing(race(at_most=10), (AA, BB, AB), drawn)


def test_an_equal_of_the_leader_drops_out_in_at_most_one_of_20_races():
    found = list(replays(1000))
    # 5% of 1,000 races are 50, give or take 2 x sqrt(1,000 x 0.05 x 0.95) = 14.
    assert 30 < sum(AA in now.dropped for now in found) < 64
    # The true gain is 0.
    missed = sum(abs(now.gain.mean) > now.gain.margin for now in found)
    assert missed < 64


def test_looks_that_each_take_5_percent_would_drop_far_more(monkeypatch):
    monkeypatch.setattr(racing, "_level", lambda first, at_most, sides: racing.ALPHA)
    quantile.cache_clear()
    try:
        assert sum(AA in now.dropped for now in replays(1000)) > 100
    finally:
        quantile.cache_clear()
