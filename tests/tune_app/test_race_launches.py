"""A grid with a race, as a user launches it."""

import pickle
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from tiny_sweep import file_of, num_trained, read_results, what_was_computed

from tune_app.plan.plan import make_plan
from tune_app.report.write import write_report
from tune_app.results.reading import read_all, read_sweep
from tune_app.run import driver
from tune_app.store.store import Store
from tune_app.sweep.load import load_sweep

# Masks of an LR that does not train at all, and networks that are trained at it.
RACE = """\
name: race
model: small_resnet
dataset: digits
seeds: {from: 0, at_most: 4, until: 0.01}
train: {lr: 0.1, batch_size: 64, weight_decay: 5e-4, duration: 1ep}
prune: {fraction: 0.5, rounds: 2}
find: {parameters: {lr: {values: [1e-6, 0.1]}}}
eval:
  parameters: {lr: {values: [1e-6, 0.1]}}
  at_sparsity: [0.75]
"""


@pytest.fixture(scope="session")
def raced(shared, launch):
    """The sweep file, what its launch printed, and its `--out`; not to be changed."""

    def make(folder: Path) -> None:
        (folder / "race.yaml").write_text(RACE)
        done = launch(folder / "race.yaml", "--out", folder / "runs")
        (folder / "done").write_bytes(pickle.dumps(done))

    folder = shared("race", make)
    return folder / "race.yaml", pickle.loads((folder / "done").read_bytes()), folder / "runs"


def computed(runs: Path) -> dict[str, dict[str, Any]]:
    return what_was_computed(read_results(runs, "race"))


def spared(stdout: str) -> tuple[int, int]:
    found = re.search(r"^Racing: (\d+) of (\d+) trainings were not needed", stdout, re.MULTILINE)
    return int(found[1]), int(found[2])


def test_what_drops_out_is_not_trained_with_the_seeds_after_it(raced):
    _, done, runs = raced
    assert done.returncode == 0, done.stderr
    assert "LR_find 1e-06, LR_eval 1e-06 drops out after 3 seeds: " in done.stderr
    num_spared, num_asked = spared(done.stdout)
    # 2 H_find x 4 seeds x 3 rounds, and the two decoupled evaluations of 4 seeds.
    assert num_asked == 24 + 8
    results = read_all(runs / "race/results.jsonl")
    assert len(results) == num_asked - num_spared == num_trained(done.stderr)
    coupled_at = {
        r.seed for r in results if r.find == r.eval and r.find.lr == 1e-6 and r.round == 2
    }
    assert coupled_at == {0, 1, 2}
    report = (runs / "race/report.md").read_text()
    assert "## Race\n" in report
    assert re.search(r"^\| LR_find 1e-06, LR_eval 1e-06 \| 3 \| .* points below", report, re.M)
    assert "## Missing" not in report
    assert (runs / "race/failures.jsonl").read_text() == ""


def test_its_sweep_file_is_the_race_again(raced):
    race, _, runs = raced
    assert read_sweep(runs / "race") == load_sweep(race)


def test_a_report_from_its_files_alone_says_the_same(raced, tmp_path):
    _, done, runs = raced
    shutil.copytree(runs / "race", tmp_path / "race")
    [said] = [note for note in write_report(tmp_path / "race").notes if note.startswith("Racing")]
    assert said in done.stdout


def test_the_same_command_trains_nothing_more(raced, launch, tmp_path, monkeypatch):
    race, done, before = raced
    runs = tmp_path / "runs"
    shutil.copytree(before, runs)
    monkeypatch.setattr(driver, "Driver", pytest.fail)
    again = launch(race, "--out", runs)
    assert again.returncode == 0, again.stderr
    assert "trials          nothing to do" in again.stdout
    assert spared(again.stdout) == spared(done.stdout)
    assert computed(runs) == computed(before)
    dry = launch(race, "--out", runs, "--dry-run")
    assert "trials          nothing to do" in dry.stdout


@pytest.mark.nightly
def test_a_race_that_was_stopped_goes_on_to_the_same_end(raced, launch, tmp_path):
    race, _, before = raced
    runs = tmp_path / "runs"
    shutil.copytree(before / "_store", runs / "_store")
    shutil.copy(before / "mlflow.db", runs)
    store = Store(str(runs / "_store"))
    plan = make_plan(load_sweep(race))
    lost = [r["id"] for r in read_results(before, "race") if r["seed"] in (2, 3)]
    for id in lost:
        file_of(store, "results", id).unlink()
    for ticket in (t for chain in plan.chains if chain.seed > 1 for t in chain.tickets):
        if ticket in store.stored().tickets:
            file_of(store, "tickets", ticket).unlink()
    again = launch(race, "--out", runs)
    assert again.returncode == 0, again.stderr
    assert num_trained(again.stderr) == len(lost)
    assert computed(runs) == computed(before)
