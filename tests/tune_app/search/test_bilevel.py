"""Which configuration comes next."""

import math

import pytest

from tune_app.search.bilevel import Bilevel, SearchSpace
from tune_app.search.chooser import Configuration
from tune_app.sweep.sweep import Sweep

LR = {"min": 0.01, "max": 1.0, "log": True}


def search(find=LR, eval_=LR, method=("tpe", "tpe")) -> Sweep:
    stages = [
        {"method": how, "parameters": {"lr": lr}}
        for how, lr in zip(method, (find, eval_), strict=True)
    ]
    return Sweep.model_validate(
        {
            "name": "best",
            "model": "small_resnet",
            "dataset": "digits",
            "seeds": (0,),
            "train": {"lr": 0.1, "batch_size": 64, "duration": "4it"},
            "prune": {"rounds": 9},
            "find": stages[0],
            "eval": stages[1],
            "search": {"num_samples": 9, "report_seeds": (1,)},
        }
    )


def tell(bilevel: Bilevel, configuration: Configuration, value: float) -> None:
    bilevel.found[configuration.find] = True
    bilevel.values[configuration] = value


def run(bilevel: Bilevel, n: int) -> list[Configuration]:
    """One after another; what is best is LR_find 0.1 and LR_eval 0.3, and H_find matters more."""
    asked = []
    for _ in range(n):
        configuration = bilevel.ask()
        if configuration is None:
            break
        asked.append(configuration)
        loss = 0.2 * abs(math.log10(configuration.find.lr / 0.1))
        loss += 0.1 * abs(math.log10(configuration.eval.lr / 0.3))
        tell(bilevel, configuration, 0.95 - loss)
    return asked


def test_of_a_chain_that_costs_nine_evaluations_four_are_made_on_average():
    # sqrt(9 / 1) = 3 that are chosen, and the one at its own H_find.
    bilevel = Bilevel(search(), chain_cost=9, evaluation_cost=1)
    run(bilevel, 40)
    assert len(bilevel.found) == 10
    assert Bilevel(search(), chain_cost=1, evaluation_cost=4).evaluations_per_chain == 2


def test_a_new_mask_is_evaluated_at_the_best_h_eval_and_at_its_own_h_find():
    bilevel = Bilevel(search(), chain_cost=9, evaluation_cost=1)
    run(bilevel, 8)
    values = dict(bilevel.values)
    best = max(values, key=values.get)
    first, second = run(bilevel, 2)
    assert first.find == second.find
    assert first.find not in {configuration.find for configuration in values}
    assert first.eval == best.eval
    assert second.coupled


def test_what_else_is_evaluated_is_the_mask_that_is_best_on_average():
    bilevel = Bilevel(search(), chain_cost=9, evaluation_cost=1)
    lucky, best, fair = (search().train.model_copy(update={"lr": lr}) for lr in (0.3, 0.1, 0.2))
    for find, values in ((lucky, (0.99, 0.5)), (best, (0.9, 0.9)), (fair, (0.8, 0.8))):
        for lr, value in zip((0.04, 0.4), values, strict=True):
            eval_ = search().train.model_copy(update={"lr": lr})
            tell(bilevel, Configuration(find, eval_), value)
    assert bilevel.ask().find == best


def test_a_good_mask_does_not_make_a_bad_h_eval_look_good():
    bilevel = Bilevel(search(eval_={"values": (0.1, 0.2, 0.3)}), 9, 1)
    train = search().train
    good, bad = (train.model_copy(update={"lr": lr}) for lr in (0.5, 0.05))
    worse, better = (train.model_copy(update={"lr": lr}) for lr in (0.1, 0.2))
    for find, eval_, value in (
        (good, worse, 0.90),
        (good, better, 0.94),
        (bad, worse, 0.50),
        (bad, better, 0.54),
    ):
        tell(bilevel, Configuration(find, eval_), value)
    told = {}
    bilevel.eval.draw = lambda values, *_: told.update(values)
    bilevel._new_eval(())
    assert {recipe.lr: round(value, 9) for recipe, value in told.items()} == {0.1: -0.02, 0.2: 0.02}


def test_masks_that_are_looked_for_are_not_evaluated_and_other_chains_begin():
    bilevel = Bilevel(search(), chain_cost=9, evaluation_cost=1)
    first = bilevel.ask()
    second = bilevel.ask()  # also of the first chain, to be evaluated once its mask is there
    third = bilevel.ask()
    assert first.find == second.find != third.find
    tell(bilevel, first, 0.9)
    tell(bilevel, second, 0.8)
    assert bilevel.ask().find == third.find  # the other half of what each mask gets


def test_it_ends_where_two_grids_are_tried_out():
    bilevel = Bilevel(
        search({"values": (0.1, 0.2)}, {"values": (0.1, 0.3, 0.4)}, ("tpe", "grid")), 9, 1
    )
    asked = run(bilevel, 100)
    pairs = {(c.find.lr, c.eval.lr) for c in asked}
    assert pairs == {(f, e) for f in (0.1, 0.2) for e in (0.1, 0.3, 0.4)} | {(0.2, 0.2)}
    assert len(asked) == len(pairs)
    assert bilevel.ask() is None


def test_the_same_results_give_the_same_choices():
    runs = [run(Bilevel(search(), 9, 1), 20) for _ in range(2)]
    assert runs[0] == runs[1]
    other = search().model_copy(update={"search": search().search.model_copy(update={"seed": 1})})
    assert run(Bilevel(other, 9, 1), 20) != runs[0]


def test_tpe_draws_near_to_what_was_good():
    space = SearchSpace(search().find, search().train)
    train = search().train
    lrs = [0.011, 0.02, 0.04, 0.09, 0.1, 0.11, 0.3, 0.5, 0.7, 0.9, 0.99, 0.013]
    values = {train.model_copy(update={"lr": lr}): 1 - abs(math.log10(lr / 0.1)) for lr in lrs}
    drawn = [space.draw(values, (), (), seed).lr for seed in range(30)]
    near = [0.04 < lr < 0.25 for lr in drawn]
    assert sum(near) > 20  # of the space it is two fifths: 12
    assert all(0.01 <= lr <= 1.0 and lr == float(f"{lr:.4g}") for lr in drawn)


@pytest.mark.parametrize("method", ["random", "tpe"])
def test_values_are_drawn_until_there_are_no_more(method):
    space = SearchSpace(
        search({"values": (0.1, 0.2, 0.4)}, method=(method, "tpe")).find, search().train
    )
    tried = []
    while (recipe := space.draw({}, (), tried, seed=len(tried))) is not None:
        tried.append(recipe)
    assert sorted(recipe.lr for recipe in tried) == [0.1, 0.2, 0.4]


def test_a_recipe_outside_of_the_space_is_known_as_such():
    train = search().train
    space = SearchSpace(search().find, train)
    assert space.has(train.model_copy(update={"lr": 1.0}))
    assert not space.has(train.model_copy(update={"lr": 1.1}))
    assert not space.has(train.model_copy(update={"weight_decay": 0.1}))


def test_a_mask_that_will_not_come_is_not_waited_for():
    bilevel = Bilevel(search(), chain_cost=9, evaluation_cost=1)
    first = bilevel.ask()
    bilevel.values[first] = 0.0  # its chain diverged
    assert bilevel.ask().find != first.find
