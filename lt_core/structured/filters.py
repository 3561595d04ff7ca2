"""One-shot structured pruning: masks of whole filters, and the parameters that go with them."""

import functools
from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor, nn

from lt_core.mask import Mask, dense, prunable_weights
from lt_core.prune import num_pruned
from lt_core.structured.channels import Group


def filter_l1(
    network: nn.Module,
    groups: Sequence[Group],
    fraction: float,
    skip: Collection[str] = (),
    layer_fractions: Mapping[str, float] | None = None,
) -> Mask:
    """Prune the channels whose filters have the smallest L1 norm, a share of each group.

    The norm of a channel is the sum of the magnitudes of its filter, over all layers that write
    it. With the filters, rows of a layer's weight, go the columns of the layers that read them,
    so that a layer between two pruned groups keeps about (1 - fraction)² of its weights.

    Args:
        network: with trained weights.
        groups: its `channel_groups`.
        fraction: share of each group's channels to prune, in (0, 1).
        skip: layers that lose nothing and are not in the mask. A group that one of them writes or
            reads is not pruned: without its channels the layer would lose rows or columns.
        layer_fractions: other shares than `fraction`, in [0, 1), by a layer that writes the
            channels; layers that write the same ones lose one share.

    Returns:
        A mask in which every other group has exactly `num_pruned(size, share)` channels fewer. Of
        equal norms the channel of the lower index goes first.

    Raises:
        ValueError: when a weight is not finite, there is nothing to prune, a group would lose all
            its channels, `skip` names no layer, or `layer_fractions` none that can lose filters or
            two shares of one group.

    Li et al. 2017 (arXiv:1608.08710), section 3.1.
    """
    weights = {name: weight.detach().cpu() for name, weight in prunable_weights(network).items()}
    if not all(bool(weight.isfinite().all()) for weight in weights.values()):
        raise ValueError("cannot prune by magnitude: some weights are not finite")
    everything = dense(network, skip)
    prunable = [group for group in groups if _may_lose(group, everything)]
    if not prunable:
        raise ValueError("there is no filter to prune: every one is of the logits or of `skip`")
    shares = _shares(prunable, fraction, layer_fractions or {})
    alive = []
    for group in groups:
        by_writer = [weights[name].double().abs().flatten(1).sum(1) for name in group.writers]
        norms = functools.reduce(torch.add, by_writer)
        order = torch.sort(norms, stable=True).indices
        alive.append(_all_but(order[: shares.get(group, 0)], group.size))
    return _whole_filters(everything, groups, alive)


def _shares(
    prunable: Sequence[Group], fraction: float, layer_fractions: Mapping[str, float]
) -> dict[Group, int]:
    """The number of channels that each group loses."""
    writers = [name for group in prunable for name in group.writers]
    if unknown := [name for name in layer_fractions if name not in writers]:
        raise ValueError(
            f"no filters can be lost by {', '.join(unknown)}: those that can are "
            f"{', '.join(writers)}"
        )
    lost = {}
    for group in sorted(prunable, key=lambda group: group.size):
        names = ", ".join(group.writers)
        given = {layer_fractions[name] for name in group.writers if name in layer_fractions}
        if len(given) > 1:
            raise ValueError(f"{names} write the same channels: give them one share")
        share = given.pop() if given else fraction
        lost[group] = num_pruned(group.size, share) if share else 0
        if lost[group] == group.size == 1:
            raise ValueError(f"{names} write one channel only; `prune.skip` leaves them out")
        if lost[group] == group.size:
            most = (group.size - 1) * 10_000 // group.size / 10_000
            raise ValueError(
                f"fraction {share} would prune all {group.size} channels that {names} write; at "
                f"most {most} leaves one"
            )
    if not any(lost.values()):
        raise ValueError("no filter is pruned: every layer that could lose some has a share of 0")
    return lost


def random_filters(groups: Sequence[Group], mask: Mask, generator: torch.Generator) -> Mask:
    """A random mask of whole filters with as many weights in each layer as `mask`.

    Each group loses as many channels as in `mask`, drawn at random.

    Raises:
        ValueError: when `mask` is not one of whole filters.
    """
    drawn = []
    for group, alive in zip(groups, live_channels(groups, mask), strict=True):
        order = torch.randperm(group.size, generator=generator)
        drawn.append(_all_but(order[int(alive.sum()) :], group.size))
    return _whole_filters(mask, groups, drawn)


def live_channels(groups: Sequence[Group], mask: Mask) -> list[Tensor]:
    """Live channels of each group: bool tensors [size].

    Raises:
        ValueError: when `mask` is not one of whole filters: the rows and the columns of some
            channels, and nothing else.
    """
    alive = [
        mask[group.writers[0]].flatten(1).any(1)
        if _may_lose(group, mask)
        else torch.ones(group.size, dtype=torch.bool)
        for group in groups
    ]
    for name, layer in _whole_filters(mask, groups, alive).items():
        if not torch.equal(layer, mask[name]):
            raise ValueError(f"not a mask of whole filters: {name} is pruned in another way")
    return alive


def with_dependents(network: nn.Module, groups: Sequence[Group], mask: Mask) -> Mask:
    """`mask` with the other parameters of pruned channels: batch norms, and biases of the writers.

    The network's output does not depend on them, since nothing reads a pruned channel. Masked too,
    they leave as many parameters alive as `shrink` does.

    Returns:
        Besides the entries of `mask` one for each such parameter, by its full name: `bn1.weight`,
        `bn1.bias`, `conv1.bias`; bool tensors of its shape.

    Raises:
        ValueError: when `mask` is not one of whole filters.
    """
    parameters = dict(network.named_parameters())
    dependents = {}
    for group, alive in zip(groups, live_channels(groups, mask), strict=True):
        names = [f"{layer}.bias" for layer in group.writers]
        names += [f"{norm}.{kind}" for norm in group.norms for kind in ("weight", "bias")]
        for name in names:
            if name in parameters:
                dependents[name] = repeated(alive, len(parameters[name]))
    return {**mask, **dependents}


def repeated(alive: Tensor, size: int) -> Tensor:
    """`alive` for `size` features, several next to each other for each channel behind a flatten."""
    return alive.repeat_interleave(size // len(alive))


def _may_lose(group: Group, mask: Mask) -> bool:
    return all(name in mask for name in (*group.writers, *group.readers))


def _all_but(gone: Tensor, size: int) -> Tensor:
    alive = torch.ones(size, dtype=torch.bool)
    alive[gone] = False
    return alive


def _whole_filters(
    like: Mapping[str, Tensor], groups: Sequence[Group], alive: Sequence[Tensor]
) -> Mask:
    """A mask with the names and shapes of `like` and these channels of each group alive.

    A group with a layer that is not in `like` is left whole.
    """
    mask = {name: torch.ones(layer.shape, dtype=torch.bool) for name, layer in like.items()}
    for group, channels in zip(groups, alive, strict=True):
        if not _may_lose(group, mask):
            continue
        for name in group.writers:
            mask[name][~channels] = False
        for name in group.readers:
            mask[name][:, ~repeated(channels, mask[name].shape[1])] = False
    return mask
