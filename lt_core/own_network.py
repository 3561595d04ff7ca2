"""A user's own network: that each seed has one initialization, and what it is by content."""

import dataclasses
import hashlib
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lt_core import models
from lt_core.config import ModelName
from lt_core.data import Shape
from lt_core.import_path import is_the_users, told

_TOLERANCE = 1e-3
"""Relative; processors and versions of torch differ by less, another activation by more."""


@dataclass(frozen=True)
class NetworkContent:
    """What a network computes, at the initializations of two seeds."""

    structure: str
    """A hash of its layers with their settings, and of the names and shapes of its tensors."""

    weights: tuple[float, ...]
    """The sum of the magnitudes of each parameter and buffer."""

    logits: tuple[float, ...]
    """For a few fixed images."""

    gradients: tuple[float, ...]
    """The sum of the magnitudes of each parameter's gradient there."""

    source: str
    """A hash of the files that it is written in."""

    is_seeded: bool
    """Whether the two seeds have other weights."""

    @property
    def fingerprint(self) -> str:
        """20 hexadecimal digits; on another processor perhaps others, for networks that are
        `like`."""
        text = repr((self.structure, self.weights, self.logits, self.gradients))
        return hashlib.sha256(text.encode()).hexdigest()[:20]

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, read: Mapping[str, Any]) -> "NetworkContent":
        """Undo `to_json`."""
        values: Any = {k: tuple(v) if isinstance(v, list) else v for k, v in read.items()}
        return cls(**values)

    def is_like(self, other: "NetworkContent") -> bool:
        """Whether both are one network, but for rounding; the source may be written otherwise."""
        return self.structure == other.structure and all(
            _close(getattr(self, name), getattr(other, name))
            for name in ("weights", "logits", "gradients")
        )


def _close(ours: Sequence[float], theirs: Sequence[float]) -> bool:
    if len(ours) != len(theirs):
        return False
    a, b = np.array(ours), np.array(theirs)
    largest = float(np.abs(a[np.isfinite(a)]).max(initial=0.0))
    return np.allclose(a, b, rtol=_TOLERANCE, atol=_TOLERANCE * largest * 1e-2, equal_nan=True)


def content(path: ModelName, shape: Shape) -> NetworkContent:
    """What the network at an import path is, for images of a shape.

    Raises:
        ValueError: when it cannot be built, or one seed does not always give one network: it hands
            out an object that was trained before, or draws from what nobody seeds.
    """
    first, again, other = (built(path, shape, seed) for seed in (0, 0, 1))
    _check_apart(path, first, again)
    twins = again.state_dict()
    for name, tensor in first.state_dict().items():
        if isinstance(tensor, Tensor) and not _equal(tensor, twins[name]):
            raise ValueError(
                f"{path}: built twice from one seed, {name} differs; draw it from torch, from "
                "numpy.random or from random, whose global generators are seeded here, and from "
                "no generator that seeds itself (numpy.random.default_rng())"
            )
    (logits, gradients), (other_logits, other_gradients) = (
        _probed(path, network, shape) for network in (first, other)
    )
    return NetworkContent(
        structure=_structure(first),
        weights=(*_magnitudes(first), *_magnitudes(other)),
        logits=(*logits, *other_logits),
        gradients=(*gradients, *other_gradients),
        source=_source(path, first),
        is_seeded=_magnitudes(first) != _magnitudes(other),
    )


def built(path: ModelName, shape: Shape, seed: int) -> nn.Module:
    """The network at an import path, initialized from a seed."""
    return models.build(path, **vars(shape), seed=seed)


def _equal(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and bool(((a == b) | ((a != a) & (b != b))).all())


def _check_apart(path: ModelName, first: nn.Module, again: nn.Module) -> None:
    """Refuse two networks that share a tensor: training one would change the other."""
    tensors = {id(t): name for name, t in (*first.named_parameters(), *first.named_buffers())}
    for name, tensor in (*again.named_parameters(), *again.named_buffers()):
        if id(tensor) in tensors:
            raise ValueError(
                f"{path}: called twice, it hands out the same {name}: what was trained would be "
                "taken for the initialization; make a new network in each call"
            )


def _structure(network: nn.Module) -> str:
    # Not the addresses of functions and objects that some layers show.
    layers = re.sub(r" at 0x[0-9a-f]+", "", repr(network))
    tensors = [
        (name, tuple(tensor.shape), str(tensor.dtype))
        for name, tensor in network.state_dict().items()
        if isinstance(tensor, Tensor)
    ]
    return hashlib.sha256(f"{layers}{tensors}".encode()).hexdigest()[:20]


def _magnitudes(network: nn.Module) -> tuple[float, ...]:
    tensors = (t for t in network.state_dict().values() if isinstance(t, Tensor))
    return tuple(float(tensor.detach().double().abs().sum()) for tensor in tensors)


def _probed(
    path: ModelName, network: nn.Module, shape: Shape
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Logits and magnitudes of gradients for fixed images, in evaluation mode."""
    drawn = np.random.RandomState(0).standard_normal((4, shape.channels, *shape.image_size))
    labels = torch.arange(4) % shape.classes
    network.eval()
    try:
        logits = network(torch.from_numpy(drawn.astype(np.float32)))
        loss = F.cross_entropy(logits.float(), labels)
        if loss.requires_grad:
            loss.backward()
    except (Exception, SystemExit) as error:
        raise ValueError(f"{path}: the network fails: {told(error)}") from error
    gradients = (p.grad for p in network.parameters() if p.grad is not None)
    return (
        tuple(logits.detach().double().flatten().tolist()),
        tuple(float(gradient.double().abs().sum()) for gradient in gradients),
    )


def _source(path: ModelName, network: nn.Module) -> str:
    """A hash of the user's own files that define the function and the layers."""
    modules = {path.partition(":")[0], *(type(layer).__module__ for layer in network.modules())}
    files = (getattr(sys.modules.get(name), "__file__", None) for name in sorted(modules))
    own = [file for file, name in zip(files, sorted(modules), strict=True) if is_the_users(name)]
    content = b"".join(Path(file).read_bytes() for file in own if file is not None)
    return hashlib.sha256(content).hexdigest()[:20]
