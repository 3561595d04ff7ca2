"""How far a training moves the weights."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from lt_core.mask import Mask, flatten


@dataclass(frozen=True, slots=True)
class Movement:
    """From the start of a training to its end, over the weights alive."""

    distance: float
    """L2 distance over the L2 norm of the start; nan where that is 0."""

    sign_changes: float
    """The fraction whose sign is another: Zhou et al. 2019 (arXiv:1905.01067), section 4.1."""


def moved(start: Mapping[str, Tensor], end: Mapping[str, Tensor], mask: Mask) -> Movement:
    """Compare the weights of `mask` at two times; names and shapes are those of `mask`."""
    alive = flatten(mask)
    before, after = (
        flatten({name: weights[name].detach().cpu() for name in mask})[alive].double()
        for weights in (start, end)
    )
    norm = float(before.norm())
    distance = float((after - before).norm()) / norm if norm else math.nan
    return Movement(distance, float((before * after < 0).double().mean()))
