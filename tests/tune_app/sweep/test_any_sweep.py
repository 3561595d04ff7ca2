"""Any input gives a valid sweep or a list of located mistakes."""

import copy
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator
from lr_grid import TEXT, load
from ruamel.yaml import YAML

from tune_app.sweep.schema import json_schema
from tune_app.sweep.yaml_source import SpecError

pytestmark = pytest.mark.fuzz

LOCATED = re.compile(r"(sweep\.yaml:[1-9]\d*|sweep\.yaml|command line \(.*\)): \S")
SCHEMA = Draft7Validator(json_schema())


def check(text: str, *overrides: str) -> None:
    try:
        sweep = load(text, *overrides)
    except SpecError as error:
        assert str(error).splitlines() == list(error.problems) != []
        assert len(set(error.problems)) == len(error.problems)
        for line in error.problems:
            assert LOCATED.match(line), line
            assert line.isprintable(), line
    else:
        assert sweep.find_recipes and sweep.eval_recipes
        assert {0} <= set(sweep.eval_rounds) <= set(range(sweep.prune.num_rounds + 1))
        written = sweep.model_dump(mode="json", exclude_none=True)
        assert load(json.dumps(written)) == sweep
        assert SCHEMA.is_valid(written)


RAW_WORDS = """off yes ~ null = << + ._ 1e-4 012 0x 0o8 0b1 1_0 2020-99-99 12:00 16ep 0it 20ep
9999it .inf -.Inf .nan test vgg resnet20 ../x *a &a --- ... {} [] [1,1] # | >"""
KEY_WORDS = """name description model dataset seeds train prune find eval baselines select_on cpu
gpu resources_per_trial max_failures parameters values rounds final_sparsity fraction at_sparsity
lr batch_size milestones duration warmup learning_rate vals x"""
PATH_WORDS = """name seeds train train.lr train.duration train.milestones prune prune.rounds
prune.fraction prune.final_sparsity find eval find.parameters eval.parameters.lr
find.parameters.duration.values eval.at_sparsity resources_per_trial.gpu"""

GOOD_OVERRIDES = """name=x model=resnet20 seeds=[5] train.lr=1 train.milestones=[]
train.duration=20ep train.duration=500it seeds={"at_most":5,"until":1} prune.rounds=3
prune.rounds=null prune.final_sparsity=0.9
prune.fraction=0.5 find={} find.parameters.lr=null find.parameters.duration.values=[14ep,20ep]
eval.parameters.gamma.values=[1,0.1] eval.at_sparsity=[0.5] resources_per_trial.gpu=0.5"""

RAW = st.one_of(
    st.sampled_from(RAW_WORDS.split()),
    st.sampled_from(
        [
            "&a [*a]",
            "{a: &a {b: *a}}",
            "{a: 1, a: 2}",
            "{<<: {a: 1}}",
            "{values: [1]}",
            "? a",
            "!x",
            "!!int +",
            "!!float x",
            "!!set {a}",
            "!!python/object/apply:os.system [ls]",
            "%YAML 1.1",
            "9" * 400,
            "9" * 5000,
            "[" * 40,
        ]
    ),
    st.text("[]{}&*!|>%@#:,-?'\"\\ \n\tax1.=<\x00\x85\u2028é🎲", max_size=12),
    st.text(max_size=6),
)
VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-2, 40),
        st.integers(),
        st.sampled_from([-0.0, 1e-320, 1e308, 10**299, 10**400]),
        st.floats(),
        st.floats(0, 1),
        RAW,
    ),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(RAW, below, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(KEY_WORDS.split())
DATA = YAML(typ="safe", pure=True).load(TEXT)


def holders(tree):
    """Every mapping and list in the tree that is not empty."""
    if isinstance(tree, dict | list) and tree:
        yield tree
        for below in tree.values() if isinstance(tree, dict) else tree:
            yield from holders(below)


@st.composite
def mutated_data(draw) -> str:
    """The sweep with some keys and items deleted, replaced, retyped or repeated."""
    sweep = copy.deepcopy(DATA)
    for _ in range(draw(st.integers(1, 4))):
        holder = draw(st.sampled_from(list(holders(sweep)) or [{"x": 0}]))
        place = draw(
            st.sampled_from(list(holder) if isinstance(holder, dict) else range(len(holder)))
        )
        old = holder[place]
        match draw(st.sampled_from(["delete", "replace", "retype", "rename", "repeat"])):
            case "delete":
                del holder[place]
            case "replace":
                holder[place] = draw(VALUES)
            case "retype":
                holder[place] = draw(st.sampled_from([str(old), [old], {"values": [old]}, None]))
            case "rename" if isinstance(holder, dict):
                holder[draw(KEYS | RAW)] = holder.pop(place)
            case "repeat" if isinstance(holder, list):
                holder.append(old)
    return json.dumps(sweep).replace("NaN", ".nan").replace("Infinity", ".inf")


@st.composite
def mutated_text(draw) -> str:
    """The text with some lines removed, repeated, or partly overwritten."""
    lines = TEXT.splitlines()
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(lines) - 1))
        key, colon, value = lines[at].partition(":")
        raw = draw(RAW)
        match draw(
            st.sampled_from(["delete", "repeat", "value", "anchor", "key", "insert", "cut"])
        ):
            case "delete":
                lines[at] = ""
            case "repeat":
                lines.insert(draw(st.integers(0, len(lines))), lines[at])
            case "value":
                lines[at] = f"{key}{colon} {raw}"
            case "anchor":
                lines[at] = f"{key}{colon} &a {value}"
            case "key":
                lines[at] = f"{draw(KEYS)}{colon}{value}"
            case "insert":
                lines.insert(at, " " * draw(st.integers(0, 4)) + raw)
            case "cut":
                column = draw(st.integers(0, len(lines[at])))
                lines[at] = lines[at][:column] + raw
    return "\n".join(lines)


OVERRIDE = st.one_of(
    st.builds("{}={}".format, st.lists(KEYS | RAW, max_size=4).map(".".join), RAW),
    st.builds(
        "{}={}".format,
        st.sampled_from(PATH_WORDS.split()),
        RAW | VALUES.map(json.dumps),
    ),
    RAW,
    st.text(st.characters(), max_size=8),  # halves of surrogate pairs included, as in argv
    st.sampled_from(GOOD_OVERRIDES.split()),
    st.sampled_from(GOOD_OVERRIDES.split()),
)


@given(mutated_data())
def test_any_data_is_a_sweep_or_told_mistakes(text):
    check(text)


@given(mutated_text())
def test_any_text_is_a_sweep_or_told_mistakes(text):
    check(text)


@given(st.lists(OVERRIDE, min_size=1, max_size=3))
def test_any_overrides_are_a_sweep_or_told_mistakes(overrides):
    check(TEXT, *overrides)
