"""The command line from end to end: real Ray, real MLflow, real kills."""

import gc
import json
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from gate import Gate
from ray.tune.experiment import Trial
from synthetic_run import result_of
from tiny_sweep import (
    NUM_TRAININGS,
    TINY,
    command,
    environment,
    kill_below,
    launch_apart,
    num_stored,
    num_trained,
    read_results,
    same_results,
    started,
    wait_until,
    what_was_computed,
)

from lt_core.config import Recipe
from tune_app.plan.plan import make_plan
from tune_app.run import trial_queue, tuner
from tune_app.store.store import Store
from tune_app.sweep.load import load_sweep

GRID = Path(__file__).parents[2] / "sweeps" / "lr_grid.yaml"


def test_a_run_leaves_every_training_on_record(finished):
    done, runs = finished
    assert done.returncode == 0, done.stderr
    results = read_results(runs)
    assert len(results) == NUM_TRAININGS
    assert len({result["id"] for result in results}) == NUM_TRAININGS
    for result in results:
        # What came later is left out at its default.
        added = "optimizer clip_norm label_smoothing ema micro_batch order_seed"
        assert set(result["eval"]) == set(Recipe.model_fields) - set(added.split())
        assert (result["find"] is None) == (result["kind"] == "global_random")
        assert 0 <= result["val_accuracy"] <= 1 and 0 <= result["test_accuracy"] <= 1
        # 19,464 weights: half of them is 9,732, half of these 4,866.
        assert result["sparsity"] == [0, 0.5, 0.75][result["round"]]
        assert len(result["lpr"]) == 10 and result["seconds"] > 0


def test_random_baselines_have_the_sparsity_and_the_lpr_that_they_promise(finished):
    results = read_results(finished[1])
    lottery = {
        (canonical(r["find"]), r["seed"], r["round"]): r["lpr"]
        for r in results
        if r["kind"] == "lottery"
    }
    preserved = [r for r in results if r["kind"] == "preserve_lpr"]
    assert len(preserved) == 16
    for r in preserved:
        assert r["lpr"] == lottery[canonical(r["find"]), r["seed"], r["round"]]
    for r in results:
        if r["kind"] == "global_random":
            assert all(abs(ratio - r["sparsity"]) < 0.2 for ratio in r["lpr"].values())


def canonical(recipe: dict) -> str:
    return json.dumps(recipe, sort_keys=True)


def test_the_terminal_shows_the_plan_the_progress_the_table_and_where_to_look(finished):
    done, runs = finished
    assert "requested    shared      done     to do" in done.stdout
    assert f"[{NUM_TRAININGS}/{NUM_TRAININGS}]" in done.stderr
    assert "mean ± std" in done.stdout
    assert f"MLflow: python -m tune_app ui {runs / 'tiny'}\n" in done.stdout
    assert f"report: {runs / 'tiny' / 'report.html'}\n" in done.stdout
    *_, answer = done.stdout.splitlines()
    assert f"**{answer}**" in (runs / "tiny" / "report.md").read_text()
    for noise in ("Traceback", "WARNING", "ray.tune", "INFO"):
        assert noise not in done.stderr + done.stdout


def test_nothing_stays_in_the_temporary_directory_of_the_ray_that_it_started(finished):
    assert (finished[1].parent / "left by Ray").read_text() == ""


def test_figures_and_tables_are_drawn(finished):
    run = finished[1] / "tiny"
    for figure in ("fig1", "fig2", "fig3", "fig6", "overlap"):
        assert (run / "figures" / f"{figure}.png").stat().st_size > 10_000
    assert "fig2.png" in (run / "report.md").read_text()
    tables = sorted(path.name for path in (run / "tables").iterdir())
    assert tables == ["accuracy.csv", "best.csv", "costs.csv", "overlap.csv"]


def test_mlflow_holds_a_run_for_each_curve_and_the_report(finished):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{finished[1]}/mlflow.db")
    experiment = client.get_experiment_by_name("tiny")
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    kinds = [run.data.params["kind"] for run in runs]
    # Per seed: 4 tickets' curves, 2 random ones, 4 of preserve LPR.
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "lottery": 8,
        "global_random": 4,
        "preserve_lpr": 8,
        "report": 1,
    }
    assert {run.info.status for run in runs} == {"FINISHED"}
    report = next(run for run in runs if run.data.params["kind"] == "report")
    figures = client.list_artifacts(report.info.run_id, "figures")
    assert "figures/fig2.png" in [artifact.path for artifact in figures]


