"""Which configuration comes next by the Gaussian process, and how spaces become cubes."""

import math

import numpy as np
import pytest

from lt_core.config import Rewinding
from tune_app.search.chooser import Configuration
from tune_app.search.cube import Cube, Encoding
from tune_app.search.gaussian import NUM_START, Gaussian
from tune_app.search.judgement import Judge
from tune_app.sweep.prune import Prune
from tune_app.sweep.sweep import Find, Sweep

LR = {"min": 0.01, "max": 1.0, "log": True}


def search(find=None, eval_=None, seed=0, seeds=(0,)) -> Sweep:
    return Sweep.model_validate(
        {
            "name": "best",
            "model": "small_resnet",
            "dataset": "digits",
            "seeds": seeds,
            "train": {"lr": 0.1, "batch_size": 64, "duration": "4it"},
            "prune": {"rounds": 9},
            "find": find or {"parameters": {"lr": LR}},
            "eval": eval_ or {"parameters": {"lr": LR}},
            "search": {"num_samples": 9, "report_seeds": (10,), "seed": seed},
        }
    )


def accuracy(pair: Configuration) -> float:
    """Best at LR_find 0.1 and LR_eval 0.3; two parabolas in orders of magnitude."""
    loss = 0.3 * math.log10(pair.find.lr / 0.1) ** 2
    return max(0.1, 0.95 - loss - 0.6 * math.log10(pair.eval.lr / 0.3) ** 2)


def run(chooser: Gaussian, n: int) -> list[Configuration]:
    """One after another; each ends before the next is asked for."""
    asked = []
    while len(asked) < n and (pair := chooser.ask()) is not None:
        asked.append(pair)
        chooser.tell(pair, accuracy(pair), is_whole=True)
        chooser.found[pair.find] = True
    return asked


def test_it_finds_the_optimum_for_fewer_trainings_than_a_grid():
    # A grid of 6 x 6 takes 6 chains of 9 trainings and 36 evaluations. Its steps are 0.4 orders of
    # magnitude, so that the optimum may be 0.2 off in each: 0.9 * 0.2^2 = 0.036 below it.
    chooser = Gaussian(search(), chain_cost=9, evaluation_cost=1)
    asked = run(chooser, 25)
    assert 9 * len(chooser.found) + len(asked) < 90
    assert max(map(accuracy, asked)) > 0.95 - 0.02
    # Coupled, 0.3 x^2 + 0.6 (x - 0.477)^2 is least at x = 0.318: 0.0455.
    assert max(accuracy(pair) for pair in asked if pair.coupled) > 0.95 - 0.0455 - 0.02


def test_it_starts_with_chains_that_are_each_evaluated_there_and_at_their_own_h():
    chooser = Gaussian(search(), chain_cost=9, evaluation_cost=1)
    asked = run(chooser, 2 * NUM_START)
    pairs = list(zip(asked[::2], asked[1::2], strict=True))
    assert len({one.find for one, _ in pairs}) == NUM_START
    assert all(one.find == two.find and two.coupled and not one.coupled for one, two in pairs)


def test_the_same_results_give_the_same_choices():
    runs = [run(Gaussian(search(), 9, 1), 14) for _ in range(2)]
    assert runs[0] == runs[1]
    assert run(Gaussian(search(seed=1), 9, 1), 14) != runs[0]


def test_masks_that_are_looked_for_are_waited_for_and_what_runs_is_not_asked_again():
    chooser = Gaussian(search(), chain_cost=9, evaluation_cost=1)
    run(chooser, 8)
    there = {find for find, is_found in chooser.found.items() if is_found}
    asked = [chooser.ask() for _ in range(12)]  # none of them ends
    assert len(set(asked)) == 12
    new = [pair.find for pair in asked if pair.find not in there]
    assert len(new) == len(set(new))  # one evaluation each, until the mask is there


def test_chains_that_cost_more_are_fewer():
    dear, cheap = (Gaussian(search(), chain_cost=cost, evaluation_cost=1) for cost in (50, 1))
    run(dear, 24)
    run(cheap, 24)
    assert len(dear.found) < len(cheap.found)


def test_what_failed_or_was_stopped_counts_as_the_worst_that_was_measured():
    sweep = search()
    judge = Judge(sweep)
    lrs = (0.02, 0.1, 0.5)
    a, b, c = (Configuration(*[sweep.train.model_copy(update={"lr": lr})] * 2) for lr in lrs)
    failed = judge.judge({a: 0.9, b: 0.7, c: 0.0}, {c})
    as_worst = judge.judge({a: 0.9, b: 0.7, c: 0.7}, ())
    assert failed.mean == pytest.approx(as_worst.mean)
    assert failed.best(1) == [a]
    chooser = Gaussian(sweep, 9, 1)
    chooser.found[c.find] = False
    chooser.tell(c, 0.0, is_whole=False)
    assert chooser.given_up == {c}
    assert c.find not in {pair.find for pair in (chooser.ask() for _ in range(9))}


def test_it_ends_where_two_lists_are_tried_out():
    values = {"method": "gp", "parameters": {"lr": {"values": (0.1, 0.2)}}}
    points = {"points": ({"lr": 0.1}, {"lr": 0.3}, {"lr": 0.4, "weight_decay": 0.1})}
    chooser = Gaussian(search(values, points), 9, 1)
    asked = run(chooser, 100)
    pairs = {(c.find.lr, c.eval.lr) for c in asked}
    assert pairs == {(f, e) for f in (0.1, 0.2) for e in (0.1, 0.3, 0.4)} | {(0.2, 0.2)}
    assert len(asked) == len(pairs)
    assert chooser.is_exhausted() and chooser.ask() is None


