"""Physically smaller networks after structured pruning."""

import copy
from collections.abc import Sequence

from torch import Tensor, nn

from lt_core.mask import Mask
from lt_core.structured.channels import Group
from lt_core.structured.filters import live_channels, repeated


def shrink(network: nn.Module, groups: Sequence[Group], mask: Mask) -> nn.Module:
    """A copy of `network` with only the channels that `mask` leaves alive.

    Its weights, biases, batch norm parameters and running statistics are those of the live
    channels. In exact arithmetic the copy computes what `network` computes under `mask`, in
    training and in evaluation mode: the same logits, and for every live parameter the same
    gradient, so that SGD trains both alike, and their running statistics with them. In floats the
    sums over channels round differently. Dropout draws other places in a smaller tensor.

    Args:
        network: masked or not; pruned weights are not read.
        groups: its `channel_groups`.
        mask: a mask of whole filters.

    Raises:
        ValueError: when `mask` is not one of whole filters.
    """
    small = copy.deepcopy(network)
    for group, alive in zip(groups, live_channels(groups, mask), strict=True):
        size = int(alive.sum())
        for name in group.writers:
            layer = _weighted(small, name)
            _keep(layer, "weight", alive)
            _keep(layer, "bias", alive)
            if isinstance(layer, nn.Conv2d):
                layer.out_channels = size
            else:
                layer.out_features = size
        for name in group.norms:
            norm = small.get_submodule(name)
            assert isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d)
            features = repeated(alive, norm.num_features)
            for kind in ("weight", "bias", "running_mean", "running_var"):
                _keep(norm, kind, features)
            norm.num_features = int(features.sum())
        for name in group.readers:
            layer = _weighted(small, name)
            columns = repeated(alive, layer.weight.shape[1])
            _keep(layer, "weight", columns, dim=1)
            if isinstance(layer, nn.Conv2d):
                layer.in_channels = size
            else:
                layer.in_features = int(columns.sum())
    return small


def _weighted(network: nn.Module, name: str) -> nn.Conv2d | nn.Linear:
    """The layer of this name, which writes or reads channels."""
    layer = network.get_submodule(name)
    assert isinstance(layer, nn.Conv2d | nn.Linear)
    return layer


def _keep(layer: nn.Module, name: str, alive: Tensor, dim: int = 0) -> None:
    """Leave the live slices of a parameter or buffer, if the layer has it."""
    tensor = getattr(layer, name)
    if tensor is None:
        return
    kept = tensor.detach().index_select(dim, alive.nonzero().squeeze(1).to(tensor.device))
    if isinstance(tensor, nn.Parameter):
        kept = nn.Parameter(kept, requires_grad=tensor.requires_grad)
    setattr(layer, name, kept)
