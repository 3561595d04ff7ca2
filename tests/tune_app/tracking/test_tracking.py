import dataclasses
import fcntl
import os
import signal
import subprocess
import sys
import threading
import zlib
from base64 import b64decode
from json import loads
from pathlib import Path

import pytest

from tune_app.results.curves import curves
from tune_app.results.result import Result
from tune_app.sweep.load import load_sweep
from tune_app.tracking import tracker as tracking
from tune_app.tracking.connection import (
    TrackingError,
    artifact_root,
    check_uri,
    tracking_uri,
    way_to,
)
from tune_app.tracking.runs import curve_tag, points, table_columns
from tune_app.tracking.tracker import Tracker

# MLflow 3.17 with SQLAlchemy 2.1.
SWEEP = """
name: grid
description: which?
model: small_resnet
dataset: digits
seeds: [0]
train: {lr: 0.1, batch_size: 64, weight_decay: 5e-3, duration: 16ep, milestones: [8ep, 13ep]}
prune: {fraction: 0.5, rounds: 3}
find: {parameters: {lr: {values: [0.02, 0.1]}}}
eval: {parameters: {lr: {values: [0.1, 0.5]}}}
baselines: [global_random]
"""

TEST_ACCURACY = {0: 0.98, 1: 0.975, 2: 0.97, 3: 0.90}
SPARSITY = {0: 0.0, 1: 0.5, 2: 0.75, 3: 0.87512}


def write_sweep(directory, old="", new=""):
    path = directory / "sweep.yaml"
    path.write_text(SWEEP.replace(old, new))
    return load_sweep(path)


def result(sweep, kind, find_lr, eval_lr, round, lpr_lr=None):
    find, eval_, lpr_find = (
        None if lr is None else sweep.train.model_copy(update={"lr": lr})
        for lr in (find_lr, eval_lr, lpr_lr)
    )
    return Result(
        id="id",
        kind=kind,
        find=find,
        lpr_find=lpr_find,
        eval=eval_,
        seed=0,
        round=round,
        sparsity=SPARSITY[round],
        val_accuracy=0.99,
        test_accuracy=TEST_ACCURACY[round],
        train_loss=0.25,
        lpr={"conv": SPARSITY[round] / 2, "fc": SPARSITY[round]},
        seconds=1.5,
        finished_at=1_800_000_000.25 + round,
    )


def results(sweep, rounds=(1, 2, 3)):
    """All of the 2 x 2 grid and the random masks of no H_find: 6 curves of 4 points."""
    lines = [result(sweep, "lottery", lr, lr, 0) for lr in (0.1, 0.5)]
    for round in rounds:
        for lr in (0.1, 0.5):
            lines += [result(sweep, "lottery", find, lr, round) for find in (0.02, 0.1)]
            lines.append(result(sweep, "global_random", None, lr, round))
    return lines


@pytest.fixture
def sweep(tmp_path):
    return write_sweep(tmp_path)


def client_of(uri):
    from mlflow import MlflowClient

    return MlflowClient(uri)


def runs_of(uri, where=""):
    """By name; a name that comes twice is a failure."""
    client = client_of(uri)
    experiment = client.get_experiment_by_name("grid")
    runs = client.search_runs([experiment.experiment_id], where)
    names = sorted(run.info.run_name for run in runs)
    assert len(set(names)) == len(names), names
    return {run.info.run_name: run for run in runs}


def history(uri, run, metric):
    return [
        (point.step, point.value, point.timestamp)
        for point in client_of(uri).get_metric_history(run.info.run_id, metric)
    ]


def assert_all_logged_once(uri):
    """6 finished runs, each metric with exactly its 4 points."""
    runs = runs_of(uri)
    assert len(runs) == 6
    for run in runs.values():
        assert run.info.status == "FINISHED"
        for metric in ("test_accuracy", "val_accuracy", "sparsity", "train_loss", "lpr/conv"):
            steps = [step for step, _, _ in history(uri, run, metric)]
            assert sorted(steps) == [0, 500_000, 750_000, 875_120]


