"""Opening a run in MLflow, on the sweep's own view: `python -m tune_app ui RUN_DIR`."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import webbrowser
from collections.abc import Iterator
from pathlib import Path

import click

from tune_app import signals
from tune_app.command import examples, path_argument, refused
from tune_app.credentials import hide_credentials
from tune_app.exit_codes import OK
from tune_app.results.curves import curves
from tune_app.results.reading import RunError, read_all, read_sweep
from tune_app.sweep.yaml_source import SpecError
from tune_app.tracking.connection import TrackingError, artifact_root, is_server, tracking_uri
from tune_app.tracking.tracker import Tracker

START_S = 120.0
"""How long MLflow's page may take to start; 5 s on an idle machine."""


def _run(run_dir: Path, port: int | None, browser: bool) -> int:
    signals.obey()
    signal.signal(signal.SIGHUP, signal.getsignal(signal.SIGTERM))  # the terminal is closed
    try:
        uri = tracking_uri(run_dir.absolute().parent)
        tracker = _opened(run_dir, uri)
        if is_server(uri):
            _show(tracker.url(), browser)
            return OK
        port = _free_port(port or 0)
        print("starting MLflow", file=sys.stderr, flush=True)
        with _served(uri, port) as server:
            _show(tracker.url(f"http://127.0.0.1:{port}"), browser)
            print("Ctrl-C closes it", flush=True)
            server.wait()
    except (RunError, SpecError, OSError, TrackingError) as error:
        return refused(error)
    except KeyboardInterrupt:
        return OK
    return OK


def _opened(run_dir: Path, uri: str) -> Tracker:
    """The sweep's experiment, with views: of a sweep that has just begun they are not there yet."""
    sweep = read_sweep(run_dir)
    tracker = Tracker(uri, sweep, artifact_root(run_dir.absolute().parent), None)
    if not tracker.has_views():
        path = run_dir / "results.jsonl"
        tracker.save_views(curves(read_all(path) if path.exists() else []))
    return tracker


def _show(page: str, browser: bool) -> None:
    print(page, flush=True)
    if browser:
        webbrowser.open(page)


def _free_port(wanted: int) -> int:
    """That port, or any for 0.

    Raises:
        TrackingError: another program has it, whose page would be shown.
    """
    with socket.socket() as found:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind(("127.0.0.1", wanted))
        except OSError as error:
            raise TrackingError(f"--port {wanted}: {error.strerror}") from None
        port: int = found.getsockname()[1]
        return port


@contextlib.contextmanager
def _served(uri: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """MLflow's page of a database.

    Raises:
        TrackingError: when it does not start.
    """
    command = [sys.executable, "-m", "mlflow", "ui", "--workers", "1", "--port", str(port)]
    # The job runner that MLflow starts by default takes 1.5 GB and has nothing to do here.
    environment = {
        **os.environ,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_BACKEND_STORE_URI": uri,  # not where others see it, in the list of processes
    }
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            _wait_for(server, port)
            yield server
        except _NotStarted as why:
            log.seek(0)
            last = log.read().decode(errors="replace").strip().splitlines()[-1:]
            raise TrackingError(hide_credentials(": ".join([str(why), *last]))) from None
        finally:
            _end(server)


class _NotStarted(Exception):
    pass


def _wait_for(server: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise _NotStarted("MLflow's page ended as it started")
        with contextlib.suppress(urllib.error.URLError, OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
            return
        time.sleep(0.2)
    raise _NotStarted(f"MLflow's page does not answer on port {port}")


def _end(server: subprocess.Popen[bytes]) -> None:
    """Its workers too, which it leaves behind where it is killed."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGTERM)
    try:
        server.wait(10)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


COMMAND = click.Command(
    "ui",
    callback=_run,
    help="Open MLflow on the charts of a run, which may still be running. Where "
    "MLFLOW_TRACKING_URI names a server, its page; else one that is served here until Ctrl-C.",
    short_help="Open a run's charts in MLflow.",
    epilog=examples(
        "lottery ui runs/lr_grid",
        "lottery ui runs/lr_grid --port 5001 --no-browser",
        "MLFLOW_TRACKING_URI=http://mlflow:5000 lottery ui runs/lr_grid",
    ),
    params=[
        path_argument("run_dir"),
        click.Option(["--port"], type=click.IntRange(1, 65535), help="A free one if not given."),
        click.Option(
            ["--browser/--no-browser"],
            default=True,
            help="Whether to open a browser beside printing the address.",
        ),
    ],
)
