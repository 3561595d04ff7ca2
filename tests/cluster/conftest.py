"""The tiny sweep, for tests on several nodes."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def undisturbed(finished) -> Path:
    """What the tiny sweep leaves on this machine alone."""
    return finished[1]