def test_a_curve_is_a_run(uri, sweep, tmp_path):
    assert Tracker(uri, sweep, tmp_path, "c0ffee").log_curves(curves(results(sweep))) == 6
    assert_all_logged_once(uri)
    runs = runs_of(uri)
    assert sorted(runs) == [
        "global_random eval lr 0.1 seed 0",
        "global_random eval lr 0.5 seed 0",
        "lottery find lr 0.02 -> eval lr 0.1 seed 0",
        "lottery find lr 0.02 -> eval lr 0.5 seed 0",
        "lottery find lr 0.1 -> eval lr 0.1 seed 0",
        "lottery find lr 0.1 -> eval lr 0.5 seed 0",
    ]
    run = runs["lottery find lr 0.02 -> eval lr 0.5 seed 0"]
    recipe = {
        "batch_size": "64",
        "micro_batch": "none",
        "optimizer": "sgd",
        "weight_decay": "0.005",
        "momentum": "0.9",
        "clip_norm": "none",
        "label_smoothing": "0",
        "ema": "none",
        "duration": "16ep",
        "stop": "none",
        "warmup": "0ep",
        "decay": "milestones",
        "milestones": "8ep 13ep",
        "gamma": "0.1",
        "order_seed": "none",
        "precision": "fp32",
    }
    assert run.data.params == {
        "kind": "lottery",
        "seed": "0",
        "coupled": "no",
        "model": "small_resnet",
        "dataset": "digits",
        "prune.strategy": "global_magnitude",
        "prune.scope": "global",
        "prune.fraction": "0.5",
        "prune.layer_fractions": "",
        "prune.skip": "",
        "prune.shrink": "True",
        "prune.one_shot": "none",
        "rewind.method": "weights",
        "rewind.to": "0ep",
        "rewind.from": "find",
        "find.lr": "0.02",
        "eval.lr": "0.5",
        **{f"find.{name}": value for name, value in recipe.items()},
        **{f"eval.{name}": value for name, value in recipe.items()},
    }
    assert (run.data.tags["sweep"], run.data.tags["commit"]) == ("grid", "c0ffee")
    assert (run.info.start_time, run.info.end_time) == (1_799_999_998_750, 1_800_000_003_250)
    assert history(uri, run, "test_accuracy") == [
        (0, 0.98, 1_800_000_000_250),
        (500_000, 0.975, 1_800_000_001_250),
        (750_000, 0.97, 1_800_000_002_250),
        (875_120, 0.90, 1_800_000_003_250),
    ]
    assert [value for _, value, _ in history(uri, run, "lpr/conv")] == [0.0, 0.25, 0.375, 0.43756]
    assert run.data.metrics["test_acc/0.750"] == 0.97
    assert run.data.metrics["test_acc/0.875"] == 0.90


def test_the_tags_of_curves_stay(sweep):
    found = curves(results(sweep))[:3]
    tags = ["de4fe6e74834d64d", "54d54d69f9813ed0", "9cbc98032a53cd4e"]
    assert [curve_tag(sweep, curve) for curve in found] == tags


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("fraction: 0.5", "fraction: 0.4"),
        ("fraction: 0.5", "fraction: 0.5, skip: [conv]"),
        ("fraction: 0.5", "fraction: 0.5, strategy: layerwise_magnitude"),
        ("rounds: 3", "one_shot: [0.5, 0.75, 0.875]"),
        ("seeds: [0]", "seeds: [0]\nrewind: {to: 2ep}"),
        ("baselines: [global_random]", "rewind: {method: learning_rate}"),
    ],
)
def test_another_way_to_prune_or_rewind_is_another_curve(sweep, tmp_path, old, new):
    curve = curves(results(sweep))[0]
    other = write_sweep(tmp_path, old, new)
    assert curve_tag(other, curve) != curve_tag(sweep, curve)


def test_a_tag_follows_what_changes_a_result_and_nothing_else(sweep, tmp_path):
    curve = curves(results(sweep))[0]
    rewound = write_sweep(tmp_path, "seeds: [0]", "seeds: [0]\nrewind: {to: 2ep}")
    at_eval = write_sweep(tmp_path, "eval: {", "rewind: {to: 2ep}\neval: {rewind_from: eval, ")
    # Initialization is the same for H_find and H_eval.
    initial = write_sweep(tmp_path, "eval: {", "eval: {rewind_from: eval, ")
    deeper = write_sweep(tmp_path, "rounds: 3", "final_sparsity: 0.99")
    constrained = dataclasses.replace(
        curve, key=dataclasses.replace(curve.key, lpr_find=curve.key.eval)
    )
    tags = [curve_tag(*of) for of in ((sweep, curve), (rewound, curve), (at_eval, curve))]
    assert len({*tags, curve_tag(sweep, constrained)}) == 4
    assert curve_tag(initial, curve) == curve_tag(deeper, curve) == tags[0]


