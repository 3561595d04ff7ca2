"""Random masks at the layerwise ratios of Erdős and Rényi."""

import math
from collections.abc import Mapping

import torch

from lt_core.mask import Mask


def erk_random(mask: Mask, num_alive: int, generator: torch.Generator) -> Mask:
    """A random mask whose layers are the sparser, the more weights they have for their size.

    A layer's density is proportional to the sum of the sizes of its weight's dimensions over their
    product (ERK), at most 1: Evci et al. 2020 (arXiv:1911.11134), section 3 (1).

    Args:
        mask: of the names and shapes.
        num_alive: number of weights alive, over all layers together.
        generator: draws the places within each layer.
    """
    counts = erk_counts({name: tuple(layer.shape) for name, layer in mask.items()}, num_alive)
    drawn = {}
    for name, layer in mask.items():
        alive = torch.zeros(layer.numel(), dtype=torch.bool)
        alive[torch.randperm(layer.numel(), generator=generator)[: counts[name]]] = True
        drawn[name] = alive.view(layer.shape)
    return drawn


def erk_counts(
    shapes: Mapping[str, tuple[int, ...]], num_alive: int, most: Mapping[str, int] | None = None
) -> dict[str, int]:
    """The number of weights alive in each layer, `num_alive` in all.

    What rounding leaves over goes to the layers with the largest remainders, the first of equal
    ones.

    Args:
        shapes: of the layers' weights.
        num_alive: over all layers together.
        most: weights that a layer can have alive; None: its size.
    """
    sizes = {name: math.prod(shape) for name, shape in shapes.items()} if most is None else most
    full: set[str] = set()
    while True:
        rest = [name for name in sizes if name not in full]
        left = num_alive - sum(sizes[name] for name in full)
        scale = left / sum(sum(shapes[name]) for name in rest) if rest else 0
        # A weight of density sum / product has sum x scale alive.
        exact = {name: sum(shapes[name]) * scale for name in rest}
        over = {name for name in rest if exact[name] > sizes[name]}
        if not over:
            break
        full |= over
    counts = {name: sizes[name] if name in full else math.floor(exact[name]) for name in sizes}
    missing = num_alive - sum(counts.values())
    for name in sorted(rest, key=lambda name: counts[name] - exact[name])[:missing]:
        counts[name] += 1
    return counts
