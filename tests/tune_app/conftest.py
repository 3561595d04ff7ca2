"""Real launches of a sweep that takes seconds."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tune_app import ray_settings

OUTSIDE = dict(os.environ)
ray_settings.apply()  # before a test module imports ray

TINY = """\
name: tiny
model: small_resnet
dataset: digits
seeds: [0, 1]
train: {lr: 0.1, batch_size: 64, weight_decay: 5e-4, duration: 4it}
prune: {fraction: 0.5, rounds: 2}
find: {parameters: {lr: {values: [0.05, 0.2]}}}
eval: {parameters: {lr: {values: [0.05, 0.2]}}}
baselines: [global_random, preserve_lpr]
"""
# Chains: 2 x 2 seeds x rounds 0, 1, 2 = 12. Evaluations: decoupled 2 x 2 rounds x 2 seeds = 8,
# random 2 H_eval x 2 x 2 = 8, preserve LPR 4 x 2 x 2 = 16.
NUM_TRAININGS = 44

Launch = Callable[..., subprocess.CompletedProcess[str]]


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "tune_app.launch", *map(str, arguments)]


def environment(**changes: str) -> dict[str, str]:
    """A user's, without what would send results or Ray elsewhere."""
    elsewhere = ("MLFLOW_TRACKING_URI", "RAY_ADDRESS")
    return {name: value for name, value in OUTSIDE.items() if name not in elsewhere} | changes


@pytest.fixture(scope="session")
def launch() -> Launch:
    """Run the command line, as a user would; gives exit code and output."""

    def run(*arguments: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(*arguments), capture_output=True, text=True, timeout=300, env=environment(**env)
        )

    return run


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny sweep's file."""
    path = tmp_path_factory.mktemp("sweeps") / "tiny.yaml"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="session")
def finished(tiny: Path, launch: Launch, tmp_path_factory: pytest.TempPathFactory):
    """The tiny sweep's launch and what it left in `runs`; not to be changed."""
    runs = tmp_path_factory.mktemp("finished") / "runs"
    return launch(tiny, "--out", runs), runs


def read_results(runs: Path, name: str = "tiny") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (runs / name / "results.jsonl").read_text().splitlines()]


def what_was_computed(results: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Results by id, without when, by which commit and in what time they were made."""
    left_out = ("seconds", "finished_at", "commit")
    return {
        result["id"]: {name: value for name, value in result.items() if name not in left_out}
        for result in results
    }