def test_an_lpr_constrained_curve_is_a_run_that_says_whose_lpr(uri, tmp_path):
    sweep = write_sweep(tmp_path, "find: {", "find: {lpr_from: [{lr: 0.1}, {lr: 0.02}], ")
    lines = results(sweep)
    for find, source in ((0.02, 0.1), (0.1, 0.02)):
        for eval_ in (0.1, 0.5):
            lines.append(result(sweep, "lpr_constrained", find, eval_, 1, source))
    tracker = Tracker(uri, sweep, tmp_path, None)
    assert tracker.log_curves(curves(lines)) == 10
    runs = runs_of(uri, "params.kind = 'lpr_constrained'")
    assert sorted(runs) == [
        "lpr_constrained find lr 0.02 lpr of lr 0.1 -> eval lr 0.1 seed 0",
        "lpr_constrained find lr 0.02 lpr of lr 0.1 -> eval lr 0.5 seed 0",
        "lpr_constrained find lr 0.1 lpr of lr 0.02 -> eval lr 0.1 seed 0",
        "lpr_constrained find lr 0.1 lpr of lr 0.02 -> eval lr 0.5 seed 0",
    ]
    params = runs["lpr_constrained find lr 0.1 lpr of lr 0.02 -> eval lr 0.1 seed 0"].data.params
    assert [params[name] for name in ("find.lr", "lpr_find.lr", "eval.lr")] == [
        "0.1",
        "0.02",
        "0.1",
    ]
    assert params["coupled"] == "no"  # it is no ticket of its own H

    assert tracker.save_views(curves(lines)) == []
    where = filters(client_of(uri).get_experiment_by_name("grid"))
    assert sorted(runs_of(uri, where["LPR-constrained at LR_eval 0.1"])) == [
        "global_random eval lr 0.1 seed 0",
        "lottery find lr 0.02 -> eval lr 0.1 seed 0",
        "lottery find lr 0.1 -> eval lr 0.1 seed 0",
        "lpr_constrained find lr 0.02 lpr of lr 0.1 -> eval lr 0.1 seed 0",
        "lpr_constrained find lr 0.1 lpr of lr 0.02 -> eval lr 0.1 seed 0",
    ]
    assert sorted(runs_of(uri, where["Baselines at LR 0.1"])) == [
        "global_random eval lr 0.1 seed 0",
        "lottery find lr 0.1 -> eval lr 0.1 seed 0",
    ]


@pytest.mark.parametrize(
    ("prune", "columns"),
    [
        ("{one_shot: [0.3, 0.5]}", ["test_acc/0.300", "test_acc/0.500"]),
        (
            "{one_shot: [0.3, 0.5], strategy: filter_l1}",
            ["test_acc/round 1", "test_acc/round 2"],
        ),
        (
            "{rounds: 1, strategy: layerwise_magnitude, layer_fractions: {fc: 0.1}}",
            ["test_acc/round 1"],
        ),
    ],
)
def test_a_column_says_no_sparsity_that_is_not(tmp_path, prune, columns):
    text = SWEEP.replace("{fraction: 0.5, rounds: 3}", prune).replace("[global_random]", "[]")
    (tmp_path / "sweep.yaml").write_text(text)
    sweep = load_sweep(tmp_path / "sweep.yaml")
    assert table_columns(sweep)[-len(columns) :] == [f"metrics.`{name}`" for name in columns]
    logged = list(points(sweep, [result(sweep, "lottery", 0.1, 0.1, 1)]))
    assert [(m.key, m.value) for m in logged if m.key.startswith("test_acc/")] == [
        (columns[0], TEST_ACCURACY[1])
    ]


def test_what_has_no_h_find_has_no_find_parameters_and_is_coupled(uri, sweep, tmp_path):
    Tracker(uri, sweep, tmp_path, None).log_curves(curves(results(sweep)))
    runs = runs_of(uri, "params.coupled = 'yes'")
    assert sorted(runs) == [
        "global_random eval lr 0.1 seed 0",
        "global_random eval lr 0.5 seed 0",
        "lottery find lr 0.1 -> eval lr 0.1 seed 0",
    ]
    params = runs["global_random eval lr 0.5 seed 0"].data.params
    assert not any(name.startswith("find.") for name in params)