def test_the_same_command_again_trains_nothing(tiny, finished, launch, tmp_path):
    runs = tmp_path / "runs"
    shutil.copytree(finished[1], runs)
    again = launch(tiny, "--out", runs)
    assert again.returncode == 0, again.stderr
    assert f"{'total':<16}" in again.stdout
    assert "trials          nothing to do: everything is trained\n" in again.stdout
    assert "trainings in" not in again.stderr
    assert read_results(runs) == read_results(finished[1])


def test_an_edited_file_trains_only_what_is_new(tiny, finished, launch, tmp_path):
    runs = tmp_path / "runs"
    shutil.copytree(finished[1], runs)
    done = launch(tiny, "--out", runs, "prune.rounds=3", "eval.at_sparsity=[0.875]", "baselines=[]")
    assert done.returncode == 0, done.stderr
    # 4 chains go on for one round, and 4 decoupled evaluations of what they found.
    assert "trials          8 to run: 4 chains that find masks, 4 evaluations" in done.stdout
    assert num_stored(runs) == NUM_TRAININGS + 8
    before, after = (what_was_computed(read_results(r)) for r in (finished[1], runs))
    assert all(before[id] == after[id] for id in before.keys() & after.keys())


def test_of_a_tuner_that_is_over_no_trial_is_kept(launch, tmp_path, monkeypatch):
    """Thousands of them are a hundred megabytes, and a large sweep has a Tuner after another."""
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    monkeypatch.setattr(trial_queue, "MAX_TRIALS", 3)
    run, kept = tuner.Trials.run, []

    def count(trials, *arguments):
        kept.append(sum(type(each) is Trial for each in gc.get_objects()))
        run(trials, *arguments)

    monkeypatch.setattr(tuner.Trials, "run", count)
    done = launch(path, "--out", tmp_path / "runs", "seeds=[0]", "baselines=[]")
    assert done.returncode == 0, done.stderr
    # 2 chains, and 4 evaluations: at 2 rounds each, 2 decoupled pairs.
    assert kept[1:] == [0, 0]


def test_a_dense_network_that_is_stored_is_pruned_in_another_way(tiny, finished, launch, tmp_path):
    runs = tmp_path / "runs"
    shutil.copytree(finished[1], runs)
    done = launch(tiny, "--out", runs, "prune.fraction=0.3", "seeds=[0]", "baselines=[]")
    assert done.returncode == 0, done.stderr
    # 2 chains train rounds 1 and 2, not 0; 4 decoupled evaluations.
    assert num_stored(runs) == NUM_TRAININGS + 2 * 2 + 4


def test_after_a_killed_launch_the_same_command_goes_on(
    tiny, finished, launch, on_warm_ray, tmp_path
):
    runs = tmp_path / "runs"
    with started(tiny, "--out", runs, env=on_warm_ray) as process:
        wait_until(lambda: num_stored(runs) >= 5, process)
        num_before = num_stored(runs)
    again = launch(tiny, "--out", runs)
    assert again.returncode == 0, again.stderr
    # The orphaned workers may have finished what they were at.
    assert 0 < num_trained(again.stderr) <= NUM_TRAININGS - num_before
    assert same_results(runs, finished[1])


@pytest.mark.nightly
def test_after_a_killed_worker_its_trial_goes_on(tiny, finished, tmp_path):
    runs = tmp_path / "runs"
    with started(tiny, "--out", runs) as process:
        wait_until(lambda: num_stored(runs) >= 5, process)
        kill_below(process, "TicketTrial", at_most=1)
        _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert num_trained(err) == NUM_TRAININGS
    assert same_results(runs, finished[1])


@pytest.mark.nightly
def test_a_training_goes_on_from_its_last_checkpoint(tiny, launch, tmp_path):
    short = ["seeds=[0]", "baselines=[]", "prune.rounds=1", "find.parameters.lr.values=[0.05]"]
    short += ["eval.parameters.lr=null", "train.duration=3ep", "checkpoint_every=1ep"]
    runs, undisturbed = tmp_path / "runs", tmp_path / "undisturbed"
    gate = Gate(tmp_path / "gate")
    env = environment(**gate.environment(after_a_checkpoint=True))
    with started(tiny, "--out", runs, *short, env=env) as process:
        wait_until(gate.notes, process)
        kill_below(process)
    [kept] = (runs / "_store" / "checkpoints").rglob("*.gz")
    assert num_stored(runs) == 0
    again = launch(tiny, "--out", runs, *short)
    assert again.returncode == 0, again.stderr
    assert not kept.exists()
    straight = launch(tiny, "--out", undisturbed, *short, "checkpoint_every=100min")
    assert straight.returncode == 0, straight.stderr
    assert same_results(runs, undisturbed)


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.nightly)]
)
def test_a_signal_ends_it_tidily_and_says_how_to_go_on(tiny, on_warm_ray, tmp_path, number):
    runs = tmp_path / "runs"
    with started(tiny, "--out", runs, env=on_warm_ray) as process:
        wait_until(lambda: num_stored(runs) >= 1, process)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert f"To go on: python -m tune_app.launch {tiny} --out {runs}" in err
    assert "Traceback" not in err


