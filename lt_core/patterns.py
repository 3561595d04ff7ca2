"""N:M patterns: of each M weights in a row along a layer's inputs at most N are alive.

Graphics cards from Ampere on multiply by 2:4 faster than by the dense matrix: Mishra et al. 2021
(arXiv:2104.08378), section 3; other N:M in Zhou et al. 2021 (arXiv:2102.04010), section 3.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from lt_core.mask import Mask
from lt_core.names import kept_of


def keep_highest(scores: Mapping[str, Tensor], mask: Mask, pattern: str) -> Mask:
    """Of each M weights in a row along the inputs the N of highest score.

    Rows are along the input features of a linear layer and along the input channels of a
    convolution, at one output and one place of the kernel.

    Args:
        scores: finite, by name; of at least the names of `mask`.
        mask: weights to choose from.
        pattern: `2:4` keeps 2 of 4.

    Returns:
        The pruned mask. Of equal scores the one earlier along the inputs goes first.

    Raises:
        ValueError: when a score is not finite, or the inputs of a layer are no multiple of M.
    """
    keep, of = kept_of(pattern)
    if unfit := misfits(mask, pattern):
        names = ", ".join(unfit)
        raise ValueError(
            f"pattern {pattern} needs layers whose number of inputs is a multiple of {of}, not "
            f"{', '.join(f'{name} ({inputs})' for name, inputs in unfit.items())}; "
            f"`prune.skip: [{names}]` leaves out what is none"
        )
    pruned = {}
    for name, layer in mask.items():
        score = scores[name].detach().float().cpu()
        if not bool(score.isfinite().all()):
            raise ValueError(f"cannot prune to {pattern}: some weights or scores are not finite")
        groups = _groups(score.masked_fill(~layer, -torch.inf), of)
        order = groups.argsort(dim=1, stable=True)
        alive = _groups(layer, of).scatter(1, order[:, : of - keep], False)
        pruned[name] = _ungrouped(alive, layer)
    assert not broken(pruned, pattern)
    return pruned


def refuse_transposed(network: nn.Module, mask: Mask) -> None:
    """Raise ValueError for transposed convolutions, whose weights have the inputs elsewhere."""
    modules = dict(network.named_modules())
    kinds = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
    if found := [name for name in mask if isinstance(modules.get(name), kinds)]:
        names = ", ".join(found)
        raise ValueError(
            f"a pattern is along the inputs of linear layers and convolutions, and {names} are "
            f"transposed; `prune.skip: [{names}]` leaves them out"
        )


def misfits(mask: Mask, pattern: str) -> dict[str, int]:
    """The layers that cannot have a pattern, with the number of their inputs."""
    _, of = kept_of(pattern)
    return {name: layer.shape[1] for name, layer in mask.items() if layer.shape[1] % of}


def broken(mask: Mask, pattern: str) -> list[str]:
    """The layers with more than N alive of some M in a row."""
    keep, of = kept_of(pattern)
    return [name for name, layer in mask.items() if bool((_groups(layer, of).sum(1) > keep).any())]


def _groups(layer: Tensor, of: int) -> Tensor:
    """[groups, M]: the inputs, the second dimension, come last."""
    return layer.movedim(1, -1).reshape(-1, of)


def _ungrouped(groups: Tensor, like: Tensor) -> Tensor:
    """Undo `_groups`."""
    return groups.view(like.movedim(1, -1).shape).movedim(-1, 1).contiguous()
