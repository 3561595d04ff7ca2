import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lt_core import data


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """Faster for networks this small, and bits depend on the number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def digits() -> data.DataSet:
    return data.load("digits")


@pytest.fixture
def in_another_process():
    """Run code in a fresh interpreter with other string hashes; gives what it printed."""

    def run(code: str) -> str:
        other = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=Path(__file__).parent,
            env=os.environ | {"PYTHONHASHSEED": other},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run
