"""The store: what it gives is what was put, or nothing, and that is said."""

import gzip
import json
import math
import pickle
import shutil
import subprocess
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from pydantic_core import from_json
from tiny_sweep import file_of

from lt_core.packed_mask import PackedMask
from tune_app.json_line import as_line
from tune_app.store.inventory import Stored
from tune_app.store.store import SUFFIXES, Store, StoreError, _packed

RESULT = b'{"id":"3f0c","test_accuracy":0.5}'
MASK = PackedMask({"fc": (2, 4)}, np.array([0b10110001], np.uint8)).to_bytes()


@pytest.fixture
def store(tmp_path):
    store = Store(str(tmp_path / "store"))
    store.create()
    return store


def test_what_is_put_is_there_also_for_another_process(store):
    weights = {"conv": np.array([[1.5, -2.0]], dtype=np.float32)}
    store.put_result("3f0c", RESULT)
    store.put_ticket("8a41", MASK)
    store.put_weights("3f0c", weights)

    again = Store(store.place)
    assert again.result("3f0c", bytes) == RESULT
    assert again.ticket("8a41") == MASK
    assert again.weights("3f0c")["conv"].tolist() == [[1.5, -2.0]]
    stored = again.stored()
    assert (stored.results, stored.tickets, stored.weights) == ({"3f0c"}, {"8a41"}, {"3f0c"})


def test_every_number_comes_back_bit_for_bit(store):
    generator = np.random.default_rng(0)
    numbers = [*generator.random(1000), *np.exp(generator.normal(0, 200, 1000)), 0.1, 1, -0.0]
    store.put_result("3f0c", as_line({"id": "3f0c", "them": list(map(float, numbers))}))
    again = from_json(store.result("3f0c", bytes))
    assert list(map(repr, again["them"])) == list(map(repr, map(float, numbers)))
    with gzip.open(file_of(store, "results", "3f0c"), "rt") as file:
        assert json.load(file) == again


def test_a_number_that_is_none_is_not_lost(store):
    store.put_result("3f0c", as_line({"id": "3f0c", "loss": math.nan, "largest": math.inf}))
    again = from_json(store.result("3f0c", bytes))
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
    assert (store.checkpoint("3f0c", bytes), store.checkpoint("8a41", bytes)) == (None, b"state")


def test_what_is_not_there_is_none(store):
    assert (store.result("00", bytes), store.ticket("00"), store.weights("00")) == (None,) * 3


def test_stored_can_be_asked_of_some_ids_only(store):
    store.put_result("3f0c", RESULT)
    store.put_ticket("8a41", MASK)
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
    store.put_ticket("8a41", MASK)
    again = Store(store.place)
    assert again.results(["3f0c", "ffff"], bytes) == {"3f0c": RESULT}
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
        "results": (lambda: store.put_result("3f0c", RESULT), partial(store.result, parse=bytes)),
        "tickets": (lambda: store.put_ticket("3f0c", MASK), store.ticket),
        "weights": (lambda: store.put_weights("3f0c", {"fc": np.eye(9)}), store.weights),
        "checkpoints": (
            lambda: store.put_checkpoint("3f0c", b"s" * 50),
            partial(store.checkpoint, parse=bytes),
        ),
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


def put_all(store: Store, id: str) -> None:
    """A file of each kind, with contents of its own."""
    store.put_result(id, as_line({"id": id, "of": id}))
    store.put_failure(id, f"Diverged: {id}")
    store.put_content(id, {"of": id})
    store.put_ticket(id, MASK)
    store.put_weights(id, {id: np.eye(2)})
    store.put_checkpoint(id, id.encode())


def get(store: Store, kind: str, id: str) -> object:
    match kind:
        case "results":
            return store.result(id, bytes)
        case "failures":
            return store.failures([id]).get(id)
        case "contents":
            return next((c for c in store.contents() if c["of"] == id), None)
        case "tickets":
            return store.ticket(id)
        case "weights":
            return store.weights(id)
        case "checkpoints":
            return store.checkpoint(id, bytes)


@pytest.mark.parametrize("kind", SUFFIXES)
def test_a_file_that_is_another_s_is_set_aside(store, kind):
    """Two were swapped, by a copy or a repair: both have the right checksum."""
    for id in ("3f0c", "3f0d"):
        put_all(store, id)
    one, other = (file_of(store, kind, id) for id in ("3f0c", "3f0d"))
    contents = one.read_bytes(), other.read_bytes()
    one.write_bytes(contents[1])
    other.write_bytes(contents[0])
    assert get(store, kind, "3f0c") is None and get(store, kind, "3f0d") is None
    assert sorted(
        f"(it is {kind}/3f0{x}): set aside" in note for note in store.notes for x in "cd"
    ) == [*(False, False, True, True)]


