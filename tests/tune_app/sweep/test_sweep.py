"""The values, points and rounds that a sweep file stands for."""

import itertools
import json
from io import StringIO

import pytest
from lr_grid import TEXT, edited, load
from ruamel.yaml import YAML

from lt_core.config import Recipe
from lt_core.steps import Steps
from tune_app.sweep.resources import Resources
from tune_app.sweep.spaces import Stage, points


def test_import_paths_are_taken_as_they_are():
    overrides = ("model=my_package.nets:make_net", "dataset=data:load", "data_dir=~/data")
    sweep = load(TEXT, *overrides)
    assert (sweep.model, sweep.dataset) == ("my_package.nets:make_net", "data:load")
    assert sweep.data_dir == "~/data"
    assert load(TEXT).data_dir == "data"


def test_a_sweep_is_what_its_file_says():
    sweep = load(TEXT)
    recipe = Recipe(
        lr=0.1,
        batch_size=64,
        weight_decay=0.005,
        momentum=0.9,
        duration=Steps(16, "ep"),
        milestones=(Steps(8, "ep"), Steps(13, "ep")),
        gamma=0.3,
    )
    assert sweep.train == recipe
    assert sweep.seeds == (0, 1, 2)
    assert sweep.baselines == ("global_random", "preserve_lpr")
    assert sweep.prune.num_rounds == 11
    # 0.7^4 = 0.240, 0.7^7 = 0.082, 0.7^9 = 0.040, 0.7^10 = 0.028, 0.7^11 = 0.020 are left.
    assert sweep.eval_rounds == (0, 4, 7, 9, 10, 11)
    assert sweep.find_recipes == sweep.eval_recipes
    assert sweep.find_recipes == tuple(
        recipe.model_copy(update={"lr": lr}) for lr in (0.02, 0.1, 0.5)
    )


def test_a_stage_has_resources_of_its_own_or_those_of_every_trial():
    every, own = Resources(cpu=2), Resources(gpu=1)
    for overrides, find, eval_, keys in (
        ([], every, every, ["resources_per_trial"]),
        (["find"], own, every, ["find.resources", "resources_per_trial"]),
        (["eval"], every, own, ["eval.resources", "resources_per_trial"]),
        (["find", "eval"], own, own, ["find.resources", "eval.resources"]),
    ):
        given = [f"{stage}.resources.gpu=1" for stage in overrides]
        sweep = load(TEXT, "resources_per_trial.cpu=2", *given)
        assert (sweep.find_resources, sweep.eval_resources) == (find, eval_)
        assert list(sweep.resources) == keys
        assert set(sweep.resources.values()) == {find, eval_}


def test_what_is_not_given():
    text = edited(
        (TEXT[TEXT.index("find:") :], ""),
        ("description: does the learning rate that finds the best mask also train it best?", ""),
    )
    sweep = load(text)
    assert sweep.description == ""
    assert sweep.baselines == ()
    assert sweep.select_on == "validation"
    assert (sweep.resources_per_trial.cpu, sweep.resources_per_trial.gpu) == (1, 0.0)
    assert sweep.max_failures == 2
    assert sweep.find_recipes == sweep.eval_recipes == (sweep.train,)
    assert sweep.eval_rounds == (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)


@pytest.mark.parametrize(
    ("fraction", "final_sparsity", "rounds"),
    [
        (0.2, 0.98, 18),  # 0.8^17 = 2.25% are left, 0.8^18 = 1.80%
        (0.2, 0.01, 1),
        (0.2, 0.2, 1),
        (0.2, 0.2001, 2),
        (0.2, 0.36, 2),
        (0.2, 0.488, 3),
        (0.2, 0.8926258176, 10),
        (0.3, 0.98, 11),
        (0.5, 0.999, 10),
        (0.9999999999999999, 1e-320, 1),
        (0.0069, 0.999, 998),
    ],
)
def test_rounds_are_the_fewest_that_reach_the_final_sparsity(fraction, final_sparsity, rounds):
    sweep = load(
        TEXT,
        f"prune={{fraction: {fraction}, final_sparsity: {final_sparsity}}}",
    )
    assert sweep.prune.num_rounds == rounds


@pytest.mark.parametrize(
    ("sparsity", "round"),
    [(0.01, 0), (0.2, 0), (0.3, 1), (0.5, 1), (0.6, 1), (0.65, 2), (0.8, 2), (0.9, 3), (0.999, 3),
     # As near to one round as to the next.
     (0.25, 0), (0.625, 1), (0.8125, 2)],
)  # fmt: skip
def test_the_nearest_round_and_the_earlier_of_two(sparsity, round):
    sweep = load(TEXT, "prune={fraction: 0.5, rounds: 3}")  # 0, 0.5, 0.75, 0.875
    assert sweep.nearest_round(sparsity) == round


def test_evaluated_rounds_rise_and_each_is_there_once():
    # 0.7^2 = 0.49 and 0.7^9 = 0.040 are left.
    assert load(TEXT, "eval.at_sparsity=[0.96, 0.5, 0.51]").eval_rounds == (0, 2, 9)