def test_logging_again_changes_nothing(uri, sweep, tmp_path):
    tracker = Tracker(uri, sweep, tmp_path, None)
    lines = results(sweep)
    assert tracker.log_curves(curves(lines)) == 6
    assert tracker.log_curves(curves(lines)) == 0
    assert Tracker(uri, sweep, tmp_path, None).log_curves(curves(lines)) == 0
    assert_all_logged_once(uri)


def test_a_grown_curve_gets_its_new_points(uri, sweep, tmp_path):
    tracker = Tracker(uri, sweep, tmp_path, None)
    assert tracker.log_curves(curves(results(sweep, rounds=[3])[1:])) == 6  # three not dense
    assert tracker.log_curves(curves(results(sweep, rounds=[3, 1]))) == 6
    assert Tracker(uri, sweep, tmp_path, None).log_curves(curves(results(sweep))) == 6
    assert_all_logged_once(uri)


def test_rounds_that_are_not_evaluated_are_not_logged(uri, tmp_path):
    sweep = write_sweep(tmp_path, "eval: {", "eval: {at_sparsity: [0.75], ")
    lines = results(sweep)
    assert Tracker(uri, sweep, tmp_path, None).log_curves(curves(lines)) == 6
    for run in runs_of(uri).values():
        assert [step for step, _, _ in history(uri, run, "test_accuracy")] == [0, 750_000]
    early = [result(sweep, "lottery", 0.02, 0.5, 1)]
    assert Tracker(uri, sweep, tmp_path, None).log_curves(curves(early)) == 0


def test_a_thread_may_log(uri, sweep, tmp_path):
    tracker = Tracker(uri, sweep, tmp_path, None)
    thread = threading.Thread(target=tracker.log_curves, args=[curves(results(sweep))])
    thread.start()
    thread.join()
    assert_all_logged_once(uri)


