"""What a run leaves behind."""

import json
import re

import pytest
from synthetic_run import result_of

from tune_app.plan.plan import make_plan
from tune_app.results import run_directory
from tune_app.results.run_directory import RunDirectory, provenance
from tune_app.sweep.load import load_sweep


def test_the_resolved_sweep_file_is_the_same_sweep(tiny, tmp_path):
    sweep = load_sweep(tiny, ["train.lr=1e-4", "seeds=[3]"])
    run_dir = RunDirectory(tmp_path / "runs" / "tiny")
    run_dir.create(sweep)
    assert load_sweep(run_dir.path / "sweep.yaml") == sweep


def test_results_are_appended_and_then_replaced(tiny, tmp_path):
    run_dir = RunDirectory(tmp_path)
    a, b, *_ = map(result_of, make_plan(load_sweep(tiny)).trainings.values())
    run_dir.write_results([a])
    run_dir.append_result(b)
    path = tmp_path / "results.jsonl"
    assert path.read_bytes() == a.to_line() + b"\n" + b.to_line() + b"\n"
    run_dir.write_results([b, a])
    run_dir.write_failures([{"id": "c", "reason": "was not run"}])
    assert path.read_bytes() == b.to_line() + b"\n" + a.to_line() + b"\n"
    assert json.loads((tmp_path / "failures.jsonl").read_text())["id"] == "c"


def test_provenance_says_who_trained(tmp_path):
    run_dir = RunDirectory(tmp_path)
    assert run_dir.provenance() is None
    run_dir.write_provenance(provenance("python -m tune_app.launch a.yaml"))
    said = run_dir.provenance()
    assert said.command == "python -m tune_app.launch a.yaml"
    assert {"python", "torch", "ray", "mlflow"} <= said.versions.keys()
    assert "cores" in said.hardware
    assert said.started_at > 1.7e9


def test_the_commit_is_that_of_the_checkout(monkeypatch):
    monkeypatch.setenv("LOTTERY_COMMIT", "of an image")
    assert re.fullmatch(r"[0-9a-f]{12}(-dirty)?", provenance("")["commit"])


def test_without_a_checkout_the_commit_is_what_the_image_was_told(monkeypatch, tmp_path):
    monkeypatch.setattr(run_directory, "__file__", str(tmp_path / "run_directory.py"))
    for told, commit in (("c0ffee", "c0ffee"), ("", None)):
        monkeypatch.setenv("LOTTERY_COMMIT", told)
        assert provenance("")["commit"] == commit
    monkeypatch.setenv("LOTTERY_COMMIT", "c0ffee")
    monkeypatch.setenv("PATH", str(tmp_path))  # an image has no git
    assert provenance("")["commit"] == "c0ffee"


@pytest.mark.parametrize("content", ['{"comma', "{}", "[]", "null", "[" * 100_000, ""])
def test_damaged_provenance_is_none(tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    assert RunDirectory(tmp_path).provenance() is None
