"""A network that starts from given weights; without torch, which takes seconds to load."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True)
class Pretrained:
    """A network by name that starts from the weights of a file, in place of an initialization."""

    name: str
    """A `ModelName`."""

    file: str
    """A safetensors file of its `state_dict`."""

    fresh: tuple[str, ...] = ()
    """Layers that the file does not give: these the seed initializes."""

    fingerprint: str | None = None
    """Of file and fresh layers, if they must have that."""

    def __str__(self) -> str:
        return self.name


Network = str | Pretrained
"""A `ModelName`, or one with given weights."""


def fingerprint(content: bytes, fresh: Collection[str]) -> str:
    """What a file gives to a network, but for its fresh layers: 20 hexadecimal digits."""
    text = repr([hashlib.sha256(content).hexdigest(), sorted(fresh)])
    return hashlib.sha256(text.encode()).hexdigest()[:20]
