"""The store: what it gives is what was put, or nothing, and that is said."""

import gzip
import json
import math
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from pydantic_core import from_json
from tiny_sweep import file_of

from tune_app.json_line import as_line
from tune_app.store.inventory import Stored
from tune_app.store.store import Store, StoreError

RESULT = b'{"id":"3f0c","test_accuracy":0.5}'


@pytest.fixture
def store(tmp_path):
    store = Store(str(tmp_path / "store"))
    store.create()
    return store


def test_what_is_put_is_there_also_for_another_process(store):
    weights = {"conv": np.array([[1.5, -2.0]], dtype=np.float32)}
    store.put_result("3f0c", RESULT)
    store.put_ticket("8a41", b"mask")
    store.put_weights("3f0c", weights)

    again = Store(store.place)
    assert again.result("3f0c") == RESULT
    assert again.ticket("8a41") == b"mask"
    assert again.weights("3f0c")["conv"].tolist() == [[1.5, -2.0]]
    stored = again.stored()
    assert (stored.results, stored.tickets, stored.weights) == ({"3f0c"}, {"8a41"}, {"3f0c"})


def test_every_number_comes_back_bit_for_bit(store):
    generator = np.random.default_rng(0)
    numbers = [*generator.random(1000), *np.exp(generator.normal(0, 200, 1000)), 0.1, 1, -0.0]
    store.put_result("3f0c", as_line(list(map(float, numbers))))
    again = from_json(store.result("3f0c"))
    assert list(map(repr, again)) == list(map(repr, map(float, numbers)))
    with gzip.open(file_of(store, "results", "3f0c"), "rt") as file:
        assert json.load(file) == again


def test_a_number_that_is_none_is_not_lost(store):
    store.put_result("3f0c", as_line({"loss": math.nan, "largest": math.inf}))
    again = from_json(store.result("3f0c"))
    assert math.isnan(again["loss"]) and again["largest"] == math.inf


def test_why_a_training_failed_is_kept(store):
    store.put_failure("3f0c", "Diverged: loss is nan at step 2 of 4")
    store.put_failure("8a41", "Diverged: loss is inf at step 1 of 4")
    assert store.failures(["3f0c", "ffff"]) == {"3f0c": "Diverged: loss is nan at step 2 of 4"}
    assert store.stored() == Stored()


def test_states_of_finished_trainings_are_forgotten(store):
    for id in ("3f0c", "8a41"):
        store.put_checkpoint(id, b"state")
    store.drop_checkpoints({"3f0c": None, "ffff": None}.keys())
    assert (store.checkpoint("3f0c"), store.checkpoint("8a41")) == (None, b"state")


def test_what_is_not_there_is_none(store):
    assert (store.result("00"), store.ticket("00"), store.weights("00")) == (None,) * 3


def test_stored_can_be_asked_of_some_ids_only(store):
    store.put_result("3f0c", RESULT)
    store.put_ticket("8a41", b"mask")
    stored = store.stored(among=["3f0c", "ffff"])
    assert (stored.results, stored.tickets) == ({"3f0c"}, frozenset())


def test_looking_at_a_store_that_does_not_exist_makes_nothing(tmp_path):
    store = Store(str(tmp_path / "runs" / "store"))
    assert store.stored().results == frozenset()
    assert list(tmp_path.iterdir()) == []


def test_a_store_of_another_format_is_refused(store):
    Path(store.place, "store.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(StoreError, match=r"store\.json: written in format 99, this version .* 2"):
        Store(store.place)


@pytest.mark.parametrize("content", ["", "[]", "{}", "\x00"])
def test_a_marker_that_says_nothing_is_refused(store, content):
    Path(store.place, "store.json").write_text(content)
    with pytest.raises(StoreError, match=r"store\.json: cannot be read"):
        Store(store.place)


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "read_only").mkdir()
    (tmp_path / "read_only" / "store.json").mkdir()
    with pytest.raises(StoreError, match=r"read_only/store\.json: cannot be read: .*directory"):
        Store(str(tmp_path / "read_only"))
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file/store/store\.json: cannot be read: .*directory"):
        Store(str(tmp_path / "file" / "store"))


