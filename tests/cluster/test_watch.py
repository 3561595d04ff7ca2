"""What is said of a cluster while its nodes come and go."""

import os

import pytest
import ray
from conftest import nodes
from tiny_sweep import wait_for

from tune_app import cluster as watched
from tune_app.cluster import Nodes, Watch, has_idle_gpu, look
from tune_app.spec import Resources


@pytest.fixture
def connected(monkeypatch):
    """A head and a worker of one core, and this process connected to them."""
    monkeypatch.setattr(watched, "INTERVAL_S", 0.1)
    with nodes(1) as cluster:
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        yield cluster
        ray.shutdown()


def test_nodes_are_said_as_they_come(connected):
    said = []
    with Watch([Resources(cpu=1, gpu=1)], said.append):
        wait_for(lambda: said)
        waits = "none holds a trial (cpu: 1, gpu: 1) yet"
        assert said == [f"cluster: 2 nodes, 0 of 1 CPUs in use; {waits}"]
        connected.add_node(num_cpus=2, num_gpus=1, object_store_memory=100_000_000)
        wait_for(lambda: len(said) == 2)
    assert said[1] == "cluster: 3 nodes, 0 of 3 CPUs in use, 0 of 1 GPUs in use"
    assert said[2].startswith("cluster: at most 3 nodes, 0.0")


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
