"""How much of a cluster a sweep leaves to others that wait: launches see each other's notes."""

import pytest

from tune_app.run import share as shares
from tune_app.run.share import Share
from tune_app.sweep.resources import Resources


@pytest.fixture
def clock(monkeypatch):
    """Seconds, to be set; a cluster of 8 cores, and its key-value store."""
    now, kept = [100.0], {}
    monkeypatch.setattr(shares.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(shares, "num_slots", lambda resources: 8 // resources.cpu)
    node = {"Alive": True, "Resources": {"CPU": 8}}
    monkeypatch.setattr(shares.ray, "nodes", lambda: [node])
    kv = shares.internal_kv
    monkeypatch.setattr(
        kv, "_internal_kv_put", lambda key, value, namespace: kept.update({key: value})
    )
    monkeypatch.setattr(kv, "_internal_kv_get", lambda key, namespace: kept.get(key))
    monkeypatch.setattr(kv, "_internal_kv_list", lambda prefix, namespace: list(kept))
    monkeypatch.setattr(kv, "_internal_kv_del", lambda key, namespace: kept.pop(key))
    return now


def of(cpu=1, gpu=0.0):
    return Share([Resources(cpu=cpu, gpu=gpu)])


def test_who_has_all_goes_down_to_its_part_while_another_has_less(clock):
    first, second = of(), of()
    first.look(8, 16)
    second.look(0, 16)
    assert first.most is None  # its workers may just be starting
    clock[0] = 111.0
    second.look(0, 16)
    first.look(8, 16)
    assert (first.most, second.most) == (4, None)
    clock[0] = 117.0
    second.look(3, 16)  # it gets room: one more trial is a new beginning of its patience
    first.look(5, 3)
    assert first.most is None
    clock[0] = 130.0
    second.look(3, 16)
    first.look(5, 3)
    assert (first.most, second.most) == (4, None)
    clock[0] = 145.0
    second.look(4, 16)
    first.look(4, 16)
    assert (first.most, second.most) == (None, None)


def test_one_that_died_or_left_or_that_no_node_can_help_costs_nothing(clock):
    first, second, large = of(), of(), of(gpu=1)
    for clock[0] in (100.0, 112.0):
        second.look(0, 5)
        large.look(0, 5)
        first.look(8, 5)
    assert first.most == 2  # 8 for three
    second.leave()
    clock[0] = 118.0
    large.look(0, 5)
    first.look(8, 5)
    assert first.most is None  # no node has a GPU
    third = of()
    for clock[0] in (124.0, 136.0):
        third.look(0, 5)
        first.look(8, 5)
    assert first.most == 2
    for clock[0] in (150.0, 170.0):  # without a word of the other
        first.look(8, 5)
    assert first.most is None
