"""Overlap of masks, and the overlap that chance gives at the same layerwise pruning ratios (LPR).

The Jaccard index of two masks is the number of weights alive in both over the number alive in
either: 1 for equal masks, 0 for disjoint ones, and 1 where neither has a weight alive.
"""

import math
from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lt_core.packed_mask import PackedMask

if TYPE_CHECKING:
    from lt_core.mask import Mask


def jaccard(first: "Mask | PackedMask", second: "Mask | PackedMask") -> float:
    """The Jaccard index of two masks, in [0, 1].

    Raises:
        ValueError: when they are of different layers.
    """
    return float(jaccards([_packed(first), _packed(second)])[0, 1])


def chance_jaccard(first: "Mask | PackedMask", second: "Mask | PackedMask") -> float:
    """The Jaccard index of two random masks with the LPR of these, in [0, 1].

    Raises:
        ValueError: when they are of different layers.
    """
    return float(chance_jaccards([_packed(first), _packed(second)])[0, 1])


def jaccards(masks: Sequence[PackedMask]) -> NDArray[np.float64]:
    """The Jaccard indices of all pairs of some masks, [masks, masks].

    Raises:
        ValueError: when the masks are of different layers.
    """
    _check_layers(masks)
    bits = np.stack([_words(mask) for mask in masks])
    both = np.zeros((len(masks), len(masks)))
    for i, row in enumerate(bits):
        both[i, i:] = np.bitwise_count(bits[i:] & row).sum(axis=1, dtype=np.int64)
        both[i:, i] = both[i, i:]
    return _over_union(both, both.diagonal())


def chance_jaccards(masks: Sequence[PackedMask]) -> NDArray[np.float64]:
    """What chance gives in place of each of `jaccards`, [masks, masks].

    In a layer of n weights, of which two independent random masks leave a and b alive, a·b/n are
    expected to be alive in both. Summed over layers, they are the intersection, and what they leave
    of both masks is the union.

    Raises:
        ValueError: when the masks are of different layers.
    """
    _check_layers(masks)
    alive = np.stack([_alive(mask) for mask in masks])
    both = (alive / _sizes(masks[0])) @ alive.T
    return _over_union(both, alive.sum(axis=1))


def _alive(mask: PackedMask) -> NDArray[np.float64]:
    """The number of weights alive in each layer, in network order."""
    flat = np.unpackbits(mask.bits, count=mask.num_weights).view(np.bool_)
    ends = np.cumsum(_sizes(mask)).tolist()
    layers = (flat[begin:end] for begin, end in zip([0, *ends], ends, strict=False))
    return np.array([np.count_nonzero(layer) for layer in layers], dtype=np.float64)


def _over_union(both: NDArray[np.float64], alive: NDArray[np.float64]) -> NDArray[np.float64]:
    """Jaccard indices from the sizes of all intersections and of each mask."""
    either = alive[:, None] + alive[None, :] - both
    return np.divide(both, either, out=np.ones_like(both), where=either > 0)


def _sizes(mask: PackedMask) -> NDArray[np.int64]:
    return np.array([math.prod(shape) for shape in mask.shapes.values()])


def _words(mask: PackedMask) -> NDArray[np.uint64]:
    """The bits in words of 64, which are counted eight times as fast as bytes."""
    words = np.zeros(-(-mask.bits.size // 8), dtype=np.uint64)
    words.view(np.uint8)[: mask.bits.size] = mask.bits
    return words


def _packed(mask: "Mask | PackedMask") -> PackedMask:
    if isinstance(mask, PackedMask):
        return mask
    from lt_core.mask import pack  # loads torch, which packed masks do without

    return pack(mask)


def _check_layers(masks: Sequence[PackedMask]) -> None:
    layers = list(masks[0].shapes.items())
    for mask in masks[1:]:
        for layer, other in zip_longest(layers, mask.shapes.items()):
            if layer != other:
                raise ValueError(
                    f"the masks are of different networks: {_in_words(layer)} in one, "
                    f"{_in_words(other)} in another"
                )


def _in_words(layer: tuple[str, tuple[int, ...]] | None) -> str:
    return f"{layer[0]} of {layer[1]}" if layer else "no layer"
