"""A sweep that is handed to a cluster through Ray Jobs, as from a laptop that then goes away."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from ray._private.utils import write_ray_address
from ray.cluster_utils import Cluster
from ray.job_submission import JobDetails, JobStatus, JobSubmissionClient
from tiny_sweep import (
    NUM_TRAININGS,
    command,
    environment,
    num_stored,
    num_trained,
    same_results,
    started,
    wait_for,
    wait_until,
)

from tune_app import submit

AUTH = {name: os.environ[name] for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN")}

# Nine trainings, which take so long that there is time to stop them.
LONGER = ["seeds=[0]", "eval.parameters.lr=null", "baselines=[]", "train.duration=6ep"]


@pytest.fixture(scope="module")
def head():
    """A head with Ray's page and one core; as on other machines, it has a `python` in its PATH."""
    # Not pytest's own, since the paths of sockets may be no longer than 107 characters.
    place = tempfile.mkdtemp(prefix="ray_", dir="/tmp")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
        for name in ("MLFLOW_TRACKING_URI", "RAY_ADDRESS"):
            patch.delenv(name, raising=False)
        ports = {"dashboard_port": 0, "dashboard_agent_listen_port": 0}  # any that are free
        cluster = Cluster(
            initialize_head=True,
            head_node_args={
                "num_cpus": 1,
                "object_store_memory": 100_000_000,
                "include_dashboard": True,
                "temp_dir": place,
                **ports,
            },
        )
    # As `ray start` does: without it a job may find another cluster of this machine.
    write_ray_address(cluster.address, place)
    yield cluster.head_node
    cluster.shutdown()
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="module")
def address(head) -> str:
    return f"http://{head.webui_url}"


