"""The store: what is written is whole, or absent and said."""

import errno
import json
import math
import os

import numpy as np
import pytest

from tune_app.store import Store, StoreError, write_atomically

RESULT = {"id": "3f0c", "test_accuracy": 0.5}


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store")
    store.create()
    return store


def test_what_is_put_is_there_also_for_another_process(store):
    weights = {"conv": np.array([[1.5, -2.0]], dtype=np.float32)}
    store.put_result(RESULT)
    store.put_ticket("8a41", b"mask")
    store.put_weights("3f0c", weights)

    again = Store(store.root)
    assert again.result("3f0c") == RESULT
    assert again.ticket("8a41") == b"mask"
    assert again.weights("3f0c")["conv"].tolist() == [[1.5, -2.0]]
    stored = again.stored()
    assert (stored.results, stored.tickets, stored.weights) == ({"3f0c"}, {"8a41"}, {"3f0c"})


def test_every_number_comes_back_bit_for_bit(store):
    generator = np.random.default_rng(0)
    numbers = [*generator.random(1000), *np.exp(generator.normal(0, 200, 1000)), 0.1, 1, -0.0]
    store.put_result({"id": "3f0c", "numbers": list(map(float, numbers))})
    assert list(map(repr, store.result("3f0c")["numbers"])) == list(map(repr, map(float, numbers)))
    assert json.loads((store.root / "results/3f/3f0c.json").read_text()) == store.result("3f0c")


def test_a_number_that_is_none_is_not_lost(store):
    store.put_result({"id": "3f0c", "loss": math.nan, "largest": math.inf})
    again = store.result("3f0c")
    assert math.isnan(again["loss"]) and again["largest"] == math.inf


def test_what_is_not_there_is_none(store):
    assert (store.result("00"), store.ticket("00"), store.weights("00")) == (None,) * 3


def test_stored_can_be_asked_of_some_ids_only(store):
    store.put_result(RESULT)
    store.put_ticket("8a41", b"mask")
    stored = store.stored(among=["3f0c", "ffff"])
    assert (stored.results, stored.tickets) == ({"3f0c"}, frozenset())


def test_looking_at_a_store_that_does_not_exist_makes_nothing(tmp_path):
    store = Store(tmp_path / "runs" / "store")
    assert store.stored().results == frozenset()
    assert list(tmp_path.iterdir()) == []


def test_a_store_of_another_format_is_refused(store):
    (store.root / "store.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(StoreError, match=r"store\.json: written in format 99, this version .* 1"):
        Store(store.root)


@pytest.mark.parametrize("content", ["", "[]", "{}", "\x00"])
def test_a_marker_that_says_nothing_is_refused(store, content):
    (store.root / "store.json").write_text(content)
    with pytest.raises(StoreError, match=r"store\.json: cannot be read"):
        Store(store.root)


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "results").write_text("")
    with pytest.raises(StoreError, match=r"cannot be written: File exists"):
        Store(tmp_path).create()


def test_a_place_that_cannot_be_read_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file/store/store\.json: cannot be read: .*directory"):
        Store(tmp_path / "file" / "store")


def test_a_damaged_result_is_refused_and_named(store):
    store.put_result(RESULT)
    path = store.root / "results" / "3f" / "3f0c.json"
    path.write_text(path.read_text()[:10])
    with pytest.raises(StoreError, match=r"3f0c\.json: is damaged .*delete it"):
        store.result("3f0c")


def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "result.json"
    write_atomically(path, b"old")

    def no_space(file):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match=r"No space left on device: '.*result\.json'"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["result.json"]


def test_half_written_files_do_not_count(store):
    store.put_result(RESULT)
    folder = store.root / "results" / "3f"
    (folder / "3fff.json.0123.part").write_text("{")
    assert store.stored().results == {"3f0c"}
