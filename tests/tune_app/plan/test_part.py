"""The part of a plan that some configurations need."""

import json

import pytest

from tune_app.plan.part import part
from tune_app.plan.plan import make_plan
from tune_app.sweep.sweep import Sweep


def sweep(finds=(0.1, 0.2), evals=(0.1, 0.2), seeds=(0, 1), **changes) -> Sweep:
    spec = {
        "name": "small",
        "model": "small_resnet",
        "dataset": "digits",
        "seeds": seeds,
        "train": {"lr": 0.1, "batch_size": 64, "duration": "2it"},
        "prune": {"fraction": 0.5, "rounds": 3},
        "find": {"parameters": {"lr": {"values": finds}}},
        "eval": {"parameters": {"lr": {"values": evals}}},
        "baselines": ["global_random", "preserve_lpr"],
    }
    return Sweep.model_validate_json(json.dumps(spec | changes))


def needed(numbers, **changes):
    """The part of the plan with so many seeds for each pair of learning rates."""
    grid = sweep(**changes)
    finds = {recipe.lr: recipe for recipe in grid.find_recipes}
    evals = {recipe.lr: recipe for recipe in grid.eval_recipes}
    by_pair = {(finds[f], evals[e]): number for (f, e), number in numbers.items()}
    return part(make_plan(grid), grid.seeds, by_pair)


ALL = [(0.1, 0.1), (0.1, 0.2), (0.2, 0.1), (0.2, 0.2)]
LR_REWINDING = {"rewind": {"method": "learning_rate"}, "baselines": []}


def test_all_configurations_with_all_seeds_need_the_whole_plan():
    whole = make_plan(sweep())
    assert needed(dict.fromkeys(ALL, 2)) == whole


def test_fewer_seeds_of_all_are_a_plan_of_fewer_seeds():
    smaller = make_plan(sweep(seeds=(0,)))
    found = needed(dict.fromkeys(ALL, 1))
    assert (found.chains, found.evaluations) == (smaller.chains, smaller.evaluations)


@pytest.mark.parametrize("changes", [{}, LR_REWINDING])
def test_a_decoupled_configuration_alone_needs_what_a_sweep_of_it_alone_does(changes):
    found = needed(dict.fromkeys(ALL, 0) | {(0.1, 0.2): 2}, **changes)
    alone = make_plan(sweep(finds=(0.1,), evals=(0.2,), **changes))
    assert found.chains == alone.chains  # without their last round
    assert found.trainings.keys() == alone.trainings.keys()


@pytest.mark.parametrize("changes", [{}, LR_REWINDING, {"prune": {"one_shot": [0.5, 0.7]}}])
def test_a_coupled_configuration_alone_likewise(changes):
    found = needed(dict.fromkeys(ALL, 0) | {(0.2, 0.2): 2}, **changes)
    alone = make_plan(sweep(finds=(0.2,), evals=(0.2,), **changes))
    assert found.chains == alone.chains
    assert found.trainings.keys() == alone.trainings.keys()


def test_what_drops_out_is_trained_with_the_seeds_before():
    found = needed(dict.fromkeys(ALL, 2) | {(0.2, 0.1): 1, (0.2, 0.2): 1})
    of_both = make_plan(sweep(seeds=(0,))).trainings.keys()
    of_one = make_plan(sweep(finds=(0.1,), seeds=(1,))).trainings.keys()
    assert found.trainings.keys() == of_both | of_one


def test_the_rows_ask_for_what_is_needed_and_nothing_else():
    found = needed(dict.fromkeys(ALL, 0) | {(0.1, 0.2): 1})
    assert {id for row in found.rows for id in row.requested} == set(found.trainings)
