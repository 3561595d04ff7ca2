"""Pruning by magnitude, and the random masks it is compared with."""

import functools
import math
from collections.abc import Iterable, Mapping
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from lt_core.mask import Mask, alive_by_layer, flatten, num_alive, unflatten


def num_pruned(alive: int, fraction: float) -> int:
    """Number of live weights that a round removes: ceil(fraction * alive).

    Raises:
        ValueError: when `fraction` is not in (0, 1): a round would empty the mask, or change
            nothing.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"the fraction to prune must be between 0 and 1, got {fraction}")
    # In decimals as it was written: 0.07 * 100 in floats lies above 7 and would round up to 8.
    return math.ceil(Fraction(str(fraction)) * alive)


def global_magnitude(weights: Mapping[str, Tensor], mask: Mask, fraction: float) -> Mask:
    """Prune the smallest weights that are still alive, over all layers together.

    Args:
        weights: trained values, name -> float tensor; at least the names of `mask`.
        mask: live weights before the pruning.
        fraction: share of the *alive* weights to prune, in (0, 1).

    Returns:
        A mask with exactly `num_pruned(alive, fraction)` fewer weights. Of equal magnitudes the
        one earlier in the network, in row-major order, goes first.

    Raises:
        ValueError: when a weight is not finite, as after a training that diverged, or `fraction`
            is not in (0, 1).

    Han et al. 2015 (arXiv:1506.02626), section 3.1; global as in Frankle & Carbin 2019
    (arXiv:1803.03635), section 4.
    """
    magnitude = flatten({name: weights[name].detach() for name in mask}).abs_().float().cpu()
    return unflatten(
        _largest(magnitude, flatten(mask), _left(num_alive(mask), fraction)), like=mask
    )


def layerwise_magnitude(
    weights: Mapping[str, Tensor], mask: Mask, num_alive: Mapping[str, int]
) -> Mask:
    """Prune the smallest weights of each layer that are still alive.

    Args:
        weights: trained values, name -> float tensor; at least the names of `mask`.
        mask: live weights before the pruning.
        num_alive: number of weights to leave in each layer of `mask`; a layer with fewer alive
            keeps them.

    Returns:
        The pruned mask. Ties as in `global_magnitude`.

    Raises:
        ValueError: when a weight is not finite, as after a training that diverged.
    """
    pruned = {}
    for name, layer in mask.items():
        magnitude = weights[name].detach().reshape(-1).abs().float().cpu()
        pruned[name] = _largest(magnitude, layer.reshape(-1), num_alive[name]).view(layer.shape)
    return pruned


def highest(scores: Mapping[str, Tensor], mask: Mask, num_alive: int) -> Mask:
    """The live weights of the highest scores, over all layers together.

    Args:
        scores: finite, by name; of at least the names of `mask`.
        mask: weights to choose from.
        num_alive: number of weights to leave. Ties as in `global_magnitude`.

    Raises:
        ValueError: when a score is not finite.
    """
    flat = flatten({name: scores[name] for name in mask})
    if not bool(flat.isfinite().all()):
        raise ValueError("cannot prune by score: some scores are not finite")
    return unflatten(_largest(flat, flatten(mask), num_alive), like=mask)


def highest_in_layers(
    scores: Mapping[str, Tensor], mask: Mask, num_alive: Mapping[str, int]
) -> Mask:
    """The live weights of the highest scores of each layer; `num_alive` as of
    `layerwise_magnitude`."""
    return {
        name: highest(scores, {name: layer}, num_alive[name])[name] for name, layer in mask.items()
    }


def num_left(
    alive: Mapping[str, int], fraction: float, layer_fractions: Mapping[str, float]
) -> dict[str, int]:
    """Number of weights left in each layer after it loses its share of its live weights.

    Args:
        alive: number of live weights by layer.
        fraction: share that a layer loses, in (0, 1).
        layer_fractions: other shares, by layer; 0 for one that loses nothing.

    Raises:
        ValueError: when `layer_fractions` names an unknown layer, or a share is out of range.
    """
    unknown = [name for name in layer_fractions if name not in alive]
    if unknown:
        raise ValueError(
            f"no share can be lost by {', '.join(unknown)}: the layers are {', '.join(alive)}"
        )
    left = dict(alive)
    for name, count in alive.items():
        if layer_fractions.get(name) != 0:
            left[name] = _left(count, layer_fractions.get(name, fraction))
    return left


def _left(alive: int, fraction: float) -> int:
    return alive - num_pruned(alive, fraction)


def _largest(magnitude: Tensor, alive: Tensor, num_alive: int) -> Tensor:
    """The `num_alive` live weights of largest magnitude, as a flat mask; ties go to the later."""
    if len(magnitude) and not magnitude.max().isfinite():
        raise ValueError("cannot prune by magnitude: some weights are not finite")
    # In numpy: torch indexes, sorts and selects with a 64-bit position for each weight.
    sizes, is_alive = magnitude.numpy(), alive.numpy()
    candidates = sizes[is_alive]
    num_gone = len(candidates) - num_alive
    if num_gone <= 0:
        return alive.clone()
    candidates.partition(num_gone - 1)
    largest_gone = candidates[num_gone - 1]
    left = is_alive & (sizes > largest_gone)
    [ties] = np.nonzero(is_alive & (sizes == largest_gone))
    left[ties[num_gone - np.count_nonzero(candidates < largest_gone) :]] = True
    return torch.from_numpy(left)


def global_random(mask: Mask, num_alive: int, generator: torch.Generator) -> Mask:
    """A mask with the names and shapes of `mask` and `num_alive` weights at random places."""
    alive = torch.zeros_like(flatten(mask))
    alive[torch.randperm(len(alive), generator=generator)[:num_alive]] = True
    return unflatten(alive, like=mask)


def preserve_lpr(mask: Mask, generator: torch.Generator) -> Mask:
    """A random mask with as many weights in each layer as `mask`: places shuffled within it."""
    shuffled = {}
    for name, layer in mask.items():
        order = torch.randperm(layer.numel(), generator=generator)
        shuffled[name] = layer.reshape(-1)[order].view(layer.shape)
    return shuffled


def num_alive_after(
    fractions: Iterable[float], mask: Mask, layer_fractions: Mapping[str, float] | None = None
) -> int:
    """Number of weights of `mask` left after prunings of these shares, one after the other.

    It does not depend on which weights go: chosen over all layers together, or, with
    `layer_fractions`, layer by layer. Raises ValueError for a share that is out of range.
    """
    if layer_fractions is None:
        return functools.reduce(_left, fractions, num_alive(mask))
    left = alive_by_layer(mask)
    for fraction in fractions:
        left = num_left(left, fraction, layer_fractions)
    return sum(left.values())
