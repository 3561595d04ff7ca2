"""What a sweep says of itself that finds no room."""

import pytest

from tune_app.run import waiting as waits
from tune_app.run.cluster import Nodes
from tune_app.run.waiting import Waiting


@pytest.fixture
def clock(monkeypatch):
    """Seconds, to be set."""
    now = [100.0]
    monkeypatch.setattr(waits.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(waits.time, "strftime", lambda form: "12:34")
    monkeypatch.setattr(waits, "look", lambda of: Nodes(2, 0, (2, 2), (0, 0), ()))
    return now


def test_who_waits_says_for_what_and_since_when(clock):
    said = []
    waiting = Waiting(lambda event: said.append(event.text))
    for clock[0] in (100.0, 110.0, 116.0, 200.0):
        waiting.look(5)
    assert said == [
        "no trial of this sweep runs since 12:34: 5 wait for room (2 nodes, 2 of 2 CPUs in use). "
        "Its workers may just be starting; other sweeps, where there are any, leave it a part as "
        "their trials end"
    ]
    clock[0] = 717.0  # ten minutes after the first time, 116
    waiting.look(5)
    assert len(said) == 2
    clock[0] = 730.0
    waiting.started("t1")
    assert said[2] == "a trial has found room, after 10m30s"


def test_nothing_is_said_while_one_runs_or_nothing_is_to_do(clock):
    waiting = Waiting(pytest.fail)
    waiting.look(0)
    waiting.started("t1")
    clock[0] = 1000.0
    waiting.look(5)
    waiting.ended("t1")
    clock[0] = 1010.0
    waiting.look(5)
