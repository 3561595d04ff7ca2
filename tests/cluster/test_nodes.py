"""A sweep on several nodes: the results are those of one machine, whatever dies."""

import pytest
from several_nodes import kill_node, nodes, outside
from tiny_sweep import (
    NUM_TRAININGS,
    num_stored,
    num_trained,
    same_results,
    started,
    wait_until,
)

pytestmark = pytest.mark.nightly


def test_a_node_that_dies_costs_only_what_ran_on_it(tiny, undisturbed, tmp_path):
    runs = tmp_path / "runs"
    with nodes(2) as cluster:
        address = cluster.address
        arguments = (tiny, "--out", runs, "--address", address)
        env = outside(cluster) | {"RAY_ADDRESS": "127.0.0.1:1"}  # the option wins
        with started(*arguments, env=env) as launch:
            wait_until(lambda: num_stored(runs) >= 5, launch)
            kill_node(cluster.list_all_nodes()[1])
            _, err = launch.communicate(timeout=300)
    assert launch.returncode == 0, err
    assert f"cluster: Ray at {address}\n" in err
    assert num_trained(err) == NUM_TRAININGS
    assert same_results(runs, undisturbed)


def test_after_the_whole_cluster_died_the_same_command_goes_on(tiny, undisturbed, tmp_path):
    runs = tmp_path / "runs"
    with nodes(2) as cluster, started(tiny, "--out", runs, env=outside(cluster)) as launch:
        wait_until(lambda: num_stored(runs) >= 5, launch)
        for node in cluster.list_all_nodes():
            kill_node(node)
        launch.kill()
    num_before = num_stored(runs)
    with nodes(1) as cluster, started(tiny, "--out", runs, env=outside(cluster)) as again:
        _, err = again.communicate(timeout=300)
    assert again.returncode == 0, err
    assert num_trained(err) == NUM_TRAININGS - num_before
    assert same_results(runs, undisturbed)
