"""What a search has tried, as it is written and read."""

import json

import pytest

from lt_core.config import Recipe
from tune_app.search.bilevel import Configuration
from tune_app.search.samples import Sample, Samples, Spent
from tune_app.store.store import StoreError

H1, H2 = (Recipe(lr=lr, batch_size=64, duration="4it") for lr in (0.1, 0.2))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "search.json"


def test_samples_are_read_as_they_were_written(path):
    samples = Samples(path)
    samples.all = [
        Sample(Configuration(H1, H2), "3f0c", "complete", 0.75, "", 3, 1.5, 2.0),
        Sample(Configuration(H2, H2), "3f0d", "failed", 0.0, "Diverged: loss is nan", 4, 2.5, 3.0),
        Sample(Configuration(H2, H1), "3f0e"),
    ]
    samples.last_spent = Spent(5, 3.5, 4.0)
    samples.write()
    again = Samples(path)
    assert again.all == samples.all
    assert again.last_spent == Spent(5, 3.5, 4.0)


LINE = {"find": H1.model_dump(mode="json"), "eval": H2.model_dump(mode="json"), "id": "3f0c"}


@pytest.mark.parametrize(
    "content",
    [
        *("", "[", "null", "3", '{"a": 1}', "[1]", '["a"]', "[" * 100_000),
        json.dumps([{**LINE, "value": "x"}]),
        json.dumps([{**LINE, "state": "new"}]),
        json.dumps([{**LINE, "find": {"lr": -1.0}}]),
        json.dumps([{"id": "3f0c"}]),
    ],
)
def test_damaged_samples_are_refused_in_a_line(path, content):
    path.write_text(content)
    with pytest.raises(StoreError, match=r"search.json: is damaged; without it the search starts"):
        Samples(path)


@pytest.mark.parametrize("content", ["", "null", '{"trainings": "x"}', '{"a": 1}', '["a"]'])
def test_a_damaged_count_is_refused_in_a_line(path, content):
    path.with_name("spent.json").write_text(content)
    with pytest.raises(StoreError, match=r"spent.json: is damaged; without it trainings since"):
        Samples(path)