KILLED_BEFORE = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from test_tracking import *
directory = Path(sys.argv[1])
sweep = load_sweep(directory / "sweep.yaml")
tracker = Tracker(f"sqlite:///{directory}/mlflow.db", sweep, directory, None)
die = lambda *args, **kwargs: os.kill(os.getpid(), signal.SIGKILL)
setattr(tracker._client, sys.argv[2], die)
tracker.log_curves(curves(results(sweep)))
"""


@pytest.mark.parametrize(
    "step",
    [
        "log_batch",
        pytest.param("set_tag", marks=pytest.mark.nightly),
        pytest.param("set_terminated", marks=pytest.mark.nightly),
    ],
)
def test_a_killed_run_is_completed(uri, sweep, tmp_path, step):
    command = [sys.executable, "-c", KILLED_BEFORE, str(tmp_path), step, str(Path(__file__).parent)]
    assert subprocess.run(command).returncode == -signal.SIGKILL
    (run,) = runs_of(uri).values()
    assert run.info.status == "RUNNING"
    assert len(history(uri, run, "test_accuracy")) == (0 if step == "log_batch" else 4)
    Tracker(uri, sweep, tmp_path, None).log_curves(curves(results(sweep)))
    assert_all_logged_once(uri)


def test_a_lost_answer_makes_no_second_run(uri, sweep, tmp_path, monkeypatch):
    tracker = Tracker(uri, sweep, tmp_path, None)
    create = tracker._client.create_run

    def create_but_lose_the_answer(*args):
        create(*args)
        raise ConnectionError("lost")

    with monkeypatch.context() as patch:
        patch.setattr(tracker._client, "create_run", create_but_lose_the_answer)
        with pytest.raises(TrackingError, match="ConnectionError: lost"):
            tracker.log_curves(curves(results(sweep)))
    assert len(runs_of(uri)) == 1
    assert tracker.log_curves(curves(results(sweep))) == 6
    assert_all_logged_once(uri)


def test_known_runs_are_read_page_by_page(uri, sweep, tmp_path, monkeypatch):
    monkeypatch.setattr(tracking, "RUNS_PER_PAGE", 2)
    Tracker(uri, sweep, tmp_path, None).log_curves(curves(results(sweep)))
    assert Tracker(uri, sweep, tmp_path, None).log_curves(curves(results(sweep))) == 0


@pytest.mark.parametrize(
    ("old", "new", "param", "value"),
    [
        ("weight_decay: 5e-3", "weight_decay: 1e-4", "eval.weight_decay", "0.0001"),
        ("fraction: 0.5", "fraction: 0.4", "prune.fraction", "0.4"),
        ("small_resnet", "resnet20", "model", "resnet20"),
        ("fraction: 0.5", "fraction: 0.5, skip: [conv]", "prune.skip", "conv"),
        ("seeds: [0]", "seeds: [0]\nrewind: {to: 2ep}", "rewind.to", "2ep"),
    ],
)
def test_two_sweeps_of_a_name_do_not_mix(uri, sweep, tmp_path, old, new, param, value):
    Tracker(uri, sweep, tmp_path, None).log_curves(curves(results(sweep)))
    edited = write_sweep(tmp_path, old, new)
    tracker = Tracker(uri, edited, tmp_path, None)
    lines = curves(results(edited))
    assert tracker.log_curves(lines) == 6
    tracker.save_views(lines)
    client = client_of(uri)
    experiment = client.get_experiment_by_name("grid")
    assert len(client.search_runs([experiment.experiment_id])) == 12
    for where in filters(experiment).values():
        runs = client.search_runs([experiment.experiment_id], where)
        assert {run.data.params[param] for run in runs} == {value}


def test_a_sweep_does_not_mix_with_an_earlier_one_that_skipped_layers(uri, tmp_path):
    skipping = write_sweep(tmp_path, "fraction: 0.5", "fraction: 0.5, skip: [conv]")
    Tracker(uri, skipping, tmp_path, None).log_curves(curves(results(skipping)))
    sweep = write_sweep(tmp_path)
    tracker = Tracker(uri, sweep, tmp_path, None)
    tracker.log_curves(curves(results(sweep)))
    tracker.save_views([])
    client = client_of(uri)
    experiment = client.get_experiment_by_name("grid")
    for where in filters(experiment).values():
        runs = client.search_runs([experiment.experiment_id], where)
        assert {run.data.params["prune.skip"] for run in runs} == {""}


def filters(experiment):
    """The filter of each saved view, by the view's name."""
    found = {}
    for name, value in experiment.tags.items():
        if name.startswith("mlflow.sharedViewState."):
            view = loads(value)
            page = loads(zlib.decompress(b64decode(view["state"].removeprefix("deflate;"))))
            found[view["name"]] = page["searchFilter"]
    return found


def test_saved_views_select_the_runs_that_their_names_say(uri, sweep, tmp_path):
    tracker = Tracker(uri, sweep, tmp_path, None)
    tracker.log_curves(curves(results(sweep)))
    assert tracker.save_views(curves(results(sweep))) == []
    assert tracker.save_views(curves(results(sweep))) == []
    found = filters(client_of(uri).get_experiment_by_name("grid"))
    assert {name: sorted(runs_of(uri, where)) for name, where in found.items()} == {
        "H_find at LR_eval 0.1": [
            "lottery find lr 0.02 -> eval lr 0.1 seed 0",
            "lottery find lr 0.1 -> eval lr 0.1 seed 0",
        ],
        "H_find at LR_eval 0.5": [
            "lottery find lr 0.02 -> eval lr 0.5 seed 0",
            "lottery find lr 0.1 -> eval lr 0.5 seed 0",
        ],
        "H_eval at LR_find 0.02": [
            "lottery find lr 0.02 -> eval lr 0.1 seed 0",
            "lottery find lr 0.02 -> eval lr 0.5 seed 0",
        ],
        "H_eval at LR_find 0.1": [
            "lottery find lr 0.1 -> eval lr 0.1 seed 0",
            "lottery find lr 0.1 -> eval lr 0.5 seed 0",
        ],
        "All lottery curves": [
            "lottery find lr 0.02 -> eval lr 0.1 seed 0",
            "lottery find lr 0.02 -> eval lr 0.5 seed 0",
            "lottery find lr 0.1 -> eval lr 0.1 seed 0",
            "lottery find lr 0.1 -> eval lr 0.5 seed 0",
        ],
        "Baselines at LR 0.1": [
            "global_random eval lr 0.1 seed 0",
            "lottery find lr 0.1 -> eval lr 0.1 seed 0",
        ],
    }


