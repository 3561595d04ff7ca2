"""A sweep that takes seconds, and what tests need to launch it and to read what it left."""

import contextlib
import gc
import io
import json
import re
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from outside import environment

from lt_core.packed_mask import PackedMask
from tune_app import launch
from tune_app.results.result import Result
from tune_app.run import probe
from tune_app.store.store import Missing, Store

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
        "import sys; from tune_app.run import ray_settings; ray_settings.apply(); "
        "from tune_app import launch; from tune_app.run import driver; "
        "driver.PATIENCE_S = 1.0; sys.exit(launch.main())"
    )
    return [sys.executable, "-c", code, *map(str, arguments)]


def launch_apart(*arguments: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a launch as a user would, in a process and on a Ray of its own."""
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=600, env=environment(**env)
    )


def launch_here(
    ray_address: str, database: Path, *arguments: str | Path
) -> subprocess.CompletedProcess[str]:
    """Run a launch in this process, on a Ray that is there, as the same command would.

    Args:
        ray_address: of the Ray.
        database: MLflow's, empty, which an `--out` that is not there yet begins with: to make its
            tables takes MLflow longer than the tiny sweep.
        arguments: of the command line.
    """
    if "--out" in arguments and "--dry-run" not in arguments:
        out = Path(arguments[arguments.index("--out") + 1])
        if out.parent.is_dir() and not out.exists():
            out.mkdir()
            shutil.copy(database, out)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(probe, "ENOUGH_S", 0.01)  # of an estimate that nobody reads
        return run_here(launch.main, *arguments, RAY_ADDRESS=ray_address)


def run_here(
    main: Callable[[list[str]], int], *arguments: str | Path, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run a command in this process as in one of its own: with what it prints, and no traces."""
    stdout, stderr = io.StringIO(), io.StringIO()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    handlers = [signal.getsignal(number) for number in numbers]
    thresholds, threads = gc.get_threshold(), torch.get_num_threads()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(stdout),
        contextlib.redirect_stderr(stderr),
        warnings.catch_warnings(),
    ):
        warnings.resetwarnings()  # shown, as outside of pytest, not raised
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        for name, value in env.items():
            patch.setenv(name, value)
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = end.code
        finally:
            for number, handler in zip(numbers, handlers, strict=True):
                signal.signal(number, handler)
            gc.set_threshold(*thresholds)
            torch.set_num_threads(threads)
    return subprocess.CompletedProcess(arguments, code, stdout.getvalue(), stderr.getvalue())


def read_results(runs: Path, name: str = "tiny") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (runs / name / "results.jsonl").read_text().splitlines()]


def what_was_computed(results: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Results by id, without when, by which commit and in what time they were made."""
    left_out = ("seconds", "finished_at", "commit")
    return {
        result["id"]: {name: value for name, value in result.items() if name not in left_out}
        for result in results
    }


def computed(results: Iterable[Result]) -> dict[str, dict[str, Any]]:
    """The same of results that are not read from a file."""
    return what_was_computed([json.loads(result.to_line()) for result in results])


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
    return int(re.search(r"^(\d+) trainings? in", stderr, re.MULTILINE)[1])


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