def from_laptop(
    module: str, *arguments: object, cwd: Path | None = None, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run `launch` or `submit` with the token, as set by default, and an address of no use."""
    return subprocess.run(
        [sys.executable, "-m", f"tune_app.{module}", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=cwd,
        env=environment(**({"RAY_ADDRESS": "127.0.0.1:1"} | AUTH | env)),
    )


def id_from(stderr: str) -> str:
    return re.match(r"(\S+) is on the cluster", stderr)[1]


@pytest.mark.nightly
def test_a_sweep_is_followed_to_results_as_of_one_machine(
    head, address, tiny, undisturbed, tmp_path
):
    path = tmp_path / "mine.yaml"
    path.write_text(f"extends: {tiny}\nseeds: [5]\n")
    (tmp_path / "private.txt").write_text("not to be sent")
    runs = tmp_path / "runs"
    done = from_laptop("launch", path, "seeds=[0, 1]", "--submit", address, "--out", runs)
    assert done.returncode == 0, done.stderr
    assert num_trained(done.stdout) == NUM_TRAININGS
    assert "mean ± std" in done.stdout
    assert f"cluster: Ray at {head.address}, its page at {address}\n" in done.stdout
    assert f", MLflow: python -m tune_app ui {runs}/tiny\n" in done.stdout
    assert "cluster: 1 node, 0 of 1 CPU in use\n" in done.stdout
    assert len(done.stderr.splitlines()) == 3  # that it goes on alone, and two commands
    assert same_results(runs, undisturbed)
    sent = Path(head.get_runtime_env_dir_path(), "working_dir_files").glob("_ray_pkg_*/*")
    assert {path.name for path in sent} == {"sweep.yaml"}


@pytest.mark.nightly
def test_it_goes_on_without_its_follower_and_is_followed_again(
    address, tiny, undisturbed, tmp_path
):
    runs = tmp_path / "runs"
    arguments = (tiny, "--submit", address, "--out", runs)
    with started(*arguments, env=environment(**AUTH)) as follower:
        wait_until(lambda: num_stored(runs) >= 1, follower)
        follower.kill()
        _, err = follower.communicate()
    again = from_laptop("submit", address, "follow", id_from(err))
    assert again.returncode == 0, again.stderr
    assert num_trained(again.stdout) == NUM_TRAININGS
    assert same_results(runs, undisturbed)


@pytest.mark.nightly
def test_it_is_stopped_tidily_and_the_same_command_goes_on(address, tiny, tmp_path):
    runs, alone = tmp_path / "runs", tmp_path / "alone"
    arguments = (tiny, *LONGER, "--submit", address, "--out", runs)
    with started(*arguments, env=environment(**AUTH)) as follower:
        wait_until(lambda: num_stored(runs) >= 1, follower)
        follower.send_signal(signal.SIGINT)
        _, err = follower.communicate(timeout=60)
    id = id_from(err)
    assert follower.returncode == 130
    assert f"{id} goes on without this terminal:" in err
    assert err.count(f"python -m tune_app.submit {address} stop {id}") == 2  # first and last

    stopped = from_laptop("submit", address, "stop", id)
    assert stopped.returncode == 0, stopped.stderr
    typed = shlex.join(["python", *command(*arguments)[1:]])
    assert f"To go on: {typed}\n{id}: stopped\n" in stopped.stdout
    followed = from_laptop("submit", address, "follow", id)
    assert followed.returncode == 130
    assert "Traceback" not in followed.stdout
    num_before = num_stored(runs)
    assert 1 <= num_before < 9

    done = from_laptop("launch", *arguments)
    assert done.returncode == 0, done.stderr
    assert num_trained(done.stdout) == 9 - num_before
    subprocess.run(command(tiny, *LONGER, "--out", alone), env=environment(), check=True)
    assert same_results(runs, alone)


@pytest.mark.nightly
def test_sweeps_are_listed_with_their_exit_codes_and_other_jobs_are_left_alone(
    address, tiny, tmp_path
):
    runs = tmp_path / "runs"
    bad = ["dataset=miniplaces", "name=bad"]
    done = from_laptop("launch", tiny, *bad, "--submit", address, "--out", runs)
    assert done.returncode == 2  # as the launch on the cluster
    assert f"{runs}/data/miniplaces must hold images/" in done.stdout
    client = JobSubmissionClient(address)
    other = client.submit_job(entrypoint="echo of someone else")
    wait_for(lambda: client.get_job_status(other).is_terminal())

    listed = from_laptop("submit", address, "list")
    assert listed.returncode == 0, listed.stderr
    header, last, *_ = listed.stdout.splitlines()
    assert header.split() == ["id", "sweep", "state", "started", "duration", "exit", "code"]
    assert re.fullmatch(r"(bad-\w+) +bad +failed +[\d-]+ [\d:]+ +\S+s +2", last)
    assert last.split()[0] == id_from(done.stderr)
    assert other not in listed.stdout
    refused = from_laptop("submit", address, "stop", other)
    assert refused.returncode == 2
    assert f"error: no sweep {other} on the cluster; there: bad-" in refused.stderr


@pytest.mark.nightly
def test_a_job_by_hand_is_a_launch_like_any_other(address, tiny, tmp_path):
    script = Path(sys.executable).with_name("ray")
    options = ["--address", address, "--working-dir", str(tiny.parent)]
    smaller = ["seeds=[0]", "eval.parameters.lr=null", "baselines=[]", "find.parameters.lr=null"]
    launch = ["python", "-m", "tune_app.launch", tiny.name, *smaller, "--out", str(tmp_path)]
    done = subprocess.run(
        [script, "job", "submit", *options, "--", *launch],
        capture_output=True,
        text=True,
        timeout=300,
        env=environment(**AUTH),
    )
    assert done.returncode == 0, done.stderr
    assert num_stored(tmp_path) == num_trained(done.stdout) == 3


def test_who_has_no_token_is_told_so_in_one_line(address):
    for env in ({"RAY_AUTH_MODE": "disabled"}, {"RAY_AUTH_TOKEN": "of another cluster" * 3}):
        done = from_laptop("submit", address, "list", **env)
        assert done.returncode == 2
        [line] = done.stderr.splitlines()
        assert line.startswith(f"error: {address} wants its token: RAY_AUTH_MODE=token")


def test_a_wrong_port_or_token_is_told_in_a_line_before_anything_is_made(
    head, address, tiny, tmp_path
):
    page = address.removeprefix("http://")
    wrong = {"RAY_AUTH_TOKEN": "of another cluster" * 3}
    for place, env, message in (
        (page, {}, f"error: {page}: a web server answers there, such as Ray's page; "),
        (head.address, wrong, f"error: {head.address}: RPC error: InvalidAuthToken: "),
    ):
        out = tmp_path / "runs"
        done = from_laptop("launch", tiny, "--address", place, "--out", out, **env)
        assert done.returncode == 2, done.stderr
        [line] = done.stderr.splitlines()
        assert line.startswith(message)
        assert not done.stdout and not out.exists()


@pytest.mark.nightly
def test_own_modules_beside_the_sweep_are_sent_and_where_mlflow_is(address, tiny, tmp_path):
    (tmp_path / "sent_nets.py").write_text(
        "from sent_blocks import nn\n\n\ndef net(channels, classes, image_size):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, classes))\n"
    )
    (tmp_path / "sent_blocks.py").write_text("from torch import nn\n\n__all__ = ['nn']\n")
    runs = tmp_path / "runs"
    small = ["seeds=[0]", "baselines=[]", "find.parameters.lr=null", "eval.parameters.lr=null"]
    arguments = ["launch", tiny, "model=sent_nets:net", *small, "--submit", address, "--out", runs]
    with_mlflow = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:1"}
    done = from_laptop(*arguments, cwd=tmp_path, **with_mlflow)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "sent with the sweep: sent_blocks.py, sent_nets.py\n" in done.stderr
    assert "MLflow: the cluster logs to http://127.0.0.1:1, as MLFLOW_TRACKING_URI " in done.stderr
    assert ", MLflow: http://127.0.0.1:1\n" in done.stdout and num_stored(runs) == 3


def test_where_mlflow_is_stays_here_where_it_has_credentials(monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@mlflow:5000")
    assert submit._tracking(Path("/runs")) == {}
    said = capsys.readouterr().err
    assert said.startswith(
        "MLflow: MLFLOW_TRACKING_URI (http://***@mlflow:5000) is not passed on, "
    )
    assert said.endswith("it logs to /runs/mlflow.db there\n")


NOWHERE = "http://user:secret@127.0.0.1:1"
BAD = {
    "no cluster": ([NOWHERE, "--out", "/runs"], "http://***@127.0.0.1:1: no Ray cluster answers"),
    "not the page": (["127.0.0.1:6379", "--out", "/runs"], "must be the address of Ray's page"),
    "relative out": ([NOWHERE, "--out", "runs"], "--out runs: a place on the cluster, so absolute"),
    "relative store": (
        [NOWHERE, "--out", "/runs", "--store", "s"],
        "--store s: a place on the cluster, so absolute",
    ),
    "credentials": (
        [NOWHERE, "--out", "/runs", "--store", "s3://KEY:SECRET@bucket/folder"],
        "--store: everyone who sees the cluster's jobs would see its credentials",
    ),
    "bad file": ([NOWHERE, "--out", "/runs", "train.rl=1"], "unknown key `train.rl`"),
}


@pytest.mark.parametrize("arguments, message", BAD.values(), ids=BAD)
def test_what_cannot_be_submitted_is_refused_in_one_line(tiny, arguments, message):
    done = from_laptop("launch", tiny, "--submit", *arguments)
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert line.startswith("error: ") and message in line
    assert "secret" not in line.lower()


def test_a_dry_run_submits_nothing(tiny):
    done = from_laptop("launch", tiny, "--submit", NOWHERE, "--out", "/runs", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "36 to run" in done.stdout


class Broken:
    """A cluster whose connection breaks after so many pieces of the log, once for each."""

    def __init__(self, *breaks: int, **job: object) -> None:
        self.breaks = list(breaks)
        self.job = JobDetails(
            type="SUBMISSION", entrypoint="", submission_id="tiny-1", **({"status": "FAILED"} | job)
        )

    def get_address(self) -> str:
        return "http://127.0.0.1:8265"

    async def tail_job_logs(self, id):
        end = self.breaks.pop(0) if self.breaks else None
        for piece in ("one\n", "two\n", "three\n")[:end]:
            yield piece
        if end is not None:
            raise RuntimeError("WebSocket connection closed unexpectedly")

    def get_job_info(self, id) -> JobDetails:
        running = {"status": JobStatus.RUNNING} if self.breaks else {}
        return self.job.model_copy(update=running)


def test_a_log_is_printed_once_however_often_the_connection_breaks(capsys, monkeypatch):
    monkeypatch.setattr(submit, "POLL_S", 0.0)
    client = Broken(2, 1, 3, status="SUCCEEDED", driver_exit_code=0)
    assert submit.follow(client, client.get_address(), "tiny-1") == 0
    assert capsys.readouterr().out == "one\ntwo\nthree\n"


@pytest.mark.parametrize(
    "job, code, said",
    [
        ({"driver_exit_code": 1}, 1, ""),
        ({"driver_exit_code": 3}, 3, ""),
        ({"driver_exit_code": 130}, 130, ""),
        ({"driver_exit_code": -9}, 1, "tiny-1 failed: exit code -9\n"),
        ({"message": "supervisor died"}, 1, "tiny-1 failed: supervisor died\n"),
        ({"status": "STOPPED"}, 130, ""),
    ],
)
def test_whatever_ends_a_sweep_has_an_exit_code(capsys, job, code, said):
    client = Broken(**job)
    assert submit.follow(client, client.get_address(), "tiny-1") == code
    assert capsys.readouterr().err == said


def test_a_cluster_that_stays_away_ends_the_following_and_not_the_sweep(capsys, monkeypatch):
    def away(id):
        raise ConnectionError("Failed to connect")

    monkeypatch.setattr(submit, "PATIENCE_S", 0.0)
    client = Broken()
    client.get_job_info = away
    assert submit.follow(client, client.get_address(), "tiny-1") == 4
    assert capsys.readouterr().err.startswith(
        "lost: http://127.0.0.1:8265: Failed to connect\nif the cluster is up, tiny-1 goes on:\n"
    )
