"""A user's own network: that each seed has one initialization, and what it is by content."""

import contextlib
import dataclasses
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lt_core import inputs, models, seeds
from lt_core.data.shapes import AnyShape
from lt_core.import_path import source, told
from lt_core.mask import prunable_weights
from lt_core.names import ModelName

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
    """For a few fixed images, in evaluation and in training."""

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
            _close(getattr(self, name), getattr(other, name), of_largest)
            # Of sums that are 0 but for rounding, such as gradients of biases before a norm.
            for name, of_largest in (("weights", 0.0), ("logits", 1e-5), ("gradients", 1e-5))
        )


def _close(ours: Sequence[float], theirs: Sequence[float], of_largest: float) -> bool:
    """Whether numbers are equal up to the tolerance, or up to that share of the largest."""
    if len(ours) != len(theirs):
        return False
    a, b = np.array(ours), np.array(theirs)
    largest = float(np.abs(a[np.isfinite(a)]).max(initial=0.0))
    return np.allclose(a, b, rtol=_TOLERANCE, atol=of_largest * largest, equal_nan=True)


def content(path: ModelName, shape: AnyShape) -> NetworkContent:
    """What the network at an import path is, for inputs of a shape.

    Raises:
        ValueError: when it cannot be built, or one seed does not always give one network: it hands
            out an object that was trained before, or draws from what nobody seeds.
    """
    first, again, other = (models.build(path, **vars(shape), seed=seed) for seed in (0, 0, 1))
    _check_apart(path, first, again)
    twins = again.state_dict()
    for name, tensor in first.state_dict().items():
        if isinstance(tensor, Tensor) and not equal(tensor, twins[name]):
            raise ValueError(
                f"{path}: built twice from one seed, {name} differs; draw it from torch, from "
                "numpy.random or from random, whose global generators are seeded here, and from "
                "no generator that seeds itself (numpy.random.default_rng())"
            )
    weights, other_weights = _magnitudes(first), _magnitudes(other)  # before norms see images
    (logits, gradients), (other_logits, other_gradients) = (
        _probed(path, network, shape) for network in (first, other)
    )
    return NetworkContent(
        structure=_structure(first),
        weights=(*weights, *other_weights),
        logits=(*logits, *other_logits),
        gradients=(*gradients, *other_gradients),
        source=_source(path, first),
        is_seeded=weights != other_weights,
    )


def equal(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are equal, where nan is nan."""
    a, b = (t.to_dense() if t.is_sparse else t for t in (a, b))
    return a.shape == b.shape and bool(((a == b) | ((a != a) & (b != b))).all())


def _check_apart(path: ModelName, first: nn.Module, again: nn.Module) -> None:
    """Refuse two networks that share memory: training one would change the other."""

    def tensors(network: nn.Module) -> dict[int, str]:
        named = (*network.named_parameters(), *network.named_buffers())
        strided = ((name, t) for name, t in named if not t.is_sparse and t.numel())
        return {t.untyped_storage().data_ptr(): name for name, t in strided}

    of_first = tensors(first)
    for pointer, name in tensors(again).items():
        if pointer in of_first:
            raise ValueError(
                f"{path}: called twice, it hands out the same {name}: what was trained would be "
                "taken for the initialization; make a new network in each call, and copy what you "
                "load (.clone())"
            )


def _structure(network: nn.Module) -> str:
    try:
        # Not the addresses of functions and objects that some layers show.
        layers = re.sub(r" at 0x[0-9a-f]+", "", repr(network))
    except Exception:  # of a layer's own extra_repr, which trains nothing
        layers = repr([(name, type(layer).__name__) for name, layer in network.named_modules()])
    tensors = [
        (name, tuple(tensor.shape), str(tensor.dtype))
        for name, tensor in network.state_dict().items()
        if isinstance(tensor, Tensor)
    ]
    # What was trained while only these two were pruned is of another mask.
    modules = dict(network.named_modules())
    others = [
        name
        for name in prunable_weights(network)
        if not isinstance(modules.get(name), nn.Conv2d | nn.Linear)
    ]
    text = f"{layers}{tensors}{others or ''}"
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def _magnitudes(network: nn.Module) -> tuple[float, ...]:
    tensors = (t for t in network.state_dict().values() if isinstance(t, Tensor))
    dense = (t.to_dense() if t.is_sparse else t for t in tensors)
    return tuple(float(tensor.detach().abs().double().sum()) for tensor in dense)


def _probed(
    path: ModelName, network: nn.Module, shape: AnyShape
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Logits and magnitudes of gradients for fixed images, in evaluation and in training mode."""
    images, labels = inputs.drawn(shape.inputs, 4), torch.arange(4) % shape.classes
    values: list[float] = []
    gradients: list[float] = []
    for is_training in (False, True):
        network.train(is_training).zero_grad()
        try:
            with seeds.seeded(torch.device("cpu"), 0, "probe"):
                logits = network(images)
        except (Exception, SystemExit) as error:
            if is_training:  # which the rehearsal tells of
                break
            raise ValueError(f"{path}: the network fails: {told(error)}") from error
        if not isinstance(logits, Tensor):
            break
        values += logits.detach().double().flatten().tolist()
        with contextlib.suppress(RuntimeError):  # in evaluation some cannot go back
            F.cross_entropy(logits.float(), labels).backward()
            for parameter in network.parameters():
                if parameter.grad is not None and not parameter.grad.is_sparse:
                    gradients.append(float(parameter.grad.abs().double().sum()))
    return tuple(values), tuple(gradients)


def _source(path: ModelName, network: nn.Module) -> str:
    """Of the function and of the layers."""
    return source(
        {path.partition(":")[0], *(type(layer).__module__ for layer in network.modules())}
    )
