"""What one trial is given, and what that costs."""

import pytest
from lr_grid import TEXT, edited, load, problems

from tune_app.plan.plan import make_plan
from tune_app.sweep.yaml_source import SpecError


def test_a_price_is_of_a_stage_or_of_every_trial():
    sweep = load(TEXT, "resources_per_trial={cpu: 2, price_per_hour: 1.2}")
    assert sweep.find_resources.price_per_hour == sweep.eval_resources.price_per_hour == 1.2
    own = "find.resources={gpu: 1, price_per_hour: 3}"
    sweep = load(TEXT, "resources_per_trial={cpu: 2, price_per_hour: 1.2}", own)
    assert sweep.find_resources.price_per_hour == 3
    assert sweep.eval_resources.price_per_hour == 1.2


def test_a_price_is_no_part_of_ids():
    plan, priced = (make_plan(load(TEXT, *given)) for given in ((), (PRICE,)))
    assert plan.trainings.keys() == priced.trainings.keys()


PRICE = "resources_per_trial.price_per_hour=1.2"


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("0", "`resources_per_trial.price_per_hour` must be greater than 0, got 0"),
        ("-1.5", "`resources_per_trial.price_per_hour` must be greater than 0, got -1.5"),
        (".inf", "`resources_per_trial.price_per_hour` must be a finite number, got Infinity"),
        ("1 USD", '`resources_per_trial.price_per_hour` must be a number, got "1 USD"'),
    ],
)
def test_a_price_is_a_number_above_0(given, problem):
    override = f"resources_per_trial.price_per_hour={given}"
    assert problems(TEXT, override) == [f"command line ({override}): {problem}"]


def test_all_trials_have_a_price_or_none():
    stage = "find:                             # line 22\n"
    text = edited((stage, f"{stage}  resources: {{cpu: 2}}\n"))
    assert problems(text, PRICE) == [
        "sweep.yaml:23: `find.resources.price_per_hour`: must be given too, since "
        "`resources_per_trial` has one"
    ]
    own = "find.resources.price_per_hour=2"
    assert problems(TEXT, own) == [
        "sweep.yaml:1: `resources_per_trial.price_per_hour`: must be given too, since "
        "`find.resources` has one"
    ]
    assert load(TEXT, own, PRICE)
    assert load(TEXT, own, "eval.resources.price_per_hour=1")


def test_half_a_core_is_one_thread_and_more_than_one_is_whole():
    half = load(TEXT, "resources_per_trial={cpu: 0.5}").resources_per_trial
    assert (half.cpu, half.threads) == (0.5, 1)
    assert half.model_dump(mode="json")["cpu"] == 0.5
    whole = load(TEXT, "resources_per_trial={cpu: 2.0}").resources_per_trial
    assert (repr(whole.cpu), whole.threads) == ("2", 2)
    with pytest.raises(
        SpecError, match=r"`resources_per_trial\.cpu`: must be whole above 1, got 1\.5"
    ):
        load(TEXT, "resources_per_trial={cpu: 1.5}")
