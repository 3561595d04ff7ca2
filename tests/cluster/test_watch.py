"""What is said of a cluster while its nodes come and go."""

import os
import time

import pytest
import ray
from ray.exceptions import RayError
from several_nodes import nodes
from tiny_sweep import wait_for

from tune_app.run import cluster as watched
from tune_app.run.cluster import Nodes, Watch, has_idle_gpu, look
from tune_app.sweep.resources import Resources


@pytest.fixture(scope="module")
def cluster():
    """A head and a worker of one core."""
    with nodes(1) as cluster:
        yield cluster


@pytest.fixture
def connected(cluster, monkeypatch):
    """It, with this process connected; what a test adds to it goes with the test."""
    monkeypatch.setattr(watched, "INTERVAL_S", 0.1)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    [worker] = cluster.worker_nodes
    yield cluster
    for node in cluster.worker_nodes - {worker}:
        cluster.remove_node(node)
    wait_for(lambda: look([]).number == 2)
    ray.shutdown()


def test_nodes_are_said_as_they_come(connected):
    said = []
    with Watch([Resources(cpu=1, gpu=1)], said.append):
        wait_for(lambda: said)
        waits = "none holds a trial (cpu: 1, gpu: 1) yet"
        assert said == [f"cluster: 2 nodes, 0 of 1 CPU in use; {waits}"]
        connected.add_node(num_cpus=2, num_gpus=1, object_store_memory=100_000_000)
        wait_for(lambda: len(said) == 2)
    assert said[1] == "cluster: 3 nodes, 0 of 3 CPUs in use, 0 of 1 GPU in use"
    assert said[2].startswith("cluster: at most 3 nodes, 0.0")


def test_a_trial_that_no_node_can_ever_hold_is_told_once(connected, monkeypatch):
    monkeypatch.setattr(watched, "PATIENCE_S", 0.2)
    said = []
    with Watch([Resources(cpu=1), Resources(cpu=4, gpu=0.5)], said.append) as watch:
        wait_for(lambda: len(said) == 2)
        hours = watch.node_seconds
        wait_for(lambda: watch.node_seconds > hours + 2)  # of two nodes: ten more looks
    assert said[0].endswith("; none holds a trial (cpu: 4, gpu: 0.5) yet")
    assert said[1].startswith("cluster: for 0.2s no node that holds a trial (cpu: 4, gpu: 0.5), ")
    assert len(said) == 3  # and the last line


def test_what_is_in_use_is_said_when_it_is_more_than_ever(connected):
    @ray.remote(num_cpus=1)
    class Busy:
        def pid(self) -> int:
            return os.getpid()

    said = []
    with Watch([Resources()], said.append) as watch:
        wait_for(lambda: said)
        for _ in range(2):
            busy = Busy.remote()
            ray.get(busy.pid.remote())
            wait_for(lambda: look([]).cpus == (1, 1))
            seconds = watch.node_seconds
            wait_for(lambda seen=seconds: watch.node_seconds > seen + 1)
            ray.kill(busy)
            wait_for(lambda: look([]).cpus == (0, 1))
    assert said[:-1] == [f"cluster: 2 nodes, {number} of 1 CPU in use" for number in (0, 1)]


def test_a_head_that_does_not_answer_is_asked_now_and_then(monkeypatch):
    asked = []

    def look(resources):
        asked.append(time.monotonic())
        raise RayError

    monkeypatch.setattr(watched, "look", look)
    monkeypatch.setattr(watched, "INTERVAL_S", 0.1)
    said = []
    with Watch([Resources()], said.append):
        wait_for(lambda: len(asked) == 4)
    assert asked[3] - asked[0] >= 0.3
    assert said == ["cluster: at most 0 nodes, 0.00 node hours"]


def test_what_is_in_use_is_counted(connected):
    @ray.remote(num_cpus=1)
    class Busy:
        def pid(self) -> int:
            return os.getpid()

    busy = Busy.remote()
    ray.get(busy.pid.remote())
    wait_for(lambda: look([Resources()]).cpus == (1, 1))
    assert look([Resources()]) == Nodes(2, 0, (1, 1), (0, 0), without_room=())
    ray.kill(busy)


def test_an_idle_gpu_is_seen(connected):
    assert not has_idle_gpu(0.25)
    connected.add_node(num_cpus=1, num_gpus=1, object_store_memory=100_000_000)
    wait_for(lambda: has_idle_gpu(1))

    @ray.remote(num_cpus=0, num_gpus=0.5)
    class Busy:
        def pid(self) -> int:
            return os.getpid()

    busy = Busy.remote()
    ray.get(busy.pid.remote())
    wait_for(lambda: not has_idle_gpu(1))
    assert has_idle_gpu(0.5)
    ray.kill(busy)
