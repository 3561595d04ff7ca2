"""Which weights go: pruning by magnitude, and the random masks it is compared with."""

import math
from collections.abc import Mapping
from fractions import Fraction

import torch
from torch import Tensor

from lt_core.mask import Mask, flatten, num_alive, unflatten


def num_pruned(alive: int, fraction: float) -> int:
    """How many of the weights still alive a round removes: ceil(fraction * alive)."""
    # In decimals as it was written: 0.07 * 100 in floats lies above 7 and would round up to 8.
    return math.ceil(Fraction(str(fraction)) * alive)


def global_magnitude(weights: Mapping[str, Tensor], mask: Mask, fraction: float) -> Mask:
    """Prune the smallest weights that are still alive, over all layers together.

    Args:
        weights: trained values, name -> float tensor; at least the names of `mask`.
        mask: what is alive now.
        fraction: share of the *alive* weights to prune, in (0, 1).

    Returns:
        A mask with exactly `num_pruned(alive, fraction)` fewer weights. Of equal magnitudes the
        one earlier in the network, in row-major order, goes first.

    Raises:
        ValueError: when a weight is not finite, as after a training that diverged.

    Han et al. 2015 (arXiv:1506.02626), section 3.1; global as in Frankle & Carbin 2019
    (arXiv:1803.03635), section 4.
    """
    magnitude = flatten({name: weights[name].detach() for name in mask}).abs().float().cpu()
    if not magnitude.isfinite().all():
        raise ValueError("cannot prune by magnitude: some weights are not finite")
    alive = flatten(mask).clone()
    positions = alive.nonzero().squeeze(1)
    order = torch.sort(magnitude[positions], stable=True).indices
    alive[positions[order[: num_pruned(len(positions), fraction)]]] = False
    return unflatten(alive, like=mask)


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


def num_alive_after(rounds: int, mask: Mask, fraction: float) -> int:
    """How many weights `rounds` prunings leave of `mask`; the same whatever prunes them."""
    alive = num_alive(mask)
    for _ in range(rounds):
        alive -= num_pruned(alive, fraction)
    return alive
