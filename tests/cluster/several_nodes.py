"""Ray's own cluster of several nodes, on this machine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
from ray.cluster_utils import Cluster
from tiny_sweep import environment


def outside(cluster: Cluster) -> dict[str, str]:
    """The environment of a launch that knows the cluster's address and token."""
    auth = {name: os.environ[name] for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN")}
    return environment(RAY_ADDRESS=cluster.address, **auth)


@contextmanager
def nodes(number: int, num_cpus: int = 1, num_gpus: int = 0) -> Iterator[Cluster]:
    """A head without cores and so many workers, with GPUs if Ray is to believe so."""
    memory = {"object_store_memory": 100_000_000}
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "include_dashboard": False, **memory},
    )
    try:
        for _ in range(number):
            cluster.add_node(num_cpus=num_cpus, num_gpus=num_gpus, **memory)
        cluster.wait_for_nodes()
        yield cluster
    finally:
        cluster.shutdown()


def kill_node(node) -> None:
    """As if its machine lost power."""
    for processes in list(node.all_processes.values()):
        for started in processes:
            process = psutil.Process(started.process.pid)
            for each in (*process.children(recursive=True), process):
                each.kill()