def test_a_training_that_diverges_fails_with_its_dependants_and_nothing_else(launch, tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(
        TINY.replace(
            "find: {parameters: {lr: {values: [0.05, 0.2]}}}",
            "find: {parameters: {lr: {values: [0.05, 1e30]}}}",
        )
    )
    done = launch(path, "--out", tmp_path / "runs", "seeds=[0]")
    assert done.returncode == 3
    failures = [
        json.loads(line)
        for line in (tmp_path / "runs" / "tiny" / "failures.jsonl").read_text().splitlines()
    ]
    first = next(f for f in failures if f["round"] == 0)
    assert first["reason"] == "Diverged: loss is nan at step 2 of 4 (epoch 1, LR 1e+30)"
    # Rounds 0 and 1 of the chain; lottery and preserve LPR at 2 H_eval and rounds 1 and 2.
    assert len(failures) == 2 + 4 + 4
    for failure in failures:
        assert failure["find"]["lr"] == 1e30
        assert "loss is nan at step 2 of 4" in failure["reason"]
    assert "10 trainings have no result" in done.stderr
    # The chain of LR 0.05 and all that hangs on it: 3 + dense 0.2, decoupled 2, random 4, LPR 4.
    assert len(read_results(tmp_path / "runs")) == 3 + 1 + 2 + 4 + 4
    assert "Traceback" not in done.stderr

    again = launch(path, "--out", tmp_path / "runs", "seeds=[0]")
    assert again.returncode == 3
    assert "not tried again 10 of these: 1 diverged before" in again.stdout
    assert "trainings in" not in again.stderr  # nothing was trained
    assert again.stderr.partition("10 trainings")[2] == done.stderr.partition("10 trainings")[2]


BAD = {
    "no such file": (["nowhere.yaml"], "error: nowhere.yaml: no such file"),
    "unknown model": ([GRID, "model=resnet21"], "`model`: must be one of"),
    "model that is not there": (
        [GRID, "model=no_such_package:net"],
        "error: command line (model=no_such_package:net): `model`: no_such_package:net: cannot "
        "import no_such_package",
    ),
    "model for larger images": ([GRID, "model=vgg16"], "needs 16x16 pixels or more, got 8x8"),
    "unknown data set": ([GRID, "dataset=digit"], "did you mean digits?"),
    "data set that is not there": (
        [GRID, "dataset=miniplaces", "data_dir=elsewhere"],
        "error: command line (dataset=miniplaces): `dataset`: miniplaces: elsewhere/miniplaces "
        "must hold images/",
    ),
    "batch too large": ([GRID, "train.batch_size=2000"], "at most the 1,000 training images"),
    "milestone after the end": ([GRID, "train.duration=100it"], "milestone 7ep is not before"),
    "no cluster": (
        [GRID, "--address", "127.0.0.1:1"],
        "error: 127.0.0.1:1: no Ray cluster answers there ([Errno 111] Connection refused)",
    ),
    "the page of a cluster": (
        [GRID, "--address", "http://127.0.0.1:8265"],
        "error: http://127.0.0.1:8265: must be host and port of Ray's head, such as 10.0.0.1:6379",
    ),
    "from here and over there": (
        [GRID, "--address", "127.0.0.1:1", "--submit", "http://127.0.0.1:8265"],
        "error: --submit: not allowed with --address; ",
    ),
}


@pytest.mark.parametrize("arguments, message", BAD.values(), ids=BAD)
def test_bad_input_is_refused_in_one_message(launch, tmp_path, arguments, message):
    done = launch(*arguments, "--out", tmp_path / "runs")
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_what_this_machine_cannot_hold_is_refused_in_one_message(tmp_path):
    too_much = ("find.resources={gpu: 1000}", "eval.resources={cpu: 1000}")
    done = launch_apart(GRID, *too_much, "--out", tmp_path / "runs")
    assert done.returncode == 2
    assert "`find.resources` asks for 1 CPU and 1000 GPUs, this machine has " in done.stderr
    assert "`eval.resources` asks for 1000 CPUs and 0 GPUs, this machine has " in done.stderr
    assert done.stderr.count("error: ") == 1 and "Traceback" not in done.stderr


def test_a_store_of_another_version_is_refused_and_kept(tiny, finished, launch, tmp_path):
    runs = tmp_path / "runs"
    shutil.copytree(finished[1] / "_store", runs / "_store")
    (runs / "_store" / "store.json").write_text('{"format": 0}')
    done = launch(tiny, "--out", runs)
    assert done.returncode == 2
    assert "written in format 0" in done.stderr
    assert num_files(runs) == num_files(finished[1] / "_store")


def num_files(folder: Path) -> int:
    return sum(path.is_file() for path in folder.rglob("*"))


def test_a_place_that_cannot_be_written_is_refused(tiny, launch, tmp_path):
    (tmp_path / "file").write_text("")
    done = launch(tiny, "--out", tmp_path / "file" / "runs")
    assert done.returncode == 2
    assert "Not a directory" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_dry_run_shows_the_plan_and_leaves_nothing(launch, tmp_path):
    done = launch(GRID, "--dry-run", "--out", tmp_path / "runs")
    assert done.returncode == 0
    plan, _, estimate = done.stdout.partition("estimate ")
    assert plan == (Path(__file__).parent / "lr_grid_plan.txt").read_text(), (
        "if the change is meant: python -m tune_app.launch sweeps/lr_grid.yaml --dry-run "
        "| grep -v ^estimate > tests/tune_app/lr_grid_plan.txt"
    )
    assert re.fullmatch(r" +about [\d.]+ core hours \(from a probe of \d+ steps\)\n", estimate)
    assert done.stderr == ""
    assert not (tmp_path / "runs").exists()


def test_a_dry_run_shows_the_plan_also_where_import_paths_lead_nowhere(launch, tmp_path):
    own = ("model=no_such_package:net", "dataset=no_such_package:load")
    done = launch(GRID, "--dry-run", *own, "--out", tmp_path / "runs")
    assert done.returncode == 0, done.stderr
    assert "816" in done.stdout  # as many trainings as of any network
    *_, note = done.stdout.splitlines()
    of_own = "your own data, network, score and masks"
    assert note.startswith(f"what is stored of {of_own} is not known, nor counted as done: ")
    assert "cannot import no_such_package" in note
    checked = launch(GRID, "--check", *own, "--out", tmp_path / "runs")
    assert checked.returncode == 2


def test_a_dry_run_where_something_is_trained_imports_neither_torch_nor_ray_nor_mlflow(tmp_path):
    store = Store(str(tmp_path / "_store"))
    store.create()
    training = make_plan(load_sweep(GRID)).evaluations[0]
    store.put_result(training.id, result_of(training, seconds=0.9).to_line())
    code = (
        "import sys; from tune_app import launch; "
        f"launch.main([{str(GRID)!r}, '--dry-run', '--out', {str(tmp_path)!r}]); "
        "print({'torch', 'ray', 'mlflow', 'matplotlib', 'sklearn'} & sys.modules.keys())"
    )
    python = command()[0]
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    *_, estimate, imported = done.stdout.splitlines()
    # 815 x 0.9 s = 733.5 s.
    assert estimate.startswith("estimate        about 0.2 core hours, ")
    assert estimate.endswith(" (from 1 like training in the store)")
    assert imported == "set()"


def test_a_system_that_cannot_work_is_refused_in_one_line(tmp_path):
    code = (
        "import sys; sys.modules['fcntl'] = None; from tune_app import launch; "
        f"sys.exit(launch.main([{str(GRID)!r}, '--dry-run']))"
    )
    done = subprocess.run([command()[0], "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "error: this system has no `fcntl`; on Windows, use WSL\n"
    assert done.stdout == ""


def test_the_command_line_has_no_more_options_than_these(launch):
    """What belongs to the experiment goes into the sweep file."""
    help_text = launch("--help").stdout
    options = {word.strip(",") for word in help_text.split() if word.startswith("-")}
    known = {"--address", "--check", "--dry-run", "--out", "--store", "--submit", "--help"}
    assert {o for o in options if o.startswith("--")} == known
