"""The JSON schema and the page of keys: what a sweep file may have, for editors and people."""

import copy
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from ruamel.yaml import YAML

from tune_app.sweep import keys_page
from tune_app.sweep.schema import json_schema

SWEEPS = Path(__file__).parents[3] / "sweeps"
FILES = sorted(SWEEPS.rglob("*.yaml"))
SCHEMA = Draft7Validator(json_schema())


def as_written(path: Path) -> dict[str, Any]:
    """A file alone, as an editor sees it."""
    return YAML(typ="safe", pure=True).load(path.read_text())


def with_a_typo(data: Any, whole: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """`whole`, each time with another key of `data`, which is in it, misspelt."""
    for key, value in list(data.items()):
        del data[key]
        data[f"{key}_"] = value
        yield copy.deepcopy(whole)
        del data[f"{key}_"]
        data[key] = value
        if isinstance(value, dict):
            yield from with_a_typo(value, whole)


def test_the_files_in_the_repository_are_written_anew():
    schema = (SWEEPS / "schema.json").read_text()
    again = "python -m tune_app schema > sweeps/schema.json"
    assert json.loads(schema) == json_schema(), f"if the change is meant: {again}"
    again = "python -m tune_app.sweep.keys_page > sweeps/KEYS.md"
    assert (SWEEPS / "KEYS.md").read_text() == keys_page.page(), f"if the change is meant: {again}"


def test_it_is_a_schema_and_describes_every_key():
    Draft7Validator.check_schema(SCHEMA.schema)
    for mapping in (SCHEMA.schema, *SCHEMA.schema["$defs"].values()):
        for key, value in mapping["properties"].items():
            assert re.fullmatch(r"[A-Z`].*\.", value["description"]), key


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SWEEPS)))
def test_a_shipped_file_is_valid_as_written_and_names_its_schema(path):
    written = as_written(path)
    assert [error.message for error in SCHEMA.iter_errors(written)] == []
    [named] = re.findall(r"^# yaml-language-server: \$schema=(\S+)\n\n", path.read_text(), re.M)
    assert os.path.normpath(path.parent / named) == str(SWEEPS / "schema.json")
    if path.parent == SWEEPS:
        typos = list(with_a_typo(written, written))
        assert len(typos) >= 8
        assert [typo for typo in typos if SCHEMA.is_valid(typo)] == []


@pytest.mark.parametrize(
    "text",
    [
        "{seeds: {from: 1, at_most: 5, until: 1}}",
        "{train: {duration: 8ep, stop: 30it, milestones: [], weight_decay: 0}}",
        "{find: {parameters: {lr: null, stop: {values: [3ep, null]}, ema: {min: 0.1, max: 0.9}}}}",
        "{search: {at: 0.99, time_budget: 2h, stop: {probe_at: [0.5, 0.6]}}}",
        "{search: null, prune: {rounds: null, one_shot: [0.5], layer_fractions: {fc: 0}}}",
        "{model: my_package.nets:make_net, dataset: cifar10}",
        "{extends: [a.yaml, b.yaml]}",
    ],
)
def test_it_takes_what_a_sweep_file_may_have(text):
    assert [*SCHEMA.iter_errors(YAML(typ="safe", pure=True).load(text))] == []


@pytest.mark.parametrize(
    "text",
    [
        "{seeds: []}",
        "{seeds: {at_most: 5, untill: 1}}",
        "{train: {duration: 8}}",
        "{train: {lr: 0}}",
        "{find: {parameters: {lr: [0.1]}}}",
        "{find: {parameters: {lr: {values: []}}}}",
        "{find: {parameters: {batch_size: {values: [0.5]}}}}",
        "{search: {at: 1.5}}",
        "{baselines: [random]}",
        "{model: resnet21}",
        "{extends: []}",
        "{name: null}",
    ],
)
def test_it_refuses_what_no_sweep_file_may_have(text):
    assert not SCHEMA.is_valid(YAML(typ="safe", pure=True).load(text))
