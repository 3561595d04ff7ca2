"""Random masks that are as connected as a ticket."""

import torch

from lt_core.live_paths import LivePaths, both
from lt_core.mask import Mask, alive_by_layer, num_alive
from lt_core.prune import preserve_lpr

_MAX_PASSES = 50


def preserve_lpr_live(mask: Mask, paths: LivePaths, generator: torch.Generator) -> Mask:
    """A random mask with as many weights alive in each layer as `mask`, and as many live.

    The places are shuffled within each layer. Then weights that are on no path from the input to
    the output are moved, within their layer, to random places that are, until as many are live as
    in `mask`, or some more: a weight that is moved may bring others to life. Where there is no such
    place, fewer stay live, which the cost of the mask tells.

    Args:
        mask: a ticket.
        paths: of its network.
        generator: draws the places.

    Raises:
        ValueError: when the paths of the network cannot be told.
    """
    wanted = paths.num_live(mask)
    shuffled = {name: layer.clone() for name, layer in preserve_lpr(mask, generator).items()}
    for _ in range(_MAX_PASSES):
        through = paths.through(shuffled)
        if wanted is None or through is None:
            raise ValueError("which of its weights are on a live path cannot be told")
        live = num_alive(both(shuffled, through))
        # Half of them, since others come to life with those that are moved.
        num_moved = _move(shuffled, through, -(-(wanted - live) // 2), generator)
        if num_moved == 0:
            break
    assert alive_by_layer(shuffled) == alive_by_layer(mask)
    return shuffled


def _move(mask: Mask, through: Mask, number: int, generator: torch.Generator) -> int:
    """Move up to `number` weights that are on no path to places that are; returns how many."""
    num_moved = 0
    names = list(mask)
    for i in torch.randperm(len(names), generator=generator).tolist():
        alive, on_path = mask[names[i]].view(-1), through[names[i]].reshape(-1)
        dead, free = ((which).nonzero()[:, 0] for which in (alive & ~on_path, ~alive & on_path))
        count = max(0, min(number - num_moved, len(dead), len(free)))
        alive[dead[torch.randperm(len(dead), generator=generator)[:count]]] = False
        alive[free[torch.randperm(len(free), generator=generator)[:count]]] = True
        num_moved += count
    return num_moved
