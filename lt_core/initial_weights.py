"""Given weights as the initialization of a network: read, checked against it, put into it."""

import functools
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from lt_core.pretrained import Pretrained, fingerprint

_MOST_TOLD = 10


def put_into(network: nn.Module, given: Pretrained) -> None:
    """Give a network the weights of a file, all but those of the layers that stay fresh.

    Args:
        network: as initialized; changed in place.
        given: the file, a safetensors file of its `state_dict`, and the names of fresh layers.

    Raises:
        ValueError: when the file cannot be read, is another than `given` says, or has other names
            or shapes than the network, with all of them.
    """
    tensors = _read(given)
    own = network.state_dict()
    if problems := list(_misfits(own, tensors, given.fresh)):
        more = len(problems) - _MOST_TOLD
        told = problems[:_MOST_TOLD] + ([f"and {more:,} more"] if more > 0 else [])
        raise ValueError(
            f"the weights of {given.file} do not fit {given.name}: {'; '.join(told)}. "
            "`initial_weights.fresh: [LAYER]` leaves a layer as the seed initializes it, such as a "
            "head for another number of classes"
        )
    with torch.no_grad():
        for name, tensor in tensors.items():
            if not _is_in(name, given.fresh):
                own[name].copy_(tensor)


@functools.lru_cache(maxsize=1)
def _read(given: Pretrained) -> Mapping[str, Tensor]:
    """The tensors of a file: read once for all trainings of a process, executes no code."""
    file = given.file
    try:
        content = Path(file).read_bytes()
        tensors = safetensors.torch.load(content)
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror or error}") from None
    except safetensors.SafetensorError as error:
        raise ValueError(
            f"{file} is no safetensors file ({error}): "
            "safetensors.torch.save_file(network.state_dict(), ...) writes one"
        ) from None
    if given.fingerprint not in (None, fingerprint(content, given.fresh)):
        raise ValueError(f"{file} was changed since the launch")
    return tensors


def _is_in(name: str, layers: Collection[str]) -> bool:
    """Whether a tensor is of one of these layers, or is named itself."""
    return any(name == layer or name.startswith(f"{layer}.") for layer in layers)


def _misfits(
    own: Mapping[str, Tensor], tensors: Mapping[str, Tensor], fresh: Collection[str]
) -> Iterator[str]:
    """Why weights are not those of a network, one phrase for each."""
    for layer in fresh:
        if not any(_is_in(name, [layer]) for name in own):
            yield f"`fresh` names {layer}, which the network does not have"
    # Shared weights are there once in a file; a batch norm's counter is not read by a training.
    there = {own[name].data_ptr() for name in tensors if name in own}
    for name, tensor in own.items():
        if _is_in(name, fresh):
            continue
        if name in tensors:
            if tensors[name].shape != tensor.shape:
                sizes = list(tensors[name].shape), list(tensor.shape)
                yield f"{name} is {sizes[0]} there, {sizes[1]} in the network"
            elif not bool(tensors[name].isfinite().all()):
                yield f"{name} is not finite"
        elif tensor.data_ptr() not in there and not name.endswith("num_batches_tracked"):
            yield f"{name} is not there"
    for name in tensors:
        if name not in own and not _is_in(name, fresh):
            yield f"{name} is there, and not in the network"
