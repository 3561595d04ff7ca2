"""Ray's own cluster of several nodes, on this machine."""

import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from ray.autoscaler.v2.sdk import get_cluster_status
from ray.cluster_utils import Cluster
from tiny_sweep import environment


def outside(cluster: Cluster) -> dict[str, str]:
    """The environment of a launch that knows the cluster's address and token."""
    auth = {name: os.environ[name] for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN")}
    return environment(RAY_ADDRESS=cluster.address, **auth)


@contextmanager
def nodes(number: int, num_cpus: int = 1, num_gpus: int = 0, of_head: int = 0) -> Iterator[Cluster]:
    """A head with so many cores and so many workers, with GPUs if Ray is to believe so."""
    memory = {"object_store_memory": 100_000_000}
    head = {"num_cpus": of_head, "include_dashboard": False, **memory}
    if number == 0:  # without the autoscaler and what prints workers' logs: a second of CPU each
        head |= {"no_monitor": True, "include_log_monitor": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
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


def _unshare() -> list[str]:
    return ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]


def refuses_mounts() -> str:
    """Why no node can have other directories on this machine; empty where it can."""
    try:
        done = subprocess.run(
            [*_unshare(), "mount", "--bind", "/tmp", "/mnt"],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        return f"no mount namespaces: {error}"
    return f"no mount namespaces: {done.stderr.strip()}" if done.returncode else ""


@contextmanager
def other_node(
    cluster: Cluster, laid_over: Mapping[Path, Path | None], num_cpus: int = 1
) -> Iterator[None]:
    """One more node, which sees other directories or files at some places.

    Args:
        cluster: to join.
        laid_over: what it sees, by the place where it sees it; None: what is there, to read only.
        num_cpus: of the node.
    """
    mounts = [
        f"mount -o bind{',ro' * (seen is None)} {shlex.quote(str(seen or place))} "
        f"{shlex.quote(str(place))}"
        for place, seen in laid_over.items()
    ]
    ray_start = f"exec {shlex.quote(str(Path(sys.executable).with_name('ray')))} start --block"
    options = (
        f"--address={cluster.address} --num-cpus={num_cpus} --object-store-memory=100000000 "
        "--dashboard-agent-listen-port=0 --min-worker-port=0 --max-worker-port=0"
    )
    script = " && ".join([*mounts, f"{ray_start} {options}"])
    number = num_alive(cluster)
    with tempfile.TemporaryFile("w+") as log:
        started = subprocess.Popen([*_unshare(), "sh", "-c", script], stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 60
            while num_alive(cluster) == number:  # two that start at a time take one name
                log.seek(0)
                assert started.poll() is None and time.monotonic() < deadline, log.read()
                time.sleep(0.1)
            yield
        finally:
            for process in psutil.Process(started.pid).children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            started.kill()
            started.wait()


def num_alive(cluster: Cluster) -> int:
    """Nodes of a cluster, the head among them."""
    status = get_cluster_status(cluster.address)
    return len(status.active_nodes) + len(status.idle_nodes)
