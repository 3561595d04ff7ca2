"""A sweep that takes seconds, and what tests need to launch it and to read what it left."""

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from lt_core.mask import PackedMask
from tune_app.store import Missing, Store

OUTSIDE = dict(os.environ)

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


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "tune_app.launch", *map(str, arguments)]


def impatient(*arguments: object) -> list[str]:
    """A launch that waits for its storage for a second."""
    code = (
        "import sys; from tune_app import launch; launch.PATIENCE_S = 1.0; sys.exit(launch.main())"
    )
    return [sys.executable, "-c", code, *map(str, arguments)]


def environment(**changes: str) -> dict[str, str]:
    """A user's, without what would send results or Ray elsewhere."""
    elsewhere = ("MLFLOW_TRACKING_URI", "RAY_ADDRESS")
    return {name: value for name, value in OUTSIDE.items() if name not in elsewhere} | changes


def read_results(runs: Path, name: str = "tiny") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (runs / name / "results.jsonl").read_text().splitlines()]


def what_was_computed(results: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Results by id, without when, by which commit and in what time they were made."""
    left_out = ("seconds", "finished_at", "commit")
    return {
        result["id"]: {name: value for name, value in result.items() if name not in left_out}
        for result in results
    }


def file_of(store: Store, kind: str, id: str) -> Path:
    """The file that holds something of a store on disk."""
    [path] = Path(store.place, kind, id[:2]).glob(f"{id}.*")
    return path


@contextmanager
def started(
    *arguments: str | Path, env: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """A launch in the background; killed at the end if it still runs."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command(*arguments), env=env or environment(), **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    def has_come() -> bool:
        if condition():
            return True
        assert process.poll() is None, process.communicate()
        return False

    wait_for(has_come)


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def kill_below(process: subprocess.Popen[str], name: str = "", at_most: int = 1000) -> None:
    """Kill processes that a launch started; Ray's come and go, so that some may be gone."""
    killed = 0
    for child in psutil.Process(process.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if killed < at_most and name in " ".join(child.cmdline()):
                child.kill()
                killed += 1
    assert killed


def num_stored(runs: Path) -> int:
    return len(Store(str(runs / "_store")).stored().results)


def same_results(runs: Path, others: Path) -> bool:
    return what_was_computed(read_results(runs)) == what_was_computed(read_results(others))


def num_trained(stderr: str) -> int:
    return int(re.search(r"^(\d+) trainings in", stderr, re.MULTILINE)[1])


class Files:
    """Tickets without an object store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def put(self, id: str, packed: PackedMask) -> None:
        self.store.put_ticket(id, packed.to_bytes())

    def get(self, id: str) -> PackedMask:
        data = self.store.ticket(id)
        if data is None:
            raise Missing(f"there is no ticket {id}; the same command finds it again")
        return PackedMask.from_bytes(data)
