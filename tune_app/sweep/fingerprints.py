"""What a user's own data, network, score and masks are by content."""

import re
from collections.abc import Iterable, Iterator, Mapping
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
    """What a user's own data set, network, score and masks are by content, since no name tells.

    A launch works them out, and they are part of every id; a score's of the tickets', a mask's of
    what is trained under it. Where a sweep file has them, as the sweep.yaml of a run does, nothing
    else is trained on.
    """

    dataset: Fingerprint | None = None
    model: Fingerprint | None = None
    score: Fingerprint | None = None
    """Of the files that a score is written in."""

    masks: Mapping[str, Fingerprint] | None = None
    """Of given masks, by where they come from: of the mask in a file, or of the files that a search
    is written in."""


def of_known(
    given: Fingerprints | None, names: Mapping[str, str], own: Iterable[bool]
) -> Iterator[Problem]:
    """What is wrong with fingerprints of what its name tells: that they are given.

    Args:
        given: in a sweep file.
        names: of data set, network and score, by key.
        own: of each, whether it is the user's own.
    """
    for (key, name), is_own in zip(names.items(), own, strict=True):
        if given is not None and getattr(given, key) and not is_own:
            instead = "image_folder or an import path" if key == "dataset" else "an import path"
            yield ("fingerprints", key), f"goes with {instead}; {name} is known by its name"
