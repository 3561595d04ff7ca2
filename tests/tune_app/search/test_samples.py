"""What a search has tried, as it is written and read."""

import json

import pytest

from lt_core.config import Recipe
from tune_app.search.chooser import Configuration
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


def three(path) -> Samples:
    """Of two sweep files: ids that begin with a and with b."""
    samples = Samples(path)
    samples.all = [
        Sample(Configuration(H1, H2), "a1", "complete", 0.5, trainings=3),
        Sample(Configuration(H2, H2), "b1", "complete", 0.6, trainings=5),
        Sample(Configuration(H2, H1), "a2", "complete", 0.7, trainings=8),
    ]
    samples.last_spent = Spent(9, 1.0, 2.0)
    samples.write()
    return samples


def ids(samples: list[Sample]) -> list[str]:
    return [sample.id for sample in samples]


def test_samples_of_another_sweep_file_are_kept_for_when_it_is_that_again(path):
    three(path)
    edited = Samples(path)
    assert edited.leave_out(lambda sample: sample.id[0] == "a") == 2
    assert ids(edited.all) == ["b1"] and edited.spent.trainings == 5  # not the 9 of the others
    edited.all.append(Sample(Configuration(H1, H1), "b2"))
    edited.write()
    assert ids(Samples(path).all) == ["b1", "b2"]  # what a report reads
    back = Samples(path)
    assert back.leave_out(lambda sample: sample.id[0] == "b") == 0  # two left, two came
    assert sorted(ids(back.all)) == ["a1", "a2"] and ids(back.others) == ["b1", "b2"]
    assert back.all[0].value == 0.5
    back.write()
    assert sorted(ids(Samples(path).all)) == ["a1", "a2"]


def test_what_was_spent_belongs_to_the_search_of_its_last_sample(path):
    three(path)
    same = Samples(path)
    assert same.leave_out(lambda sample: sample.id == "b1") == 1
    assert same.spent == Spent(9, 1.0, 2.0)


def test_two_launches_of_one_search_write_down_what_both_tried(path):
    one, other = Samples(path), Samples(path)
    one.all.append(Sample(Configuration(H1, H2), "a1"))
    one.write()
    other.all.append(Sample(Configuration(H2, H2), "a2"))
    other.write()
    one.all[0].state, one.all[0].value = "complete", 0.5
    one.write()
    assert {s.id: s.state for s in Samples(path).all} == {"a1": "complete", "a2": "running"}