def test_views_of_an_earlier_sweep_go_and_those_of_people_stay(uri, sweep, tmp_path):
    Tracker(uri, sweep, tmp_path, None).save_views([])
    client = client_of(uri)
    experiment = client.get_experiment_by_name("grid")
    theirs = '{"name": "mine", "createdAt": 1, "state": "{}"}'
    client.set_experiment_tag(experiment.experiment_id, "mlflow.sharedViewState.0a1b", theirs)
    smaller = write_sweep(tmp_path, "eval: {parameters: {lr: {values: [0.1, 0.5]}}}")
    Tracker(uri, smaller, tmp_path, None).save_views([])
    tags = client.get_experiment_by_name("grid").tags
    views = {name: loads(value)["name"] for name, value in tags.items() if "ViewState" in name}
    assert views.pop("mlflow.sharedViewState.0a1b") == "mine"
    assert sorted(views.values()) == ["Baselines at train", "H_find at train"]


def test_the_report_is_one_run(uri, sweep, tmp_path):
    run_dir = tmp_path / "grid"
    files = ["report.html", "sweep.yaml", "figures/a.pdf", "figures/a.png", "tables/b.csv"]
    for file in (*files, "report.md", "errors/trace.txt"):
        (run_dir / file).parent.mkdir(parents=True, exist_ok=True)
        (run_dir / file).write_text("first")
    Tracker(uri, sweep, tmp_path / "artifacts", None).log_report(run_dir)
    (run_dir / "report.html").write_text("second")
    Tracker(uri, sweep, tmp_path / "artifacts", None).log_report(run_dir)
    (run,) = runs_of(uri, "params.kind = 'report'").values()
    assert run.info.status == "FINISHED"
    client = client_of(uri)
    folders = (None, "figures", "tables")
    logged = [file for folder in folders for file in client.list_artifacts(run.info.run_id, folder)]
    # Not report.md, whose figures MLflow's page does not show.
    assert [file.path for file in logged if not file.is_dir] == files
    (page,) = (tmp_path / "artifacts" / "grid").rglob("report.html")
    assert page.read_text() == "second"
    note = client.get_experiment_by_name("grid").tags["mlflow.note.content"]
    assert f"[report](#/experiments/1/runs/{run.info.run_id}/artifacts/report.html" in note
    assert note.endswith("\n\nwhich?")


def test_a_deleted_experiment_comes_back(uri, sweep, tmp_path):
    tracker = Tracker(uri, sweep, tmp_path, None)
    tracker.log_curves(curves(results(sweep)))
    client = client_of(uri)
    client.delete_experiment(client.get_experiment_by_name("grid").experiment_id)
    Tracker(uri, sweep, tmp_path, None).log_curves(curves(results(sweep)))
    assert_all_logged_once(uri)


OPEN = """
import sys
from pathlib import Path
from tune_app.sweep.load import load_sweep
from tune_app.tracking.connection import tracking_uri
from tune_app.tracking.tracker import Tracker
directory = Path(sys.argv[1])
Tracker(tracking_uri(directory), load_sweep(directory / "sweep.yaml"), directory, None)
"""


@pytest.mark.nightly
def test_processes_may_create_a_store_at_once(sweep, tmp_path):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN.replace("sweep.yaml", name), str(tmp_path)],
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("a.yaml", "b.yaml")
        if (tmp_path / name).write_text(SWEEP.replace("name: grid", f"name: {name}"))
    ]
    assert [process.communicate()[1] for process in processes] == ["", ""]
    assert [process.returncode for process in processes] == [0, 0]
    assert len(client_of(tracking_uri(tmp_path)).search_experiments()) == 3  # with MLflow's own


@pytest.mark.parametrize(
    ("uri", "where_and_why"),
    [
        ("http://me:secret@127.0.0.1:{port}", "http://***@127.0.0.1:{port}: ConnectionRefused"),
        ("sqlite:////no/such/place/mlflow.db", "sqlite:////no/such/place/mlflow.db: FileNotFound"),
        ("file:///tmp/mlruns", "file:///tmp/mlruns: NoSuchModuleError"),
    ],
)
def test_no_mlflow_is_one_line_soon(sweep, tmp_path, free_port, uri, where_and_why):
    with pytest.raises(TrackingError) as caught:
        Tracker(uri.format(port=free_port), sweep, tmp_path, None)
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "2"  # by default it takes minutes
    assert str(caught.value).startswith(where_and_why.format(port=free_port))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("uri", ["./mlruns", "mlruns", "file:///tmp/mlruns", "/tmp/mlruns"])
