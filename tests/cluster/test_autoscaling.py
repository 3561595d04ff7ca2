"""A sweep on a cluster whose GPU nodes come when trials ask for them, and may be taken away.

The GPUs are only in Ray's books, by which it schedules and scales; the trials train on the CPU.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from autoscaling import HEAD, AutoscalingCluster, autoscaled
from gate import Gate
from ray.autoscaler.v2.sdk import request_cluster_resources
from several_nodes import outside
from tiny_sweep import (
    NUM_TRAININGS,
    num_stored,
    num_trained,
    same_results,
    started,
    wait_for,
    wait_until,
)

pytestmark = pytest.mark.nightly

WORKER = {"CPU": 1, "GPU": 1}
ON_A_GPU = "resources_per_trial.gpu=1"


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path / "gate")


@contextmanager
def launched(
    tiny: Path, runs: Path, gate: Gate
) -> Iterator[tuple[AutoscalingCluster, subprocess.Popen[str]]]:
    """A cluster of up to two GPU nodes, and a launch whose trials ask for a GPU each."""
    with (
        autoscaled(WORKER, 2, gate.environment()) as cluster,
        started(tiny, ON_A_GPU, "--out", runs, env=outside(cluster)) as launch,
    ):
        yield cluster, launch


def error_output(launch: subprocess.Popen[str], cluster: AutoscalingCluster) -> str:
    """What a launch said, when it is over; meanwhile the nodes are counted."""
    wait_for(lambda: cluster.num_workers() >= 0 and launch.poll() is not None)
    return launch.communicate()[1]


def test_gpu_nodes_come_for_the_trials_and_go_after_the_last(tiny, undisturbed, tmp_path, gate):
    with launched(tiny, tmp_path / "runs", gate) as (cluster, launch):
        wait_until(lambda: cluster.num_workers() == len(gate.notes()) == 2, launch)
        assert len({note["node"] for note in gate.notes()} - {HEAD}) == 2
        assert [note["gpus"] for note in gate.notes()] == [[0], [0]]
        gate.open()
        said = error_output(launch, cluster)
        wait_for(lambda: cluster.num_workers() == 0)
    assert launch.returncode == 0, said
    assert cluster.numbers in ([0, 1, 2, 1, 0], [0, 1, 2, 0], [0, 2, 1, 0], [0, 2, 0])
    assert "none holds a trial (cpu: 1, gpu: 1) yet" in said
    assert num_trained(said) == NUM_TRAININGS
    assert same_results(tmp_path / "runs", undisturbed)


def test_a_node_that_is_preempted_is_replaced_and_changes_no_result(
    tiny, undisturbed, tmp_path, gate
):
    with launched(tiny, tmp_path / "runs", gate) as (cluster, launch):
        wait_until(lambda: cluster.num_workers() == len(gate.notes()) == 2, launch)
        gate.open()
        wait_until(lambda: num_stored(tmp_path / "runs") >= 5, launch)
        gate.close()
        wait_until(lambda: len(cluster.nodes_of("TicketTrial")) == 2, launch)
        preempted, stays = sorted(cluster.nodes_of("TicketTrial"))
        cluster.preempt(preempted)
        wait_until(lambda: cluster.num_workers() == 1, launch)
        wait_until(lambda: len(cluster.nodes_of("TicketTrial") - {stays}) == 1, launch)
        gate.open()
        said = error_output(launch, cluster)
    assert launch.returncode == 0, said
    assert "to be tried again" in said
    assert num_trained(said) == NUM_TRAININGS
    assert same_results(tmp_path / "runs", undisturbed)


def test_masks_are_held_on_the_head_and_a_launch_that_is_killed_keeps_no_node(tiny, tmp_path, gate):
    with autoscaled(WORKER, 2, gate.environment()) as cluster:
        # Workers that the holder could go to, as another sweep may have.
        request_cluster_resources(cluster.address, [{"resources": WORKER}] * 2)
        wait_for(lambda: cluster.num_workers() == 2)
        runs = tmp_path / "runs"
        with started(tiny, ON_A_GPU, "--out", runs, env=outside(cluster)) as launch:
            wait_until(gate.notes, launch)
            # On a worker it would keep that one up.
            assert cluster.nodes_of("TicketHolder") == {HEAD}
            launch.kill()
        request_cluster_resources(cluster.address, [])
        wait_for(lambda: cluster.num_workers() == 0)
        assert not cluster.nodes_of("TicketHolder")
