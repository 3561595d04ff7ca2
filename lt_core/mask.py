"""Masks of live weights: a mask maps a layer's name to a bool tensor of its weight's shape."""

from collections.abc import Collection, Container, Iterator, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from lt_core.packed_mask import PackedMask

Mask = Mapping[str, Tensor]
"""True is alive. The names are those of `prunable_weights`, in network order."""


_CONVOLUTIONS = (
    *(nn.Conv1d, nn.Conv2d, nn.Conv3d),
    *(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
)
_PROJECTIONS = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")
"""Parameters of `nn.MultiheadAttention` that are no layer's; its `out_proj` is a linear layer."""


def prunable_weights(model: nn.Module) -> dict[str, Tensor]:
    """The weights of convolutions, transposed ones, linear layers and attention, in network order.

    They go by the name of their layer; those that project the input of an `nn.MultiheadAttention`
    by their own (`attention.in_proj_weight`, of queries, keys and values below each other). Biases,
    norms, embeddings and recurrent layers are never pruned. A weight that layers share is there
    once, under the name of the first.
    """
    weights: dict[str, Tensor] = {}
    for name, weight in _candidates(model):
        if isinstance(weight, Tensor) and not any(weight is w for w in weights.values()):
            weights[name] = weight
    return weights


def _candidates(model: nn.Module) -> Iterator[tuple[str, object]]:
    """Names with what may be a weight, or what a subclass has in its place."""
    for name, module in model.named_modules():
        if isinstance(module, (*_CONVOLUTIONS, nn.Linear)):
            yield name, getattr(module, "weight", None)
        elif isinstance(module, nn.MultiheadAttention):
            for key in _PROJECTIONS:
                yield f"{name}.{key}".removeprefix("."), getattr(module, key, None)


def parameter_name(name: str, parameters: Container[str]) -> str:
    """The full name of the weight that a mask has as `name`, among those of all parameters."""
    return f"{name}.weight" if f"{name}.weight" in parameters else name


def never_pruned(model: nn.Module, mask: Mask) -> dict[str, int]:
    """The number of parameters that no pruning under `mask` removes, by their full name."""
    prunable = [weight for name, weight in prunable_weights(model).items() if name in mask]
    return {
        name: parameter.numel()
        for name, parameter in model.named_parameters()
        if not any(parameter is weight for weight in prunable)
    }


def dense(model: nn.Module, skip: Collection[str] = ()) -> Mask:
    """The mask of an unpruned network, without the layers in `skip`.

    Raises:
        ValueError: when `skip` names an unknown layer, or every layer.
    """
    weights = prunable_weights(model)
    unknown = [name for name in skip if name not in weights]
    if unknown:
        raise ValueError(f"cannot skip {', '.join(unknown)}: the layers are {', '.join(weights)}")
    if len(set(skip)) == len(weights):
        raise ValueError("cannot skip every layer: nothing is left to prune")
    return {
        name: torch.ones(weight.shape, dtype=torch.bool)
        for name, weight in weights.items()
        if name not in skip
    }


def alive_by_layer(mask: Mask) -> dict[str, int]:
    """Layer name -> number of weights alive."""
    return {name: int(layer.sum()) for name, layer in mask.items()}


def num_alive(mask: Mask) -> int:
    return sum(alive_by_layer(mask).values())


def num_weights(mask: Mask) -> int:
    return sum(layer.numel() for layer in mask.values())


def sparsity(mask: Mask) -> float:
    """Fraction of the prunable weights that is pruned."""
    weights = num_weights(mask)
    return (weights - num_alive(mask)) / weights


def flatten(tensors: Mapping[str, Tensor]) -> Tensor:
    """All layers end to end, each in row-major order whatever its memory format."""
    return torch.cat([tensor.reshape(-1) for tensor in tensors.values()])


def unflatten(flat: Tensor, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Undo `flatten`, with the names and shapes of `like`."""
    parts = torch.split(flat, [tensor.numel() for tensor in like.values()])
    return {
        name: part.view(tensor.shape)
        for (name, tensor), part in zip(like.items(), parts, strict=True)
    }


def pack(mask: Mask) -> PackedMask:
    """Pack a mask, eight weights a byte."""
    shapes = {name: tuple(layer.shape) for name, layer in mask.items()}
    return PackedMask(shapes, np.packbits(flatten(mask).cpu().numpy()))


def unpack(packed: PackedMask) -> Mask:
    """Undo `pack`."""
    flat = np.unpackbits(packed.bits, count=packed.num_weights).view(np.bool_)
    like = {name: torch.empty(shape, device="meta") for name, shape in packed.shapes.items()}
    return unflatten(torch.from_numpy(flat), like)
