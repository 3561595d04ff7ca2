"""Two variants of the tiny sweep, both finished."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def variants(finished, tiny, launch, shared) -> Path:
    """The `--out` of the tiny sweep, and of another with ten times the weight decay; not to be
    changed. `said` beside it is what the second launch printed."""

    def make(folder: Path) -> None:
        shutil.copytree(finished[1], folder / "runs")
        done = launch(tiny, "train.weight_decay=5e-3", "--out", folder / "runs")
        assert done.returncode == 0, done.stderr
        (folder / "said").write_text(done.stdout + done.stderr)

    return shared("variants", make) / "runs"
