import pytest

from lt_core.config import Recipe
from lt_core.schedule import learning_rate


def rates(num_steps: int, per_epoch: int, **changes) -> list[float]:
    recipe = Recipe(**({"lr": 0.8, "batch_size": 1, "duration": "100ep"} | changes))
    return [learning_rate(recipe, step, per_epoch) for step in range(num_steps)]


def test_constant_where_nothing_is_said():
    assert rates(4, 2) == [0.8, 0.8, 0.8, 0.8]


@pytest.mark.parametrize("warmup", ["4it", "2ep"])
def test_warmup_rises_from_its_first_share_to_the_full_rate_at_its_last_step(warmup):
    expected = [0.2, 0.4, 0.6, 0.8, 0.8, 0.8]
    assert rates(6, 2, warmup=warmup) == pytest.approx(expected, rel=1e-12)


def test_warmup_of_one_step_is_none():
    assert rates(3, 2, warmup="1it") == [0.8, 0.8, 0.8]


@pytest.mark.parametrize(
    "milestones", [("3it", "6it"), ("1ep", "2ep"), ("3it", "2ep"), ("1ep", "6it")]
)
def test_from_each_milestone_on_it_is_multiplied_by_gamma(milestones):
    expected = [0.8, 0.8, 0.8, 0.4, 0.4, 0.4, 0.2, 0.2]
    assert rates(8, 3, milestones=milestones, gamma=0.5) == expected


def test_gamma_is_a_tenth_where_nothing_is_said():
    expected = [0.8, 0.08, 0.008, 0.0008]
    assert rates(4, 1, milestones=("1it", "2it", "3it")) == pytest.approx(expected, rel=1e-12)


def test_warmup_and_milestones_together():
    # two steps an epoch: warmup over four steps, milestones at steps 6 and 9
    got = rates(11, 2, warmup="2ep", milestones=("3ep", "9it"), gamma=0.1)
    expected = [0.2, 0.4, 0.6, 0.8, 0.8, 0.8, 0.08, 0.08, 0.08, 0.008, 0.008]
    assert got == pytest.approx(expected, rel=1e-12)


def test_a_milestone_within_warmup_counts_there_already():
    got = rates(6, 2, warmup="4it", milestones=("1ep",), gamma=0.5)
    assert got == pytest.approx([0.2, 0.4, 0.3, 0.4, 0.4, 0.4], rel=1e-12)


def test_cosine_falls_from_the_full_rate_towards_0():
    # Half a cosine over 4 steps: (1 + cos(pi t / 4)) / 2 at t = 0, 1, 2, 3.
    got = rates(4, 2, duration="2ep", decay="cosine")
    assert got == pytest.approx([0.8, 0.68284271, 0.4, 0.11715729], rel=1e-7)


def test_cosine_starts_where_warmup_ends():
    got = rates(6, 2, duration="3ep", warmup="1ep", decay="cosine")
    assert got == pytest.approx([0.4, 0.8, 0.8, 0.68284271, 0.4, 0.11715729], rel=1e-7)


def test_a_line_falls_from_the_full_rate_to_0_at_the_end_of_duration():
    got = rates(5, 2, duration="5it", decay="linear")
    assert got == pytest.approx([0.8, 0.64, 0.48, 0.32, 0.16], rel=1e-12)


def test_a_line_after_a_warmup_is_one_cycle():
    # Two steps up, four down: at 0 with the step that is none any more.
    got = rates(6, 2, duration="3ep", warmup="1ep", decay="linear")
    assert got == pytest.approx([0.4, 0.8, 0.8, 0.6, 0.4, 0.2], rel=1e-12)


@pytest.mark.parametrize("decay", ["cosine", "linear"])
def test_stopping_early_changes_no_rate(decay):
    assert rates(3, 2, duration="2ep", decay=decay, stop="3it") == rates(
        3, 2, duration="2ep", decay=decay
    )


@pytest.mark.parametrize("decay", ["cosine", "linear"])
def test_a_decay_with_warmup_to_the_end_only_rises(decay):
    got = rates(4, 2, duration="2ep", warmup="2ep", decay=decay)
    assert got == pytest.approx([0.2, 0.4, 0.6, 0.8], rel=1e-12)
