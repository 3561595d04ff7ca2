"""Real launches of a sweep that takes seconds."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_sweep import TINY, command, environment

from tune_app import ray_settings

ray_settings.apply()  # before a test module imports ray

Launch = Callable[..., subprocess.CompletedProcess[str]]


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
