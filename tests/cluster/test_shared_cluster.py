"""Sweeps of several people on one cluster."""

import psutil
import pytest
from gate import Gate
from several_nodes import nodes, outside
from tiny_sweep import started, wait_for, wait_until

SMALL = ("max_concurrent=1", "resources_per_trial={cpu: 0.5}")


@pytest.mark.nightly
def test_each_has_its_share_and_what_a_killed_one_held_goes_with_it(tiny, tmp_path):
    gate = Gate(tmp_path / "gate")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in gate.environment().items():
            patch.setenv(name, value)
        with nodes(1) as cluster:
            _share(cluster, gate, tiny, tmp_path)


def _share(cluster, gate, tiny, folder) -> None:
    env = outside(cluster)
    one, other = (folder / name for name in ("one", "other"))
    with started(tiny, "--out", one, *SMALL, env=env) as first:
        wait_until(lambda: len(gate.notes()) == 1, first)
        with started(tiny, "--out", other, *SMALL, env=env) as second:
            wait_until(lambda: len(gate.notes()) == 2, second)  # beside the first, on one core
            assert [note["threads"] for note in gate.notes()] == [1, 1]
            assert len(holders(cluster)) == 2
            second.kill()
            wait_for(lambda: len(holders(cluster)) == 1)
        first.kill()
        wait_for(lambda: not holders(cluster))


def holders(cluster) -> list[psutil.Process]:
    """The actors that hold masks in memory."""
    raylets = [node.all_processes["raylet"][0].process.pid for node in cluster.list_all_nodes()]
    below = [child for pid in raylets for child in psutil.Process(pid).children()]
    return [process for process in below if "ray::TicketHolder" in title(process)]


def title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""
