import math

import pytest

from tune_app.results.paired import Paired


def test_the_interval_is_students():
    # Differences 1, 2 and 3 points: mean 2, deviation 1; t of 2 degrees of freedom 4.30265.
    paired = Paired.of({0: 0.91, 1: 0.93, 2: 0.95}, {0: 0.90, 1: 0.91, 2: 0.92})
    assert (paired.mean, paired.std, paired.n) == (
        pytest.approx(0.02),
        pytest.approx(0.01),
        3,
    )
    half = 4.302653 * 0.01 / math.sqrt(3)
    assert paired.interval == (pytest.approx(0.02 - half), pytest.approx(0.02 + half))
    assert paired.sign == 0
    assert paired.points() == "+2.0 (-0.5 to +4.5)"
    assert paired.in_words("decoupled", "coupled") == (
        "+2.0 points, 95% interval -0.5 to +4.5: neither is shown to be better"
    )


@pytest.mark.parametrize(
    ("differences", "sign", "words"),
    [
        ((0.020, 0.022, 0.024), 1, "+2.2 points, 95% interval +1.7 to +2.7: one is better"),
        ((-0.020, -0.022, -0.024), -1, "-2.2 points, 95% interval -2.7 to -1.7: other is better"),
    ],
)
def test_what_an_interval_without_0_shows(differences, sign, words):
    paired = Paired.of(
        {s: 0.5 + d for s, d in enumerate(differences)}, dict.fromkeys(range(3), 0.5)
    )
    assert paired.sign == sign
    assert paired.in_words("one", "other") == words


def test_only_seeds_of_both_are_compared():
    paired = Paired.of({0: 0.9, 1: 0.8, 5: 0.1}, {1: 0.7, 0: 0.6, 7: 0.9})
    assert (paired.n, paired.mean) == (2, pytest.approx(0.2))
    assert Paired.of({0: 0.9}, {1: 0.9}) is None


def test_one_seed_and_equal_differences_show_nothing():
    one = Paired.of({0: 0.9}, {0: 0.8})
    assert (one.n, one.interval, one.sign, one.points()) == (1, None, 0, "+10.0")
    assert one.in_words("a", "b") == "+10.0 points; one seed has no spread, so it may be chance"
    # 0.9 - 0.8 and 0.3 - 0.2 are not the same in floats.
    equal = Paired.of({0: 0.9, 1: 0.3}, {0: 0.8, 1: 0.2})
    assert (equal.std, equal.interval, equal.sign) == (0, None, 0)
    assert equal.in_words("a", "b") == (
        "+10.0 points in each of 2 seeds, which leaves no interval to work out"
    )