def test_a_folder_which_mlflow_keeps_nothing_in_is_refused(uri, monkeypatch):
    with pytest.raises(TrackingError, match=r"MLFLOW_TRACKING_URI: .*mlruns is a folder, in which"):
        check_uri(uri)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    check_uri(uri)


@pytest.mark.parametrize(
    "uri", ["http://mlflow:5000", "sqlite:////tmp/mlflow.db", "databricks://x"]
)
def test_an_address_that_may_work_is_not_refused(uri):
    check_uri(uri)


@pytest.mark.parametrize("name", ["50% done", "done?"])
def test_a_directory_that_mlflow_would_seek_elsewhere_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(
        TrackingError, match=r"--out: MLflow keeps no database in a directory with %"
    ):
        check_uri(tracking_uri(tmp_path / name))
    check_uri(tracking_uri(tmp_path / "done #1 é"))


def test_a_directory_that_another_process_holds_is_told_in_the_end(sweep, tmp_path, monkeypatch):
    monkeypatch.setattr("tune_app.tracking.connection.LOCK_S", 0.0)
    held = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    with pytest.raises(TrackingError, match="TimeoutError: another process has locked the"):
        Tracker(f"sqlite:///{tmp_path}/mlflow.db", sweep, tmp_path, None)
    os.close(held)
    Tracker(f"sqlite:///{tmp_path}/mlflow.db", sweep, tmp_path, None)


def test_a_directory_that_was_moved_is_told_with_where_mlflow_has_the_files(sweep, tmp_path):
    before, after = tmp_path / "before", tmp_path / "after"
    before.mkdir()
    assert Tracker(tracking_uri(before), sweep, artifact_root(before), None).notes == []
    assert Tracker(tracking_uri(before), sweep, artifact_root(before), None).notes == []
    before.rename(after)
    [note] = Tracker(tracking_uri(after), sweep, artifact_root(after), None).notes
    assert f"in {before.as_uri()}/_mlflow_artifacts/{sweep.name}, where --out was when" in note


def test_a_server_that_goes_away_is_caught_up(uri, sweep, tmp_path, server, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    start, stop = server
    address = start()
    tracker = Tracker(address, sweep, tmp_path / "unused", None)
    assert tracker.log_curves(curves(results(sweep, rounds=[1]))) == 6
    stop()
    with pytest.raises(TrackingError, match="ConnectionRefused"):
        tracker.log_curves(curves(results(sweep)))
    start()
    assert tracker.log_curves(curves(results(sweep))) == 6
    assert_all_logged_once(uri)
    (tmp_path / "report.html").write_text("through the server")
    tracker.log_report(tmp_path)
    assert [file.read_text() for file in (tmp_path / "served").rglob("report.html")] == [
        "through the server"
    ]
    assert not (tmp_path / "unused").exists()


def test_where_results_are_logged(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    assert tracking_uri(tmp_path.relative_to(tmp_path) / "runs") == (
        f"sqlite:///{tmp_path}/runs/mlflow.db"
    )
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    assert tracking_uri(tmp_path) == "http://mlflow:5000"


def test_how_to_open_the_page(uri, sweep, tmp_path):
    assert way_to("http://me:pass@mlflow:5000", Path("runs/a")) == "http://mlflow:5000"
    here = way_to("sqlite:////my runs/mlflow.db", Path("my runs/a"))
    assert here == "python -m tune_app ui 'my runs/a'"
    assert Tracker(uri, sweep, tmp_path, None).url("http://127.0.0.1:5001/") == (
        "http://127.0.0.1:5001/#/experiments/1/runs?workflowType=machine_learning"
        "&compareRunsMode=CHART&viewStateShareKey=sweep-941b88fbfb4ca465"
    )


def test_the_module_is_light():
    heavy = {"mlflow", "sqlalchemy", "torch", "ray", "matplotlib", "numpy"}
    code = "import sys, tune_app.tracking.tracker; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True
    )
    assert not heavy & set(loaded.stdout.split())