@pytest.mark.parametrize(
    ("prune", "fractions", "sparsities"),
    [
        # 0.8^5 = 0.32768 and 0.8^10 = 0.1073741824 are left.
        ("{fraction: 0.2, rounds: 10}", {0: (), 2: (0.2, 0.2)}, {0: 0, 5: 0.67232, 10: 0.892626}),
        ("{fraction: 0.3, rounds: 2}", {1: (0.3,)}, {1: 0.3, 2: 0.51}),
        ("{one_shot: [0.5, 0.9]}", {0: (), 1: (0.5,), 2: (0.9,)}, {0: 0, 1: 0.5, 2: 0.9}),
    ],
)
def test_what_each_pruning_removes_of_what_is_left(prune, fractions, sparsities):
    prune = load(TEXT, f"prune={prune}").prune
    assert {round: prune.fractions(round) for round in fractions} == fractions
    for round, sparsity in sparsities.items():
        assert prune.sparsity(round) == pytest.approx(sparsity, abs=1e-6)


def test_one_shot_tickets_are_rounds():
    sweep = load(TEXT, "prune={one_shot: [0.5, 0.7, 0.97]}")
    assert sweep.prune.num_rounds == 3
    assert sweep.eval_rounds == (0, 2, 3)


def test_a_layerwise_pruning_ratio_is_taken_from_a_point_of_the_space():
    sweep = load(
        TEXT,
        "train.lr=0.02",
        "find.parameters={lr: {values: [0.02, 0.5]}, weight_decay: {values: [0, 5e-3]}}",
        "find.lpr_from=[{lr: 0.5}, {weight_decay: 0, lr: 0.02}]",
    )
    assert [(recipe.lr, recipe.weight_decay) for recipe in sweep.lpr_sources] == [
        (0.5, 0.005),
        (0.02, 0),
    ]
    assert set(sweep.lpr_sources) < set(sweep.find_recipes)


def test_points_run_through_the_last_field_fastest_whatever_the_order_in_the_file():
    grids = ["weight_decay: {values: [0, 1e-4]}", "lr: {values: [0.5, 0.1]}"]
    expected = [(0.5, 0.0), (0.5, 0.0001), (0.1, 0.0), (0.1, 0.0001)]
    for order in itertools.permutations(grids):
        sweep = load(TEXT, f"find.parameters={{{', '.join(order)}}}")
        assert [(recipe.lr, recipe.weight_decay) for recipe in sweep.find_recipes] == expected
        for recipe in sweep.find_recipes:
            varied = {"lr": recipe.lr, "weight_decay": recipe.weight_decay}
            assert recipe == sweep.train.model_copy(update=varied)


def test_an_empty_space_has_one_point():
    assert list(points(Stage())) == [{}]
    assert load(TEXT, "find.parameters.lr=null").find_recipes == (load(TEXT).train,)


def test_every_field_of_a_recipe_can_be_varied():
    varied = {
        "lr": [0.2],
        "batch_size": [32],
        "micro_batch": [8],
        "optimizer": ["nesterov"],
        "weight_decay": [0],
        "momentum": [0.5],
        "clip_norm": [1],
        "label_smoothing": [0.1],
        "ema": [0.99],
        "duration": ["20ep"],
        "stop": ["1ep", None],
        "warmup": ["1ep"],
        "decay": ["milestones"],
        "milestones": [["4ep"], []],
        "gamma": [1],
        "order_seed": [7],
        "precision": ["bf16"],
    }
    assert list(varied) == list(Recipe.model_fields)
    space = {name: {"values": values} for name, values in varied.items()}
    sweep = load(TEXT, f"find.parameters={json.dumps(space)}")
    assert [recipe.model_dump(mode="json") for recipe in sweep.find_recipes] == [
        {
            "lr": 0.2,
            "batch_size": 32,
            "micro_batch": 8,
            "optimizer": "nesterov",
            "weight_decay": 0.0,
            "momentum": 0.5,
            "clip_norm": 1.0,
            "label_smoothing": 0.1,
            "ema": 0.99,
            "duration": "20ep",
            "stop": stop,
            "warmup": "1ep",
            "decay": "milestones",
            "milestones": milestones,
            "gamma": 1.0,
            "order_seed": 7,
            "precision": "bf16",
        }
        for stop in ("1ep", None)
        for milestones in (["4ep"], [])
    ]


def as_yaml(data: dict) -> str:
    stream = StringIO()
    YAML(typ="safe", pure=True).dump(data, stream)
    return stream.getvalue()


@pytest.mark.parametrize("written", [as_yaml, json.dumps])
def test_a_resolved_sweep_loads_as_itself(written):
    sweep = load(
        TEXT,
        "description='both: 1e-4 and #🎲'",
        "prune={final_sparsity: 0.9}",
        "find.parameters={milestones: {values: [[8ep], []]}, weight_decay: {values: [1e-20, 1]}}",
        "eval.parameters={}",
        "resources_per_trial={gpu: 0.25}",
        "find.resources={cpu: 2, gpu: 1}",
        "rewind={to: 2ep}",
        "find.lpr_from=[{weight_decay: 1, milestones: []}]",
    )
    assert load(written(sweep.model_dump(mode="json", exclude_none=True))) == sweep
