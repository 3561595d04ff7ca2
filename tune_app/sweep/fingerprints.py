"""What a user's own data, network, score, masks and initial weights are by content."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import AfterValidator

from lt_core.config import Config, Problem


def _fingerprint(value: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{20}", value):
        raise ValueError(
            f"must be 20 hexadecimal digits, as the sweep.yaml of a run has them, got {value!r}"
        )
    return value


Fingerprint = Annotated[str, AfterValidator(_fingerprint)]


class Fingerprints(Config):
    """What a user's own data set, network, score, masks and weights are by content, since no name
    tells.

    A launch works them out, and they are part of every id; a score's of the tickets', a mask's of
    what is trained under it. Where a sweep file has them, as the sweep.yaml of a run does, nothing
    else is trained on.
    """

    dataset: Fingerprint | None = None
    """Fingerprint of your own data set: inputs, labels and splits."""

    model: Fingerprint | None = None
    """Fingerprint of your own network: layers, initial weights and what they compute."""

    score: Fingerprint | None = None
    """Fingerprint of the files that a score is written in."""

    masks: Mapping[str, Fingerprint] | None = None
    """Fingerprints of given masks, by where they come from: of the mask in a file, or of the files
    that a search is written in."""

    initial_weights: Fingerprint | None = None
    """Fingerprint of the file of given weights, and of the layers that it does not give."""


_GO_WITH = {"dataset": "image_folder or an import path", "initial_weights": "`initial_weights`"}


def misplaced(given: Fingerprints | None, by_name: Mapping[str, str | None]) -> Iterator[Problem]:
    """Fingerprints of what needs none: `by_name` has the names that tell what it is."""
    for key, name in by_name.items():
        if getattr(given, key, None) and name is not None:
            text = f"goes with {_GO_WITH.get(key, 'an import path')}; {name} is known by its name"
            yield ("fingerprints", key), text
