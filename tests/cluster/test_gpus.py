"""How trials share GPUs. These are only in Ray's books, which is what it assigns them by."""

from collections import Counter
from pathlib import Path

import pytest
from gate import Gate
from ray.autoscaler.v2.sdk import get_cluster_status
from ray.cluster_utils import Cluster
from several_nodes import nodes, outside
from tiny_sweep import read_results, same_results, started, wait_until

pytestmark = pytest.mark.nightly


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gate:
    """For nodes that are started after it."""
    gate = Gate(tmp_path / "gate")
    for name, value in gate.environment().items():
        monkeypatch.setenv(name, value)
    return gate


def idle_cores_while_trials_wait(cluster: Cluster) -> float | None:
    status = get_cluster_status(cluster.address)
    waiting = status.resource_demands.placement_group_demand
    return status.available_resources()["CPU"] if waiting else None


def test_trials_of_half_a_gpu_share_it_in_pairs(gate, tiny, undisturbed, tmp_path):
    overrides = ("resources_per_trial.cpu=1", "resources_per_trial.gpu=0.5")
    with (
        nodes(1, num_cpus=6, num_gpus=2) as cluster,
        started(tiny, *overrides, "--out", tmp_path / "runs", env=outside(cluster)) as launch,
    ):
        wait_until(lambda: len(gate.notes()) >= 4, launch)
        assert Counter(note["gpus"][0] for note in gate.notes()) == {0: 2, 1: 2}
        # The node has cores for two more of those that wait, but no GPU.
        wait_until(lambda: idle_cores_while_trials_wait(cluster) == 2, launch)
        assert len(gate.notes()) == 4
        gate.open()
        _, said = launch.communicate(timeout=300)
    assert launch.returncode == 0, said
    assert all(note["gpus"] in ([0], [1]) for note in gate.notes())
    assert same_results(tmp_path / "runs", undisturbed)


def test_chains_on_gpus_and_evaluations_on_cores_run_side_by_side(gate, tiny, tmp_path):
    overrides = ("find.resources={cpu: 2, gpu: 1}", "eval.resources={cpu: 1}")
    overrides += ("seeds=[0]", "baselines=[global_random]")
    with nodes(1, num_cpus=2, num_gpus=1) as cluster:
        with_gpu = cluster.list_all_nodes()[1].node_id
        without = cluster.add_node(num_cpus=1, object_store_memory=100_000_000).node_id
        with started(tiny, *overrides, "--out", tmp_path / "runs", env=outside(cluster)) as launch:
            wait_until(lambda: len(gate.notes()) == 2, launch)
            given = {note["node"]: (note["gpus"], note["threads"]) for note in gate.notes()}
            assert given == {with_gpu: ([0], 2), without: ([], 1)}
            gate.open()
            _, said = launch.communicate(timeout=300)
    assert launch.returncode == 0, said
    chains = [note for note in gate.notes() if note["gpus"]]
    assert len(chains) == 2
    # At 2 sparsities: each chain's ticket at the other's H, and random masks at both.
    assert len(gate.notes()) == 2 + 4 + 4
    assert len(read_results(tmp_path / "runs")) == 2 * 3 + 4 + 4


def test_trials_without_a_gpu_see_none_where_there_is_one(gate, tiny, tmp_path):
    with (
        nodes(1, num_cpus=1, num_gpus=1) as cluster,
        started(tiny, "--out", tmp_path / "runs", env=outside(cluster)) as launch,
    ):
        wait_until(gate.notes, launch)
    [note] = gate.notes()
    assert note["gpus"] == []
    assert note["visible"] == ""
