"""MLflow for these tests: an empty database, and a server on it."""

import contextlib
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request

import pytest


@pytest.fixture
def uri(mlflow_database, tmp_path):
    with (
        contextlib.closing(sqlite3.connect(mlflow_database)) as source,
        contextlib.closing(sqlite3.connect(tmp_path / "mlflow.db")) as copy,
    ):
        source.backup(copy)
    return f"sqlite:///{tmp_path}/mlflow.db"


@pytest.fixture
def free_port():
    """A port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _accepts(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def server(uri, tmp_path, free_port):
    """A start and a stop of a tracking server on the store, always at one address."""
    port = free_port
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", uri, "--artifacts-destination", str(tmp_path / "served")]
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    running = []

    def start():
        with open(tmp_path / "server.log", "a") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=log, env=environment, start_new_session=True
            )
        running.append(process)
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1).close()
                return f"http://127.0.0.1:{port}"
            except OSError:
                threading.Event().wait(0.1)
        raise AssertionError((tmp_path / "server.log").read_text())

    def stop():
        process = running.pop()
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        while _accepts(port):  # its workers die a little later, and till then reset connections
            threading.Event().wait(0.01)

    yield start, stop
    while running:
        stop()
