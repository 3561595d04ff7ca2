"""The state of a running training is kept when it is due, and gone when it has a result."""

import math

import pytest
import torch
from tiny_sweep import file_of

from lt_core.checkpoint import Checkpoint
from tune_app.store import checkpoints
from tune_app.store.checkpoints import StoredCheckpoints
from tune_app.store.store import Store

STATE = Checkpoint(30, {"fc.weight": torch.eye(2)}, {"fc.weight": torch.ones(2, 2)})


@pytest.fixture
def store(tmp_path):
    store = Store(str(tmp_path))
    store.create()
    return store


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass when a test says so."""
    now = [1000.0]
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: now[0])
    return now


def test_what_is_kept_is_there_for_another_process(store):
    StoredCheckpoints(store, "3f0c", seconds=600).save(STATE)
    kept = StoredCheckpoints(Store(store.place), "3f0c", seconds=600).load()
    assert kept.step == 30
    assert torch.equal(kept.network["fc.weight"], torch.eye(2))
    assert torch.equal(kept.momentum["fc.weight"], torch.ones(2, 2))
    assert StoredCheckpoints(store, "8a41", seconds=600).load() is None
    store.drop_checkpoint("3f0c")
    store.drop_checkpoint("3f0c")
    assert StoredCheckpoints(store, "3f0c", seconds=600).load() is None


def test_by_epochs():
    each = StoredCheckpoints(None, "3f0c", seconds=math.inf, epochs=3)
    assert [each.is_due() for _ in range(7)] == [False, False, True, False, False, True, False]


def test_by_time_since_the_training_began_or_was_kept(store, clock):
    kept = StoredCheckpoints(store, "3f0c", seconds=120)
    clock[0] += 1000  # of the rounds before it
    kept.load()
    clock[0] += 119
    assert not kept.is_due()
    clock[0] += 1
    assert kept.is_due()
    kept.save(STATE)
    assert not kept.is_due()
    clock[0] += 120
    assert kept.is_due()


def test_a_damaged_state_is_set_aside_and_the_training_starts_from_its_beginning(store):
    StoredCheckpoints(store, "3f0c", seconds=600).save(STATE)
    path = file_of(store, "checkpoints", "3f0c")
    path.write_bytes(path.read_bytes()[:-1])
    assert StoredCheckpoints(store, "3f0c", seconds=600).load() is None
    assert not path.exists() and len(store.notes) == 1
