"""A cluster whose head dies while a sweep runs."""

import subprocess
import sys

import pytest
from several_nodes import kill_node, nodes, outside
from tiny_sweep import num_stored, started, wait_until

pytestmark = pytest.mark.nightly

IMPATIENT = (
    "import sys; from tune_app.run import ray_settings; ray_settings.apply(); "
    "from tune_app import launch; from tune_app.run import cluster, head; "
    "head.PATIENCE_S = cluster.INTERVAL_S = 1.0; sys.exit(launch.main())"
)


@pytest.fixture
def cluster():
    with nodes(1) as cluster:
        yield cluster


def test_it_is_said_at_once_and_the_launch_ends_with_a_code_of_its_own(cluster, tiny, tmp_path):
    runs = tmp_path / "runs"
    arguments = [sys.executable, "-c", IMPATIENT, str(tiny), "--out", str(runs)]
    longer = ["train.duration=6ep", "seeds=[0, 1, 2, 3]"]
    with subprocess.Popen(
        [*arguments, *longer],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=outside(cluster),
    ) as launch:
        wait_until(lambda: num_stored(runs) >= 1, launch)
        cluster.head_node.all_processes["gcs_server"][0].process.kill()
        _, err = launch.communicate(timeout=100)
    assert launch.returncode == 4, err
    *before, end = err.splitlines()
    # A trial that had ended may be told between the two.
    [away] = [line for line in before if line.startswith("cluster: its head at ")]
    assert away.startswith(f"cluster: its head at {cluster.address} does not answer; waiting 1s")
    assert f"python -m tune_app.launch {tiny} --out {runs} " in away
    assert end == "stopped: the head of the cluster stayed away, or another came in its place"
    assert not (runs / "tiny" / "_ray").exists()
    assert not list((runs / "_store" / "claims").glob("*.json"))
    assert num_stored(runs) >= 1


def test_where_rays_core_ends_the_process_it_is_said_too(cluster, tiny, tmp_path):
    runs = tmp_path / "runs"
    longer = ["train.duration=6ep", "seeds=[0, 1, 2, 3]"]
    with started(tiny, *longer, "--out", runs, env=outside(cluster)) as launch:
        wait_until(lambda: num_stored(runs) >= 1, launch)
        for node in cluster.list_all_nodes():
            kill_node(node)
        _, err = launch.communicate(timeout=100)
    assert launch.returncode == 4, err
    assert err.splitlines()[-1].startswith("stopped: ")
    assert f" a cluster is up again: python -m tune_app.launch {tiny} train.duration=6ep " in err
