"""Opening a run in MLflow."""

import contextlib
import json
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request

import outside
import pytest
from tiny_sweep import run_here

from tune_app.__main__ import main as lottery


@pytest.mark.nightly
def test_a_page_opens_on_the_view_of_a_sweep_that_has_just_begun(
    variants, mlflow_database, tmp_path
):
    shutil.copytree(variants / "tiny", tmp_path / "tiny")
    shutil.copy(mlflow_database, tmp_path)  # without the sweep's experiment
    command = [sys.executable, "-m", "tune_app", "ui", tmp_path / "tiny", "--no-browser"]
    with (
        subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=outside.environment()
        ) as ui,
        contextlib.ExitStack() as end,
    ):
        end.callback(ui.kill)  # whatever fails
        page = ui.stdout.readline().strip()
        server, _, rest = page.partition("/#/experiments/")
        experiment, _, query = rest.partition("/runs?")
        assert server.startswith("http://127.0.0.1:")
        asked = f"{server}/ajax-api/2.0/mlflow/experiments/get?experiment_id={experiment}"
        with urllib.request.urlopen(asked, timeout=60) as answer:
            found = json.load(answer)["experiment"]
        assert found["name"] == "tiny"
        key = dict(part.split("=") for part in query.split("&"))["viewStateShareKey"]
        views = [tag for tag in found["tags"] if tag["key"] == f"mlflow.sharedViewState.{key}"]
        assert json.loads(views[0]["value"])["name"] == "H_find at LR_eval 0.05"
        ui.send_signal(signal.SIGHUP)  # its terminal is closed
        assert ui.wait(60) == 0
    with pytest.raises(OSError):
        urllib.request.urlopen(f"{server}/health", timeout=5)


def test_a_port_that_another_program_has_is_not_shown(variants):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        done = run_here(lottery, "ui", variants / "tiny", "--port", port, "--no-browser")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: --port {port}: Address already in use\n"


def test_the_name_that_browsers_know_a_server_by_is_shown(monkeypatch):
    from tune_app.tracking.connection import page_of

    assert page_of("http://me:pass@mlflow:5000") == "http://mlflow:5000"
    monkeypatch.setenv("LOTTERY_MLFLOW_PAGE", "http://127.0.0.1:5001")
    assert page_of("http://mlflow:5000") == "http://127.0.0.1:5001"


def test_a_run_that_is_not_there_is_told(tmp_path):
    done = run_here(lottery, "ui", tmp_path / "no")
    assert (done.returncode, done.stderr) == (2, f"error: {tmp_path}/no: no such directory\n")
