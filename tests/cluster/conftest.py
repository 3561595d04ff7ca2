"""The tiny sweep, for tests on several nodes."""

import subprocess
from pathlib import Path

import pytest
from tiny_sweep import command, environment

from tune_app import ray_settings

ray_settings.apply()  # with a token of its own, before a test module imports ray


@pytest.fixture(scope="session")
def undisturbed(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the tiny sweep leaves on this machine alone."""
    runs = tmp_path_factory.mktemp("undisturbed") / "runs"
    subprocess.run(command(tiny, "--out", runs), env=environment(), check=True, capture_output=True)
    return runs
