"""Trials that do several trainings each: `resources_per_trial: {pack: 4}`."""

import json
import re

import pytest
from tiny_sweep import (
    launch_apart,
    num_stored,
    num_trained,
    read_results,
    same_results,
    started,
    wait_until,
)

from tune_app.run.trial_queue import TrialQueue

PACKED = "resources_per_trial.pack=4"


@pytest.fixture
def sizes(monkeypatch):
    """Of the trials that launches in this process hand out."""
    handed_out = []
    hand_out = TrialQueue._hand_out

    def noted(queue, trial_id, waiting):
        config = hand_out(queue, trial_id, waiting)
        handed_out.append(len(config["orders"]))
        return config

    monkeypatch.setattr(TrialQueue, "_hand_out", noted)
    return handed_out


def test_packed_it_comes_to_the_same_in_fewer_trials(tiny, finished, launch, sizes, tmp_path):
    done = launch(tiny, PACKED, "--out", tmp_path / "runs")
    assert done.returncode == 0, done.stderr
    assert same_results(tmp_path / "runs", finished[1])
    assert sum(sizes) == 4 + 32 and max(sizes) == 4 and len(sizes) <= 20
    assert sizes[0] == 4  # all chains


@pytest.mark.nightly
def test_a_training_of_a_pack_that_diverges_is_its_own_failure(tiny, launch, sizes, tmp_path):
    own = ("eval.parameters.lr.values=[0.05, 1e30]", "baselines=[global_random]")
    done = launch(tiny, PACKED, *own, "--out", tmp_path / "runs")
    assert done.returncode == 3
    assert max(sizes) == 4
    lines = (tmp_path / "runs" / "tiny" / "failures.jsonl").read_text().splitlines()
    failures = [json.loads(line) for line in lines]
    assert {failure["eval"]["lr"] for failure in failures} == {1e30}
    # For 2 seeds: at 2 sparsities tickets of two H_find and random masks; the dense network.
    assert len(failures) == 2 * (2 * (2 + 1) + 1)
    assert all(failure["reason"].startswith("Diverged: ") for failure in failures)
    good = [result for result in read_results(tmp_path / "runs") if result["kind"] != "chain"]
    assert sum(result["eval"]["lr"] == 0.05 for result in good if result["round"]) >= 8
    assert "Traceback" not in done.stderr


KILLED_ONCE = """\
import os, signal
import ray
from lt_core import models

def build(channels, classes, image_size):
    if ray.is_initialized():  # in a worker
        built = os.open({built!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(built, b"x")
        if os.lseek(built, 0, os.SEEK_CUR) == 25:  # of all workers the one that wrote it
            os.kill(os.getpid(), signal.SIGKILL)  # as Linux does where memory is short
    size = {{"channels": channels, "classes": classes, "image_size": image_size}}
    return models.build("small_resnet", **size, seed=0)
"""


@pytest.mark.nightly
def test_a_worker_that_dies_with_a_pack_loses_no_finished_training(
    tiny, launch, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    source = KILLED_ONCE.format(built=str(tmp_path / "built"))
    (tmp_path / "own_net_of_packs.py").write_text(source)
    runs = tmp_path / "runs"
    own = ("model=own_net_of_packs:build", "baselines=[global_random]", PACKED)
    done = launch(tiny, *own, "--out", runs)
    assert done.returncode == 0, done.stderr
    assert "failed" not in done.stderr
    retried = re.findall(r"to be tried again: (.*)", done.stderr)
    assert 1 <= len(retried) <= 4  # of one pack; two rounds of one curve have one name
    assert num_trained(done.stderr) == len(read_results(runs)) == 12 + 8 + 8


@pytest.mark.nightly
def test_a_launch_that_is_killed_with_packs_goes_on_to_the_same(tiny, finished, tmp_path):
    runs = tmp_path / "runs"
    with started(tiny, PACKED, "--out", runs) as process:
        wait_until(lambda: num_stored(runs) >= 15, process)
    before = num_stored(runs)
    again = launch_apart(tiny, PACKED, "--out", runs)
    assert again.returncode == 0, again.stderr
    assert num_trained(again.stderr) <= 44 - before
    assert same_results(runs, finished[1])
