"""Launches that use one store at the same time share the work."""

import json
import os
import subprocess
import sys

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