def test_a_file_of_another_kind_is_set_aside(store):
    put_all(store, "3f0c")
    file_of(store, "checkpoints", "3f0c").write_bytes(
        file_of(store, "weights", "3f0c").read_bytes()
    )
    assert store.checkpoint("3f0c", bytes) is None


@pytest.mark.parametrize("kind", SUFFIXES)
def test_what_an_early_version_wrote_is_read(store, kind):
    """Its files carry no name."""
    put_all(store, "3f0c")
    path, before = file_of(store, kind, "3f0c"), get(store, kind, "3f0c")
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), 0, mtime=0))
    again = get(store, kind, "3f0c")
    assert store.notes == [] and again is not None
    assert kind == "weights" or again == before


@pytest.mark.parametrize("kind", ["results", "failures"])
def test_of_an_early_version_too_another_s_line_is_set_aside(store, kind):
    put_all(store, "3f0c")
    put_all(store, "3f0d")
    content = gzip.decompress(file_of(store, kind, "3f0d").read_bytes())
    file_of(store, kind, "3f0c").write_bytes(gzip.compress(content, 0, mtime=0))
    assert get(store, kind, "3f0c") is None
    assert "(it is not of 3f0c): set aside" in store.notes[0]


@pytest.mark.parametrize("kind", sorted(SUFFIXES.keys() - {"checkpoints"}))
@pytest.mark.parametrize("content", [b"", b"hello", b"[]", b"null", b'{"id":3}', b"[" * 100_000])
def test_a_right_checksum_over_a_wrong_content_is_set_aside(store, kind, content):
    put_all(store, "3f0c")
    path = file_of(store, kind, "3f0c")
    path.write_bytes(_packed(f"{kind}/3f0c", content))
    if kind == "contents" and content == b'{"id":3}':
        return  # which is an object
    assert get(store, kind, "3f0c") is None
    assert not path.exists() and len(store.notes) == 1


def test_a_file_that_would_unpack_to_more_than_itself_is_not_unpacked(store):
    put_all(store, "3f0c")
    path = file_of(store, "weights", "3f0c")
    path.write_bytes(gzip.compress(bytes(100_000_000)))  # 100 kB
    assert store.weights("3f0c") is None
    assert "(it is cut, or compressed): set aside" in store.notes[0]


def test_what_a_parser_refuses_is_set_aside(store):
    def refuse(line: bytes) -> bytes:
        raise ValueError("no such\nrecipe")

    store.put_result("3f0c", RESULT)
    assert store.result("3f0c", refuse) is None
    assert "(no such recipe): set aside" in store.notes[0]


def test_gzip_s_own_tools_read_what_is_stored(store):
    put_all(store, "3f0c")
    done = subprocess.run(
        ["gzip", "-lN", file_of(store, "results", "3f0c")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1].endswith("/3f0c")  # the name that it carries


def test_what_is_damaged_among_what_is_used(store):
    for id in ("8a41", "8a42"):
        store.put_ticket(id, MASK)
    store.put_weights("3f0c", {"fc": np.eye(2)})
    file_of(store, "tickets", "8a42").write_bytes(b"")
    assert store.damaged(store.stored()) == Stored(tickets=frozenset(["8a42"]))


def test_a_store_that_is_gone_for_a_while_is_waited_for(store):
    store.put_result("3f0c", RESULT)
    patient = Store(store.place, patience_s=60)
    away = Path(store.place).with_name("away")
    for ask in (
        lambda: patient.result("3f0c", bytes),
        lambda: patient.put_ticket("8a41", MASK),
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
        lambda: store.result("3f0c", bytes),
        lambda: store.put_result("3f0c", RESULT),
        lambda: store.stored(among=["3f0c"]),
    ):
        with pytest.raises(StoreError, match="the store is not there"):
            ask()
    assert not Path(store.place).exists()


def test_its_notes_stay_in_the_process_that_made_them(store):
    store.put_result("3f0c", b"{}")
    assert store.result("3f0c", bytes) is None
    assert len(store.notes) == 1
    assert pickle.loads(pickle.dumps(store)).notes == []
    assert len(store.notes) == 1
