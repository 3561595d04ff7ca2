"""Faults as a user meets them: what goes on, what is said, and that nothing is lost."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from gate import Gate
from tiny_sweep import (
    environment,
    file_of,
    impatient,
    num_stored,
    num_trained,
    read_results,
    same_results,
    started,
    wait_until,
)

from tune_app.plan.plan import make_plan
from tune_app.store.store import Store
from tune_app.sweep.load import load_sweep


def copied(finished, tmp_path) -> tuple[Path, Store]:
    """What the tiny sweep left, to be damaged."""
    runs = tmp_path / "runs"
    shutil.copytree(finished[1], runs)
    return runs, Store(str(runs / "_store"))


def test_damaged_files_are_set_aside_said_and_made_again(tiny, finished, launch, tmp_path):
    runs, store = copied(finished, tmp_path)
    plan = make_plan(load_sweep(tiny))
    chain = plan.chains[0]
    # A ticket's evaluation, which needs the ticket; a round, which needs the ticket before it.
    evaluation = next(t for t in plan.evaluations if t.ticket == chain.tickets[0])
    garbled = [
        file_of(store, "results", evaluation.id),
        file_of(store, "tickets", chain.tickets[0]),
        file_of(store, "results", chain.ids[2]),
        file_of(store, "tickets", chain.tickets[1]),
    ]
    for path in garbled:
        path.write_bytes(path.read_bytes()[:-20])
    unused = file_of(store, "tickets", plan.chains[1].tickets[0])
    unused.write_bytes(b"")
    done = launch(tiny, "--out", runs)
    assert done.returncode == 0, done.stderr
    for path in garbled:
        assert f"{path} is damaged (" in done.stderr
    assert num_trained(done.stderr) == 2
    assert same_results(runs, finished[1])
    assert len(list((runs / "_store" / "damaged").iterdir())) == 4
    before = Store(str(finished[1] / "_store"))
    assert all(store.ticket(id) == before.ticket(id) for id in chain.tickets)
    assert unused.read_bytes() == b""  # nobody asked for it


def test_a_dry_run_sets_nothing_aside(tiny, finished, launch, tmp_path):
    runs, store = copied(finished, tmp_path)
    path = file_of(store, "results", read_results(runs)[0]["id"])
    path.write_bytes(b"")
    assert launch(tiny, "--out", runs, "--dry-run").returncode == 0
    assert path.exists()


def test_a_store_on_s3_is_shared_and_its_keys_are_never_shown(tiny, finished, launch, s3, tmp_path):
    url = s3("launch", "store")
    done = launch(tiny, "--out", tmp_path / "one", "--store", url)
    assert done.returncode == 0, done.stderr
    assert same_results(tmp_path / "one", finished[1])
    again = launch(tiny, "--out", tmp_path / "two", "--store", url)
    assert "trials          nothing to do" in again.stdout
    assert same_results(tmp_path / "two", finished[1])
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or b"SECRET" not in path.read_bytes(), path
    assert "SECRET" not in done.stdout + done.stderr + again.stdout + again.stderr
    assert not (tmp_path / "one" / "_store").exists()


@pytest.mark.nightly
def test_a_store_that_is_gone_for_a_while_is_waited_for(tiny, finished, on_warm_ray, tmp_path):
    runs = tmp_path / "runs"
    with started(tiny, "--out", runs, env=on_warm_ray) as process:
        wait_until(lambda: num_stored(runs) >= 3, process)
        shutil.move(runs / "_store", tmp_path / "away")
        lines = iter(process.stderr.readline, "")
        threading.Timer(3, shutil.move, (tmp_path / "away", runs / "_store")).start()
        assert any("s for the store: " in line and "not there" in line for line in lines)
        _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert same_results(runs, finished[1])


@pytest.mark.nightly
def test_a_store_that_stays_away_stops_the_sweep_which_then_goes_on(
    tiny, finished, launch, on_warm_ray, tmp_path
):
    runs = tmp_path / "runs"
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(impatient(tiny, "--out", runs), env=on_warm_ray, **pipes) as process:
        wait_until(lambda: num_stored(runs) >= 3, process)
        shutil.move(runs / "_store", tmp_path / "away")
        _, err = process.communicate(timeout=300)
    assert process.returncode == 3
    assert re.search(r"^stopped: StoreError: .*the store is not there.*tried for 1 s", err, re.M)
    assert "Traceback" not in err
    assert not (runs / "_store").exists()
    shutil.move(tmp_path / "away", runs / "_store")
    again = launch(tiny, "--out", runs)
    assert again.returncode == 0, again.stderr
    assert same_results(runs, finished[1])


@pytest.mark.nightly
def test_two_launches_on_one_store_share_the_work(tiny, on_warm_ray, tmp_path):
    runs, gate = tmp_path / "runs", Gate(tmp_path / "gate")
    small = ("baselines=[]",)
    more = ("name=more", "find.parameters.lr.values=[0.05, 0.1, 0.2]")
    env = environment(**gate.environment())
    with started(tiny, "--out", runs, *small, env=env) as one:
        wait_until(gate.notes, one)
        with started(tiny, "--out", runs, *small, *more, env=on_warm_ray) as other:
            said = re.compile(rf"process {one.pid} on .* trains (\d+) of these")
            left = next(filter(None, map(said.search, iter(other.stderr.readline, ""))))
            wait_until(lambda: num_stored(runs) == 12, other)
            gate.open()
            _, other_err = other.communicate(timeout=300)
        _, err = one.communicate(timeout=300)
    assert (one.returncode, other.returncode) == (0, 0), err + other_err
    # Two chains a seed of 3 rounds, and 4 evaluations: all that the other wants of these.
    assert int(left[1]) == 2 * (2 * 3 + 4)
    assert num_trained(err) == 20
    # Of the third H_find, for 2 seeds: rounds 0 and 1, and 2 sparsities at 2 H_eval.
    assert num_trained(other_err) == 2 * (2 + 4)
    assert len(read_results(runs, "more")) == num_stored(runs) == 32


@pytest.mark.nightly
def test_a_launch_takes_over_from_one_that_is_killed(tiny, on_warm_ray, tmp_path):
    runs, gate = tmp_path / "runs", Gate(tmp_path / "gate")
    env = environment(**gate.environment())
    with started(tiny, "--out", runs, *ONE_SEED, env=env) as one:
        wait_until(gate.notes, one)
        with started(tiny, "--out", runs, *ONE_SEED, "name=second", env=on_warm_ray) as other:
            assert any(f"process {one.pid} on" in line for line in iter(other.stderr.readline, ""))
            one.kill()
            _, err = other.communicate(timeout=300)
    assert other.returncode == 0, err
    assert num_trained(err) == len(read_results(runs, "second")) == num_stored(runs) == 10


ONE_SEED = ("seeds=[0]", "baselines=[]")
"""Chains of 6 trainings and 4 decoupled evaluations."""

OWN = """\
import os, signal
import ray, torch
from lt_core import models

