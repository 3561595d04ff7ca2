"""What a user's own data, network and score are by content."""

import re
from typing import Annotated

from pydantic import AfterValidator

from lt_core.config import Config


def _fingerprint(value: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{20}", value):
        raise ValueError(
            f"must be 20 hexadecimal digits, as the sweep.yaml of a run has them, got {value!r}"
        )
    return value


Fingerprint = Annotated[str, AfterValidator(_fingerprint)]


class Fingerprints(Config):
    """What a user's own data set, network and score are by content, since no name tells.

    A launch works them out, and they are part of every id, a score's of the tickets'. Where a sweep
    file has them, as the sweep.yaml of a run does, nothing else is trained on.
    """

    dataset: Fingerprint | None = None
    model: Fingerprint | None = None
    score: Fingerprint | None = None
    """Of the files that a score is written in."""
