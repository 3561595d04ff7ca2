"""Logging while a sweep runs: to a real database, and to one that is not there yet."""

import queue
import shutil
import sqlite3
import threading

import pytest
from synthetic_run import SWEEP, synthetic_results, write_run

from tune_app.sweep.load import load_sweep
from tune_app.tracking import live as live_tracking
from tune_app.tracking.connection import TrackingError
from tune_app.tracking.live import LiveTracking
from tune_app.tracking.views import TAG_PREFIX


def flat(kind, find, eval_, round):
    return 0.9


@pytest.fixture
def run_dir(tmp_path):
    return write_run(tmp_path / "tiny", SWEEP, lambda sweep: synthetic_results(sweep, flat))


@pytest.fixture
def sweep(run_dir):
    return load_sweep(run_dir / "sweep.yaml")


@pytest.fixture
def database(tmp_path, mlflow_database):
    """With MLflow's tables, which take seconds to make."""
    return shutil.copy(mlflow_database, tmp_path / "m.db")


def tracking_of(database, sweep, results, said):
    root = database.parent / "artifacts"
    tracking = LiveTracking(f"sqlite:///{database}", sweep, root, None, said)
    tracking.add(results)
    return tracking


def num_runs(database) -> dict[str, int]:
    with sqlite3.connect(database) as connection:
        found = connection.execute("select status, count(*) from runs group by status").fetchall()
    connection.close()
    return dict(found)


def logged_by(tracking, monkeypatch) -> queue.SimpleQueue[set[int]]:
    """The seeds of the curves that it logs, each time that it logs any."""
    log, seeds = tracking._log, queue.SimpleQueue()

    def log_and_tell(found):
        tracker = log(found)
        if found:
            seeds.put({curve.seed for curve in found})
        return tracker

    monkeypatch.setattr(tracking, "_log", log_and_tell)
    return seeds


def test_the_end_logs_everything_and_gives_the_page(database, run_dir, sweep):
    said = []
    results = synthetic_results(sweep, flat)
    page = tracking_of(database, sweep, [], said.append).finish(run_dir, results)
    assert page == f"python -m tune_app ui {run_dir}"
    assert said == []
    # 3 seeds: 4 lottery curves, 2 random ones, 4 of preserve LPR; and the report.
    assert num_runs(database) == {"FINISHED": 31}


def test_a_place_for_files_that_is_out_of_reach_costs_the_files_alone(
    database, tmp_path, run_dir, sweep
):
    said = []
    (tmp_path / "artifacts").write_text("no folder")
    results = synthetic_results(sweep, flat)
    page = tracking_of(database, sweep, [], said.append).finish(run_dir, results)
    assert page == f"python -m tune_app ui {run_dir}"
    [sentence] = said
    assert sentence.startswith("MLflow took no files (sqlite:///")
    assert sentence.endswith(f"`python -m tune_app.report {run_dir} --sync` sends them")
    with sqlite3.connect(database) as connection:
        tags = connection.execute("select key from experiment_tags").fetchall()
    connection.close()
    assert [key for (key,) in tags if key.startswith(TAG_PREFIX)]  # the saved views


def test_results_are_logged_while_the_sweep_runs(database, run_dir, sweep, monkeypatch):
    monkeypatch.setattr(live_tracking, "INTERVAL_S", 0.01)
    results = synthetic_results(sweep, flat)
    tracking = tracking_of(database, sweep, results, pytest.fail)
    logged = logged_by(tracking, monkeypatch)
    tracking.start()
    assert logged.get(timeout=60) == {0, 1, 2}
    assert num_runs(database) == {"FINISHED": 30}
    tracking.finish(run_dir, results)


def test_a_curve_is_logged_again_only_with_something_new(database, run_dir, sweep, monkeypatch):
    monkeypatch.setattr(live_tracking, "INTERVAL_S", 0.01)
    results = synthetic_results(sweep, flat)
    tracking = tracking_of(database, sweep, [], pytest.fail)
    logged = logged_by(tracking, monkeypatch)
    tracking.add(result for result in results if result.seed == 0)
    tracking.start()
    assert logged.get(timeout=60) == {0}
    tracking.add(result for result in results if result.seed > 0)
    assert 0 not in logged.get(timeout=60)
    tracking.finish(run_dir, results)
    assert num_runs(database) == {"FINISHED": 31}


def test_many_curves_are_said_before_they_are_logged(database, run_dir, sweep, monkeypatch):
    monkeypatch.setattr(live_tracking, "MANY", 29)
    said = []
    tracking_of(database, sweep, [], said.append).finish(run_dir, synthetic_results(sweep, flat))
    assert said == ["logging to MLflow what it lacks of 30 curves"]


def test_mlflow_away_is_said_once_and_caught_up_with(
    tmp_path, mlflow_database, run_dir, sweep, monkeypatch
):
    monkeypatch.setattr(live_tracking, "INTERVAL_S", 0.01)
    said, away = [], threading.Semaphore(0)
    later = tmp_path / "later" / "m.db"
    results = synthetic_results(sweep, flat)
    tracking = tracking_of(later, sweep, results, said.append)
    log = tracking._log

    def count(found):
        away.release()
        return log(found)

    monkeypatch.setattr(tracking, "_log", count)
    tracking.start()
    for _ in range(3):
        assert away.acquire(timeout=60)
    ready = tmp_path / "ready"
    ready.mkdir()
    shutil.copy(mlflow_database, ready / later.name)
    ready.rename(later.parent)
    assert tracking.finish(run_dir, results) is not None
    assert len([text for text in said if "MLflow is away" in text]) == 1
    assert num_runs(later) == {"FINISHED": 31}


def test_mlflow_away_at_the_end_is_said(tmp_path, run_dir, sweep):
    said = []
    tracking = tracking_of(tmp_path / "never" / "m.db", sweep, [], said.append)
    assert tracking.finish(run_dir, []) is None
    assert len(said) == 1 and said[0].startswith("MLflow is away")


def test_the_end_does_not_wait_for_ever_for_a_server(tmp_path, run_dir, sweep, monkeypatch):
    """One that drips its answer, byte by byte, keeps every limit of a request."""
    monkeypatch.setattr(live_tracking, "LIMIT_S", 0.1)
    said, hangs = [], threading.Event()
    tracking = tracking_of(tmp_path / "m.db", sweep, [], said.append)

    def hang():
        hangs.wait(60)
        raise TrackingError("too late")

    monkeypatch.setattr(tracking, "open", hang)
    assert tracking.finish(run_dir, synthetic_results(sweep, flat)) is None
    hangs.set()
    [away] = said
    assert away.startswith(
        f"MLflow is away (sqlite:///{tmp_path}/m.db: no answer for 0 s). Nothing is"
    )
