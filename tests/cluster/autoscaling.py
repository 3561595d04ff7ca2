"""A cluster on this machine whose nodes come and go, with GPUs that only Ray knows of.

`ray.cluster_utils.AutoscalingCluster` stops every Ray on the machine, and reads a file that Ray
2.60 came without.
"""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import ray
from ray.autoscaler._private.fake_multi_node.node_provider import (
    FAKE_HEAD_NODE_ID,
    FakeMultiNodeProvider,
)
from ray.autoscaler._private.monitor import BASE_READONLY_CONFIG
from ray.autoscaler.v2.sdk import get_cluster_status

HEAD = FAKE_HEAD_NODE_ID
OBJECT_STORE_BYTES = 100_000_000


class AutoscalingCluster:
    """A head without cores, and Ray's autoscaler on it."""

    def __init__(self, address: str, folder: Path, head: subprocess.Popen) -> None:
        self.address = address
        self.folder = folder
        self.head = psutil.Process(head.pid)
        self.numbers = [0]
        """Of workers, over time."""

    def num_workers(self) -> int:
        """Worker nodes that are up."""
        status = get_cluster_status(self.address)
        alive = (*status.active_nodes, *status.idle_nodes)
        number = sum(node.node_id != HEAD for node in alive)
        if number != self.numbers[-1]:
            self.numbers.append(number)
        return number

    def nodes_of(self, actor: str) -> set[str]:
        """The ids of the nodes that actors of a class live on."""
        return {
            node
            for node, raylet in self._raylets().items()
            if any(f"ray::{actor}" in _command(child) for child in _below(raylet))
        }

    def preempt(self, node: str) -> None:
        """Kill all of a node at once."""
        raylet = self._raylets()[node]
        _kill([*_below(raylet), raylet])

    def stop(self) -> None:
        while processes := self._processes():
            _kill(processes)

    def _raylets(self) -> dict[str, psutil.Process]:
        return {
            _command(process).partition("--node_id=")[2].split()[0]: process
            for process in _below(self.head)
            if "--node_id=" in _command(process)
        }

    def _processes(self) -> list[psutil.Process]:
        # By name too: what the autoscaler started loses its parent when that dies.
        named = [each for each in psutil.process_iter() if str(self.folder) in _command(each)]
        return list({*named, *_below(self.head)})


def _command(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


def _below(process: psutil.Process) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return process.children(recursive=True)
    return []


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=10)


@contextmanager
def autoscaled(
    resources: Mapping[str, float], most: int, environment: Mapping[str, str]
) -> Iterator[AutoscalingCluster]:
    """A cluster that starts without workers.

    Args:
        resources: of each worker.
        most: so many workers.
        environment: of its nodes.
    """
    folder = Path(tempfile.mkdtemp(prefix="ray_"))  # a short path: it holds sockets
    port, client_port = _free_ports()
    address = f"{ray.util.get_node_ip_address()}:{port}"
    config = folder / "autoscaler.json"
    config.write_text(json.dumps(_config(address, resources, most)))
    command = [
        *("ray", "start", "--head", "--block", f"--port={port}", f"--temp-dir={folder}/ray"),
        *(f"--autoscaling-config={config}", "--num-cpus=0", "--num-gpus=0"),
        *(f"--object-store-memory={OBJECT_STORE_BYTES}", "--include-dashboard=false"),
        *(f"--ray-client-server-port={client_port}", "--min-worker-port=0", "--max-worker-port=0"),
        "--dashboard-agent-listen-port=0",
    ]
    settings = {
        "RAY_FAKE_CLUSTER": "1",
        "RAY_enable_autoscaler_v2": "1",
        "RAY_CLOUD_INSTANCE_ID": HEAD,
        "RAY_OVERRIDE_NODE_ID_FOR_TESTING": HEAD,
        "AUTOSCALER_UPDATE_INTERVAL_S": "1",
    }
    said = folder / "head.log"
    with said.open("w") as log:
        head = subprocess.Popen(
            command, env={**os.environ, **settings, **environment}, stdout=log, stderr=log
        )
    cluster = AutoscalingCluster(address, folder, head)
    try:
        deadline = time.monotonic() + 60
        while "Ray runtime started" not in said.read_text():
            assert head.poll() is None and time.monotonic() < deadline, said.read_text()
            time.sleep(0.05)
        yield cluster
    finally:
        cluster.stop()
        head.wait()
        shutil.rmtree(folder)


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        for each in (one, other):
            each.bind(("", 0))
        return one.getsockname()[1], other.getsockname()[1]


def _config(address: str, resources: Mapping[str, float], most: int) -> dict[str, Any]:
    provider = {
        "type": "external",
        "module": f"{FakeMultiNodeProvider.__module__}.{FakeMultiNodeProvider.__name__}",
        "gcs_address": address,
        "head_node_id": HEAD,
        "launch_multiple": True,
    }
    worker = {
        "resources": {**resources, "object_store_memory": OBJECT_STORE_BYTES},
        "node_config": {},
        "max_workers": most,
    }
    return {
        **BASE_READONLY_CONFIG,
        "provider": {**BASE_READONLY_CONFIG["provider"], **provider},
        "available_node_types": {
            **BASE_READONLY_CONFIG["available_node_types"],
            "worker": worker,
        },
        "max_workers": most,
        "idle_timeout_minutes": 0.1,
    }