def build(channels, classes, image_size):
    if ray.is_initialized():  # in a worker
        with open({tries!r}, "a") as file:
            file.write("x")
        {fault}
    size = {{"channels": channels, "classes": classes, "image_size": image_size}}
    return models.build("small_resnet", **size, seed=0)
"""
ONCE = "if os.path.getsize({tries!r}) == 1: "
OUT_OF_MEMORY = "raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2.00 GiB')"
KILLED = "os.kill(os.getpid(), signal.SIGKILL)"  # as Linux does where memory is short
ONE_CHAIN = (*ONE_SEED, "eval.parameters.lr=null", "find.parameters.lr=null")


@pytest.fixture
def launch_own(tiny, launch, tmp_path, monkeypatch):
    """Launch the tiny sweep with a network that has a fault on workers, beside it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)

    def run(fault, *arguments):
        tries = str(tmp_path / "tries")
        fault = fault.format(tries=tries)
        (tmp_path / "own_net.py").write_text(OWN.format(fault=fault, tries=tries))
        more = ("model=own_net:build", "--out", tmp_path / "runs", *ONE_CHAIN)
        return launch(tiny, *more, *arguments)

    yield run
    sys.modules.pop("own_net", None)


@pytest.mark.nightly
@pytest.mark.parametrize("fault", [OUT_OF_MEMORY, KILLED], ids=["raised", "killed"])
def test_a_trial_that_runs_out_of_memory_once_is_tried_again(launch_own, tmp_path, fault):
    done = launch_own(ONCE + fault)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("to be tried again: chain lr 0.1") == 1
    assert "failed" not in done.stderr
    if fault == KILLED:
        assert "its worker died: killed, out of memory, or crashed" in done.stderr
    assert len(read_results(tmp_path / "runs")) == 3


@pytest.mark.nightly
def test_what_always_runs_out_of_memory_is_given_up_and_listed(launch_own, tmp_path):
    done = launch_own(OUT_OF_MEMORY, "max_failures=1")
    assert done.returncode == 3
    assert (tmp_path / "tries").read_text() == "xx"
    failures = (tmp_path / "runs" / "tiny" / "failures.jsonl").read_text().splitlines()
    reasons = [json.loads(line)["reason"] for line in failures]
    assert len(reasons) == 3
    assert all("CUDA out of memory. Tried to allocate 2.00 GiB" in reason for reason in reasons)
    assert reasons[1].startswith("its mask was not found: round 0 of the chain failed: ")
    assert "Traceback" not in done.stderr


@pytest.mark.nightly
def test_no_key_of_the_environment_is_in_a_file_that_a_launch_makes(tiny, tmp_path):
    """Ray's own too, where Tune would have its agents log them."""
    runs, gate = tmp_path / "runs", Gate(tmp_path / "gate")
    rays = Path(tempfile.mkdtemp(dir=os.environ["RAY_TMPDIR"]))
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    keys = {name: f"SECRET{number}" for number, name in enumerate(names)}
    env = environment(RAY_TMPDIR=str(rays), **keys, **gate.environment())
    with started(tiny, "--out", runs, *ONE_CHAIN, env=env) as process:
        wait_until(gate.notes, process)
        files = [path for place in (rays, runs) for path in place.rglob("*") if path.is_file()]
        assert any(path.name == "runtime_env_agent.log" for path in files)
        assert [path for path in files if b"SECRET" in path.read_bytes()] == []
        gate.open()
        out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "SECRET" not in out + err
    assert not any(b"SECRET" in path.read_bytes() for path in runs.rglob("*") if path.is_file())


@pytest.mark.nightly
def test_a_second_signal_stops_it_now(tiny, on_warm_ray, tmp_path):
    runs = tmp_path / "runs"
    with started(tiny, "--out", runs, env=on_warm_ray) as process:
        wait_until(lambda: num_stored(runs) >= 1, process)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in err
