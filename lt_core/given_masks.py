"""Masks that are given: found by a user's own search without a chain, or read from a file."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lt_core import import_path, seeds
from lt_core.data.batches import Batches
from lt_core.mask import Mask, num_alive

_MAX_NAMED = 3


@dataclass(frozen=True)
class ToFind:
    """What a user's own search for a mask is given. All of it is on the CPU; network and mask may
    be changed."""

    network: nn.Module
    """As initialized for this seed, in training mode."""

    mask: Mask
    """Weights to choose from: all that may be pruned."""

    num_left: int
    """Number of weights to keep, exactly: as many as the tickets of this round have."""

    train: Batches
    """Training images: `of.train[0:64]`, or a tensor of positions in place of the slice, is
    normalized float32 [B, C, H, W] and int64 [B]."""

    seed: int

    device: str
    """Where the trial trains, as torch writes it: a search that trains does so there."""


def find_given(path: str, of: ToFind) -> Mask:
    """The mask that a user's own search finds.

    What it draws from the global generators is seeded.

    Args:
        path: import path of a function that takes the `of` and returns for each layer of its mask
            a tensor of its weight's shape, bool or of 0 and 1.
        of: what it is given.

    Raises:
        ValueError: for what the function raises, or returns in place of a mask with exactly
            `num_left` weights.
    """
    function = import_path.find(path)
    everything = {name: torch.ones_like(layer) for name, layer in of.mask.items()}
    with seeds.seeded(torch.device(of.device), of.seed, "own mask", of.num_left):
        found = import_path.mapping(path, function, of)
    mask = fitted(path, found, everything)
    if (kept := num_alive(mask)) != of.num_left:
        raise ValueError(
            f"{path}: must keep the {of.num_left:,} weights of `num_left`, kept {kept:,}; a mask "
            "of another sparsity can be given as a safetensors file"
        )
    return mask


def fitted(name: str, found: Mapping[str, object], everything: Mask) -> Mask:
    """A mask with the layers of a network, in its order.

    Args:
        name: of the mask, for messages.
        found: by layer.
        everything: the mask of the network before any pruning.

    Raises:
        ValueError: when `found` is no mask of it; says all that is wrong.
    """
    if problems := misfits(found, everything):
        raise ValueError("; ".join(f"{name}: {text}" for text in problems))
    tensors = {name: found[name] for name in everything}
    return {
        name: layer.detach().cpu().bool().contiguous()
        for name, layer in tensors.items()
        if isinstance(layer, Tensor)  # misfits
    }


def misfits(found: Mapping[str, object], everything: Mask) -> list[str]:
    """Why a mapping is no mask of a network, a sentence for each problem; empty if it is.

    Arguments as of `fitted`.
    """
    problems = []
    if absent := [name for name in everything if name not in found]:
        problems.append(f"it has no {_few('layer', absent)}; one that is not pruned is all 1")
    if others := [name for name in found if name not in everything]:
        problems.append(
            f"it has {_few('layer', others)}, which cannot be pruned: the layers are "
            + ", ".join(everything)
        )
    problems += [
        text
        for name, layer in everything.items()
        if name in found and (text := _misfit(name, found[name], layer))
    ]
    if not problems and not any(_is_any(found[name]) for name in everything):
        problems.append("it keeps no weight")
    return problems


def _misfit(name: str, found: object, layer: Tensor) -> str:
    if not isinstance(found, Tensor):
        return f"layer {name} must be a tensor, got {type(found).__name__}"
    if found.shape != layer.shape:
        return (
            f"layer {name} must be {list(layer.shape)}, as its weight is, got {list(found.shape)}"
        )
    is_whole = bool(((found == 0) | (found == 1)).all())
    return "" if is_whole else f"layer {name} must be bool, or hold 0 and 1"


def _is_any(layer: object) -> bool:
    return isinstance(layer, Tensor) and bool(layer.any())


def _few(noun: str, names: Iterable[str]) -> str:
    """`layers conv, fc`, or `layers a, b, c and 17 more`."""
    names = list(names)
    more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    return f"{noun}{'s' * (len(names) > 1)} {', '.join(names[:_MAX_NAMED])}{more}"
