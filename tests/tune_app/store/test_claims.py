"""Launches that use one store at the same time share the work."""

import json
import os
import subprocess
import sys
import time

import pytest

from tune_app.store import claims
from tune_app.store.claims import Claim, Claims
from tune_app.store.store import Store


@pytest.fixture(params=["directory", "s3"])
def store(request, tmp_path):
    place = str(tmp_path)
    if request.param == "s3":
        place = request.getfixturevalue("s3")("claims", tmp_path.name)
    store = Store(place)
    store.create()
    return store


def test_a_launch_sees_what_others_train_while_they_do(store):
    one, other = Claims(store), Claims(Store(store.place))
    assert other.of_others() == []
    with one:
        one.take({"a1", "b2"})
        [claim] = other.of_others()
        assert claim.ids == {"a1", "b2"}
        assert f"process {os.getpid()} on " in claim.who
        assert one.of_others() == []
        assert store.storage.exists(f"{one.name}.alive")
    assert other.of_others() == []
    assert list(store.storage.names("claims")) == []


def test_a_launch_that_was_killed_has_no_claim(store):
    hold = (
        "import sys, time\n"
        "from tune_app.store.claims import Claims\nfrom tune_app.store.store import Store\n"
        "Claims(Store(sys.argv[1])).take(['a1'])\nprint('held', flush=True); time.sleep(600)"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", hold, store.place], stdout=subprocess.PIPE, text=True
    )
    with child:
        assert child.stdout.readline() == "held\n"
        mine = Claims(store)
        [claim] = mine.of_others()
        assert claim.ids == {"a1"}
        child.kill()
        # Ended, while whoever started it has not asked how: a zombie, which still has its number.
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert mine.of_others() == []
    assert not any(name.endswith(".json") for name in store.storage.names("claims"))


def test_a_launch_on_another_machine_is_dead_when_it_is_not_heard_of(store, monkeypatch):
    here, there = Claims(store), Claims(store)
    with there:
        there.take({"a1"})
        name = f"{there.name}.json"
        claim = json.loads(store.storage.read(name)) | {"machine": "elsewhere", "pid": 1 << 30}
        store.storage.write(name, json.dumps(claim).encode())
        assert here.of_others() == [Claim(claim["who"], frozenset(["a1"]))]
        monkeypatch.setattr(claims, "DEAD_AFTER_S", -60.0)  # as if a minute and more had passed
        assert here.of_others() == []


def test_a_claim_is_kept_alive(store, monkeypatch):
    monkeypatch.setattr(claims, "HEARTBEAT_S", 0.01)
    mine = Claims(store)
    alive = f"{mine.name}.alive"
    with mine:
        mine.take({"a1"})
        store.storage.delete(alive)
        while not store.storage.exists(alive):
            pass


def _of_another_machine(store) -> Claims:
    """A claim on a1 whose process cannot be looked at from here."""
    there = Claims(store)
    there.take({"a1"})
    name = f"{there.name}.json"
    claim = json.loads(store.storage.read(name)) | {"machine": "elsewhere", "pid": 1 << 30}
    store.storage.write(name, json.dumps(claim).encode())
    return there


@pytest.mark.parametrize("step_s", [300, -300, 10 * 365 * 86400])
def test_a_clock_that_is_set_takes_no_claim_and_keeps_none(tmp_path, monkeypatch, step_s):
    store = Store(str(tmp_path))
    store.create()
    here = Claims(store)
    with _of_another_machine(store) as there:
        alive = tmp_path / f"{there.name}.alive"
        os.utime(alive, (alive.stat().st_atime, alive.stat().st_mtime + step_s))
        assert here.ids_of_others() == {"a1"}
        now = time.monotonic()
        monkeypatch.setattr(claims.time, "monotonic", lambda: now)
        here.seen.clear()
        for seconds in (0, claims.DEAD_AFTER_S - 1):
            now += seconds
            assert here.ids_of_others() == {"a1"}
        now += 2
        assert here.ids_of_others() == set()


def test_a_heartbeat_is_counted_from_when_it_was_seen(tmp_path, monkeypatch):
    store = Store(str(tmp_path))
    store.create()
    here = Claims(store)
    now = time.monotonic()
    monkeypatch.setattr(claims.time, "monotonic", lambda: now)
    with _of_another_machine(store) as there:
        alive = tmp_path / f"{there.name}.alive"
        for beat in range(5):
            os.utime(alive, (0, 1000 - beat))  # by whatever clock, also one that goes backwards
            assert here.ids_of_others() == {"a1"}
            now += claims.DEAD_AFTER_S - 1
        now += 2
        assert here.ids_of_others() == set()


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"[]", b"null", b"[" * 100_000, b"\xff\xfe", b'{"ids": []}'),
        b'{"who": 1, "machine": "", "pid": 1, "ids": []}',
        b'{"who": "", "machine": "", "pid": "1", "ids": []}',
    ],
)
def test_a_claim_that_cannot_be_read_is_set_aside_and_holds_nothing(store, content):
    store.storage.write("claims/5e.json", content)
    store.storage.write("claims/5e.alive", b"")
    assert Claims(store).of_others() == []
    [note] = store.notes
    assert note == "claims/5e.json is damaged: set aside, what it claimed is free"
    assert store.storage.read("damaged/claims-5e.json") == content
