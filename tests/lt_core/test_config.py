import ast
import inspect

import pytest
from pydantic import ValidationError

from lt_core.config import Pruning, Recipe, Rewinding, RuleErrors
from lt_core.steps import Steps


def recipe(**changes) -> Recipe:
    return Recipe(**({"lr": 0.1, "batch_size": 64, "duration": "16ep"} | changes))


def rules_broken(**changes) -> list[tuple]:
    with pytest.raises(ValidationError) as error:
        recipe(**changes)
    (only,) = error.value.errors()
    return list(only["ctx"]["error"].problems)


def test_what_is_not_given():
    assert recipe().model_dump(mode="json") == {
        "lr": 0.1,
        "batch_size": 64,
        "weight_decay": 0.0,
        "momentum": 0.9,
        "duration": "16ep",
        "stop": None,
        "warmup": "0ep",
        "decay": "milestones",
        "milestones": [],
        "gamma": 0.1,
        "precision": "fp32",
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"lr": 0},
        {"lr": -0.1},
        {"lr": "0.1"},
        {"lr": True},
        {"lr": float("inf")},
        {"lr": float("nan")},
        {"batch_size": 0},
        {"batch_size": 64.0},
        {"weight_decay": -1e-9},
        {"momentum": -0.1},
        {"momentum": 1.0},
        {"duration": 16},
        {"milestones": ("8ep", 13)},
        {"milestones": "8ep"},
        {"gamma": 0},
        {"gamma": 1.1},
        {"optimizer": "adam"},
        {"decay": "one_cycle"},
        {"clip_norm": 0},
        {"label_smoothing": -0.1},
        {"label_smoothing": 1.0},
        {"ema": 0.0},
        {"ema": 1.0},
        {"learning_rate": 0.1},
    ],
    ids=str,
)
def test_out_of_bounds_of_another_type_or_unknown_is_refused(changes):
    with pytest.raises(ValidationError) as error:
        recipe(**changes)
    (field,) = changes
    assert [e["loc"][0] for e in error.value.errors()] == [field]


@pytest.mark.parametrize(
    "changes",
    [
        {"lr": 1e-9},
        {"batch_size": 1},
        {"weight_decay": 0.0},
        {"momentum": 0.0},
        {"momentum": 0.999},
        {"gamma": 1.0},
        {"warmup": "16ep"},
        {"milestones": ("0ep", "15ep")},
        # Only the data set's size could tell which of these is later.
        {"warmup": "9999it"},
        {"stop": "9999it"},
        {"stop": "16ep"},
        {"decay": "cosine"},
        {"decay": "linear"},
        {"milestones": ("9999it", "8ep")},
        {"optimizer": "adamw"},
        {"optimizer": "adamw", "momentum": 0.9},
        {"optimizer": "nesterov", "momentum": 1e-9},
        {"clip_norm": 1e-9},
        {"label_smoothing": 0.999},
        {"ema": 0.9999},
    ],
    ids=str,
)
def test_the_edges_are_allowed(changes):
    recipe(**changes)


def test_a_whole_number_for_a_fraction_is_the_same_recipe():
    assert recipe(lr=1) == recipe(lr=1.0)
    assert recipe(lr=1).model_dump_json() == recipe(lr=1.0).model_dump_json()


def test_cannot_be_changed():
    with pytest.raises(ValidationError):
        recipe().lr = 0.2