def test_a_store_on_s3_is_like_any_other(s3, tmp_path):
    store = Store(s3("store", tmp_path.name))
    assert store.stored() == Stored()
    store.create()
    store.put_result("3f0c", RESULT)
    store.put_ticket("8a41", b"mask")
    again = Store(store.place)
    assert again.results(["3f0c", "ffff"]) == {"3f0c": RESULT}
    assert again.stored() == Stored(frozenset(["3f0c"]), frozenset(["8a41"]))
    assert again.damaged(again.stored()) == Stored()


def test_an_error_does_not_show_the_keys(s3_away):
    with pytest.raises(StoreError, match=r"s3://\*\*\*@bucket/folder.*cannot be read") as refused:
        Store(s3_away)
    assert "SECRET" not in str(refused.value)


GARBLED = {
    "cut": lambda data: data[:-9],
    "cut in its checksum": lambda data: data[:-3],
    "empty": lambda data: b"",
    "zeros, as after a power cut": lambda data: bytes(len(data)),
    "a flipped bit": lambda data: data[:30] + bytes([data[30] ^ 4]) + data[31:],
    "another file": lambda data: b"hello",
}


@pytest.mark.parametrize("garble", GARBLED.values(), ids=GARBLED)
@pytest.mark.parametrize("kind", ["results", "tickets", "weights", "checkpoints"])
def test_a_damaged_file_is_set_aside_and_said(store, kind, garble):
    put_and_get = {
        "results": (lambda: store.put_result("3f0c", RESULT), store.result),
        "tickets": (lambda: store.put_ticket("3f0c", b"m" * 50), store.ticket),
        "weights": (lambda: store.put_weights("3f0c", {"fc": np.eye(9)}), store.weights),
        "checkpoints": (lambda: store.put_checkpoint("3f0c", b"s" * 50), store.checkpoint),
    }
    put, get = put_and_get[kind]
    put()
    path = file_of(store, kind, "3f0c")
    garbled = garble(path.read_bytes())
    path.write_bytes(garbled)
    assert get("3f0c") is None
    assert not path.exists()
    [aside] = Path(store.place, "damaged").iterdir()
    assert aside.read_bytes() == garbled
    [note] = store.notes
    assert note.startswith(f"{path} is damaged (") and f"set aside as damaged/{aside.name}" in note
    put()
    assert get("3f0c") is not None


def test_what_is_damaged_among_what_is_used(store):
    for id in ("8a41", "8a42"):
        store.put_ticket(id, b"mask")
    store.put_weights("3f0c", {"fc": np.eye(2)})
    file_of(store, "tickets", "8a42").write_bytes(b"")
    assert store.damaged(store.stored()) == Stored(tickets=frozenset(["8a42"]))


def test_a_store_that_is_gone_for_a_while_is_waited_for(store):
    store.put_result("3f0c", RESULT)
    patient = Store(store.place, patience_s=60)
    away = Path(store.place).with_name("away")
    for ask in (
        lambda: patient.result("3f0c"),
        lambda: patient.put_ticket("8a41", b"mask"),
        lambda: patient.stored(among=["3f0c"]),
    ):
        shutil.move(store.place, away)
        timer = threading.Timer(0.7, shutil.move, (away, store.place))
        timer.start()
        ask()
        timer.join()
    assert patient.stored() == Stored(frozenset(["3f0c"]), frozenset(["8a41"]))
    assert len(patient.notes) == 3 and all("the store is not there" in n for n in patient.notes)


def test_a_store_that_stays_away_is_refused_and_not_taken_for_an_empty_one(store):
    store.put_result("3f0c", RESULT)
    shutil.rmtree(store.place)
    for ask in (
        lambda: store.result("3f0c"),
        lambda: store.put_result("3f0c", RESULT),
        lambda: store.stored(among=["3f0c"]),
    ):
        with pytest.raises(StoreError, match="the store is not there"):
            ask()
    assert not Path(store.place).exists()