def test_a_list_whose_masks_all_failed_is_at_its_end_and_one_that_runs_is_not():
    values = {"method": "gp", "parameters": {"lr": {"values": (0.1, 0.2)}}}
    chooser = Gaussian(search(values), 9, 1)
    while (pair := chooser.ask()) is not None:
        last = pair
    assert not chooser.is_exhausted()  # the masks may come
    for pair in list(chooser.values):
        chooser.tell(pair, 0.0, is_whole=False)
    assert chooser.is_exhausted() and last.find.lr in (0.1, 0.2)


def test_it_goes_on_before_any_result_and_where_a_stage_is_fixed():
    chooser = Gaussian(search(), chain_cost=9, evaluation_cost=1)
    # Of the three chains of the start both evaluations, and then more chains: no mask is there.
    asked = [chooser.ask() for _ in range(8)]
    assert len({pair.find for pair in asked}) == NUM_START + 2
    for find, eval_ in (({"points": ({},)}, None), (None, {"points": ({},)})):
        fixed = Gaussian(search(find, eval_), chain_cost=9, evaluation_cost=1)
        assert len(set(run(fixed, 9))) == 9


MIXED = {
    "lr": LR,
    "batch_size": {"min": 16, "max": 64},
    "momentum": {"values": (0.8, 0.9)},
    "duration": {"values": ("4it", "6it", "1ep")},
}


def test_a_cube_has_every_point_and_its_ends():
    sweep = search({"method": "gp", "parameters": MIXED})
    cube = Cube(sweep.find, sweep.train)
    lowest, highest = cube.at(np.zeros(4)), cube.at(np.ones(4))
    ends = [
        (recipe.lr, recipe.batch_size, recipe.momentum, str(recipe.duration))
        for recipe in (lowest, highest)
    ]
    assert ends == [(0.01, 16, 0.8, "4it"), (1.0, 64, 0.9, "1ep")]
    middle = cube.at(np.array([0.5, 0.5, 0.6, 0.5]))
    # The geometric mean of 0.01 and 1; half of the 49 whole numbers lie below 16 + 24.
    assert (middle.lr, middle.batch_size, str(middle.duration)) == (0.1, 40, "6it")
    for recipe in (lowest, highest, middle):
        assert cube.at(cube.place(recipe)) == recipe
    points = search(eval_={"points": ({"lr": 0.1}, {"lr": 0.3})})
    assert Cube(points.eval, points.train).at(np.array([0.7])).lr == 0.3


def test_recipes_are_compared_in_orders_of_magnitude_and_categories_are_one_apart():
    sweep = search({"method": "gp", "parameters": MIXED})
    encoding = Encoding(sweep)
    assert encoding.names == ("lr", "batch_size", "momentum", "duration")
    assert encoding.fields == (0, 1, 2, 3, 3, 3)
    a = sweep.train.model_copy(update={"lr": 0.1, "batch_size": 16, "momentum": 0.8})
    b = a.model_copy(
        update={"lr": 1.0, "batch_size": 40, "duration": sweep.find_recipes[1].duration}
    )
    one, other = encoding([a, b])
    assert one[:3] == pytest.approx([0.5, 0, 0]) and other[:3] == pytest.approx([1, 0.5, 0])
    assert np.linalg.norm(one[3:] - other[3:]) == pytest.approx(1)


def test_numbers_beside_a_null_are_compared_as_numbers():
    clip = {"clip_norm": {"min": 0.1, "max": 10.0, "log": True}}
    sweep = search({"method": "gp", "parameters": clip})  # and H_eval does not clip
    encoding = Encoding(sweep)
    at = encoding.names.index("clip_norm")
    assert encoding.fields.count(at) == 2  # the number, and whether there is none
    columns = [i for i, field in enumerate(encoding.fields) if field == at]
    recipes = [sweep.train.model_copy(update={"clip_norm": each}) for each in (0.1, 1.0, 10.0)]
    found = encoding([*recipes, sweep.train])[:, columns]
    assert found == pytest.approx(np.array([[0, 0], [0.5, 0], [1, 0], [0.5, 1]]))


def test_a_coupled_sample_costs_one_training_only_where_its_chain_has_the_others():
    def cost(**changes) -> float:
        sweep = search({"method": "gp", "parameters": {"lr": LR}})
        fields = {
            key.alias or name: getattr(sweep, name) for name, key in Sweep.model_fields.items()
        }
        chooser = Gaussian(Sweep(**fields | changes), chain_cost=9, evaluation_cost=4)
        return chooser._cost(Configuration(sweep.train, sweep.train))

    assert cost() == 9 + 1
    assert cost(prune=Prune(one_shot=(0.5, 0.7, 0.8, 0.9))) == 9 + 4
    apart = Find(method="gp", parameters={"lr": LR}, rewind=Rewinding(method="learning_rate"))
    assert cost(find=apart) == 9 + 4


def test_it_asks_for_integers_categories_and_several_seeds():
    chooser = Gaussian(search({"method": "gp", "parameters": MIXED}, seeds=(0, 1)), 9, 1)
    asked = run(chooser, 16)
    assert len(set(asked)) == 16
    assert all(chooser.find.has(pair.find) for pair in asked)
    assert all(pair.coupled or chooser.eval.has(pair.eval) for pair in asked)