@pytest.mark.parametrize(
    ("changes", "problems"),
    [
        ({"duration": "0it"}, [(("duration",), "must not be 0, got 0it")]),
        (
            {"stop": "17ep"},
            [(("stop",), "must be more than 0 and at most `duration` (16ep), got 17ep")],
        ),
        (
            {"stop": "0ep"},
            [(("stop",), "must be more than 0 and at most `duration` (16ep), got 0ep")],
        ),
        (
            {"decay": "cosine", "milestones": ("8ep",)},
            [(("milestones",), "go with `decay: milestones`, not with cosine")],
        ),
        (
            {"decay": "linear", "milestones": ("8ep",)},
            [(("milestones",), "go with `decay: milestones`, not with linear")],
        ),
        (
            {"optimizer": "nesterov", "momentum": 0.0},
            [(("momentum",), "must be more than 0 with `optimizer: nesterov`, got 0")],
        ),
        (
            {"optimizer": "adamw", "momentum": 0.5},
            [
                (
                    ("momentum",),
                    "goes with `optimizer: sgd` or nesterov, not with adamw, got 0.5",
                )
            ],
        ),
        (
            {"warmup": "17ep"},
            [(("warmup",), "must end by `duration` (16ep), got 17ep")],
        ),
        (
            {"milestones": ("8ep", "16ep")},
            [(("milestones", 1), "must lie before the end of `duration` (16ep), got 16ep")],
        ),
        (
            {"milestones": ("17ep",)},
            [(("milestones", 0), "must lie before the end of `duration` (16ep), got 17ep")],
        ),
        (
            {"milestones": ("8ep", "8ep")},
            [(("milestones", 1), "must rise, got 8ep after 8ep")],
        ),
        (
            {"warmup": "20ep", "milestones": ("13ep", "8ep", "18ep")},
            [
                (("warmup",), "must end by `duration` (16ep), got 20ep"),
                (("milestones", 2), "must lie before the end of `duration` (16ep), got 18ep"),
                (("milestones", 1), "must rise, got 8ep after 13ep"),
            ],
        ),
    ],
)
def test_every_broken_rule_is_told_with_its_key(changes, problems):
    assert rules_broken(**changes) == problems


def test_a_recipe_from_its_own_parts_is_equal():
    original = recipe(milestones=("8ep", "13ep"), warmup="500it")
    assert original.milestones == (Steps(8, "ep"), Steps(13, "ep"))
    assert Recipe(**dict(original)) == original
    assert Recipe.model_validate_json(original.model_dump_json()) == original


ADDED = {
    "optimizer": "adamw",
    "clip_norm": 1.0,
    "label_smoothing": 0.1,
    "ema": 0.99,
    "micro_batch": 2,
    "order_seed": 0,
}


@pytest.mark.parametrize("name", ADDED)
def test_a_field_that_came_later_is_written_where_it_is_not_at_its_default(name):
    before, changed = recipe(), recipe(**{name: ADDED[name]})
    for mode in ("json", "python"):
        written = changed.model_dump(mode=mode)
        assert written == before.model_dump(mode=mode) | {name: ADDED[name]}
    assert Recipe.model_validate_json(changed.model_dump_json()) == changed != before
    given = recipe(**{name: Recipe.model_fields[name].default})
    assert given == before
    assert given.model_dump_json() == before.model_dump_json()
    assert given.model_dump(exclude_defaults=True) == before.model_dump(exclude_defaults=True)


def test_rule_errors_read_as_one_line():
    error = RuleErrors([(("warmup",), "is long"), (("milestones", 1), "must rise")])
    assert str(error) == "warmup is long; milestones.1 must rise"


@pytest.mark.parametrize("fraction", [0, 1, 1.5, -0.2, "0.2", None])
def test_a_fraction_lies_between_0_and_1(fraction):
    with pytest.raises(ValidationError):
        Pruning(fraction=fraction)


@pytest.mark.parametrize("config", [Recipe, Rewinding])
def test_type_checkers_are_shown_the_fields_as_arguments(config):
    [written] = ast.parse(inspect.getsource(config)).body
    [initializer] = [n for n in ast.walk(written) if getattr(n, "name", None) == "__init__"]
    shown = {
        argument.arg: default is not None
        for argument, default in zip(
            initializer.args.kwonlyargs, initializer.args.kw_defaults, strict=True
        )
    }
    fields = config.model_fields.items()
    assert shown == {name: not field.is_required() for name, field in fields}
