"""What samples are worth, given all of them."""

import math

import pytest

from tune_app.search.chooser import Configuration
from tune_app.search.ranking import Expected, rank
from tune_app.search.samples import Sample
from tune_app.sweep.sweep import Sweep

SWEEP = Sweep.model_validate(
    {
        "name": "best",
        "model": "small_resnet",
        "dataset": "digits",
        "seeds": (0,),
        "train": {"lr": 0.1, "batch_size": 64, "duration": "4it"},
        "prune": {"rounds": 9},
        "find": {"parameters": {"lr": {"min": 0.01, "max": 1.0, "log": True}}},
        "eval": {"parameters": {"lr": {"min": 0.01, "max": 1.0, "log": True}}},
        "search": {"num_samples": 9, "report_seeds": (10,)},
    }
)


def pair(find: float, eval_: float) -> Configuration:
    return Configuration(*(SWEEP.train.model_copy(update={"lr": lr}) for lr in (find, eval_)))


def samples(values: dict[tuple[float, float], float]) -> list[Sample]:
    return [Sample(pair(*lrs), "id", "complete", value) for lrs, value in values.items()]


def test_one_lucky_value_does_not_win():
    neighbours = {(0.03 + 0.001 * i, 0.03): 0.75 for i in range(6)}
    good = {(0.3 + 0.01 * i, 0.3): 0.91 for i in range(6)}
    ranking = rank(SWEEP, samples({(0.033, 0.03): 0.93, **neighbours, **good}))
    top = ranking.best(coupled=False)
    assert top.value == 0.91 and top.configuration.find.lr >= 0.3
    [lucky] = ranking.expected([pair(0.033, 0.03)])
    assert lucky.mean < 0.85


def test_the_expected_accuracy_is_the_mean_over_masks_and_trainings():
    # Of few equal values the mean is theirs, and masks and noise have the variances 0.03 and 0.05
    # of log error, which raise the mean error of 0.1 by exp(0.04).
    ranking = rank(SWEEP, samples({(0.05, 0.05): 0.9, (0.5, 0.5): 0.9, (0.5, 0.05): 0.9}))
    near, far = ranking.expected([pair(0.05, 0.05), pair(0.05, 0.5)])
    assert near.mean == pytest.approx(1 - 0.1 * math.exp(0.04)) and far.mean == near.mean
    assert 0 < near.deviation < far.deviation  # where nothing was tried


def test_bounds_are_of_log_error_and_never_below_0():
    # 0.1 / 0.2 is half of log error: by exp(1) times the error for two of them, and by 1 / e.
    low, high = Expected(0.8, 0.1).within(2)
    assert (low, high) == pytest.approx((1 - 0.2 * math.e, 1 - 0.2 / math.e))
    assert Expected(0.1, 0.9).within(2)[0] == 0


def test_a_difference_is_surer_than_two_accuracies():
    ranking = rank(SWEEP, samples({(0.05, 0.05): 0.9, (0.5, 0.5): 0.8, (0.06, 0.05): 0.91}))
    one, other = pair(0.05, 0.05), pair(0.06, 0.05)
    a, b = ranking.expected([one, other])
    difference = ranking.difference(one, other)
    assert difference.mean == pytest.approx(a.mean - b.mean)
    assert difference.deviation < 0.5 * math.hypot(a.deviation, b.deviation)
    assert ranking.difference(one, one).deviation == pytest.approx(0, abs=1e-6)


def test_only_complete_samples_are_ranked():
    tried = samples({(0.05, 0.05): 0.9, (0.5, 0.5): 0.8})
    tried += [Sample(pair(0.1, 0.1), "id"), Sample(pair(1.0, 0.1), "id", "failed", 0.0)]
    ranking = rank(SWEEP, tried)
    assert [sample.value for sample in ranking.samples] == [0.9, 0.8]
    assert ranking.best(coupled=True) is tried[0] and ranking.best(coupled=False) is None
    assert rank(SWEEP, tried[2:]).samples == rank(SWEEP, []).samples == ()
