"""Removing from a store what no run needs."""

import shutil

import pytest
from tiny_sweep import run_here

from tune_app.__main__ import main as lottery
from tune_app.store.claims import Claims
from tune_app.store.store import Store


@pytest.fixture
def runs(variants, tmp_path):
    return shutil.copytree(variants, tmp_path / "runs")


def files(runs) -> int:
    return sum(path.is_file() for path in (runs / "_store").rglob("*.gz"))


def test_what_no_run_asked_for_is_said_then_removed(runs, tiny, launch):
    before = files(runs)
    said = run_here(lottery, "clean", runs / "tiny")
    assert said.returncode == 0, said.stderr
    assert files(runs) == before
    # Of the variant: 44 results, for 2 H_find and 2 seeds 2 tickets each and the ticket of the last
    # round, which evaluations are under, and what the networks of a seed start from.
    kinds = {
        line.split()[0]: line.split()[1] for line in said.stdout.splitlines() if "file" in line
    }
    assert kinds["results"] == "44"
    done = run_here(lottery, "clean", runs / "tiny", "--delete")
    assert done.returncode == 0, done.stderr
    assert " removed\n" in done.stdout
    assert files(runs) < before - 44
    again = run_here(lottery, "clean", runs / "tiny")
    assert again.stdout.endswith("nothing else is in the store\n")

    plan = launch(tiny, "--out", runs, "--dry-run").stdout
    assert [line.split()[-2:] for line in plan.splitlines() if line.startswith("total")] == [
        ["44", "0"]
    ]
    plan = launch(tiny, "train.weight_decay=5e-3", "--out", runs, "--dry-run").stdout
    assert [line.split()[-2:] for line in plan.splitlines() if line.startswith("total")] == [
        ["0", "44"]
    ]
    # What is kept is enough to train an evaluation again, and to draw the masks.
    [result, *_] = (runs / "_store" / "results").rglob("*.gz")
    result.unlink()
    assert launch(tiny, "--out", runs).returncode == 0


def test_all_runs_that_are_there_are_kept(runs):
    assert run_here(lottery, "clean", "--out", runs, "--delete").stdout.endswith(
        "nothing else is in the store\n"
    )
    shutil.rmtree(runs / "tiny")
    assert "44 files" in run_here(lottery, "clean", "--out", runs).stdout


def test_nothing_is_removed_beside_a_launch_or_without_a_run(runs, tmp_path):
    before = files(runs)
    with Claims(Store(str(runs / "_store"))) as claims:
        claims.take(["an id"])
        done = run_here(lottery, "clean", runs / "tiny", "--delete")
        assert done.returncode == 3
        assert "a launch works on this store (process " in done.stderr
    done = run_here(lottery, "clean", "--out", tmp_path / "empty", "--delete")
    assert (done.returncode, done.stderr) == (
        2,
        f"error: {tmp_path}/empty: no run is there, and none is given: nothing would be kept\n",
    )
    assert files(runs) == before


def test_what_loses_by_it_is_named(runs, tmp_path):
    said = run_here(lottery, "clean", runs / "tiny").stdout
    assert f"not kept: what only {runs}/tiny-2 asked for\n" in said
    assert "runs elsewhere that share this store are not known here" in said
    shutil.copytree(runs / "tiny", tmp_path / "apart" / "tiny")
    alone = run_here(lottery, "clean", tmp_path / "apart" / "tiny")
    assert (alone.returncode, alone.stderr) == (
        2,
        f"error: {tmp_path}/apart/_store: there is no store; --store says where\n",
    )
    both = run_here(lottery, "clean", runs / "tiny", tmp_path / "apart" / "tiny")
    assert both.returncode == 2 and "--store: needed" in both.stderr
