"""Weights as a bitmask and the values that are alive: the smaller file, and how it is read."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch

from lt_core.mask import Mask, parameter_name
from lt_core.rewind import State


def plain(weights: State, mask: Mask) -> dict[str, torch.Tensor]:
    """A network's state with 0 for all that is pruned, where a training leaves 0 or -0.

    Arguments as of `write_sparse`; layers whose whole filters are gone stay as they are.
    """
    state = dict(weights)
    for layer, alive in mask.items():
        name = parameter_name(layer, state)
        if state[name].shape == alive.shape:
            state[name] = state[name].masked_fill(~alive, 0.0)
    return state


def write_sparse(path: Path, weights: State, mask: Mask) -> bool:
    """Write a network's state: of each layer of `mask` its bits, eight weights a byte in row-major
    order, and the values of those that are alive; all else as it is.

    Args:
        path: of the file.
        weights: parameters and buffers by name; what `mask` prunes is 0.
        mask: by layer.

    Returns:
        Whether it was: not where the weights have other shapes, since whole filters are gone.
    """
    state, shapes = dict(weights), {}
    for layer, alive in mask.items():
        name = parameter_name(layer, state)
        weight = state.pop(name)
        if weight.shape != alive.shape:
            return False
        shapes[name] = list(weight.shape)
        bits = np.packbits(alive.reshape(-1).cpu().numpy())
        state[f"{name}.bitmask"], state[f"{name}.values"] = torch.from_numpy(bits), weight[alive]
    content = safetensors.torch.save(state, metadata={"shapes": json.dumps(shapes)})
    path.write_bytes(content)
    return True


def load_sparse(path: str) -> Mapping[str, Any]:
    """The state dict in a file of bitmasks and values, to the bit."""
    with safetensors.safe_open(path, "pt") as file:
        shapes = json.loads(file.metadata()["shapes"])
        state = {name: file.get_tensor(name) for name in sorted(file.keys())}
    for name, shape in shapes.items():
        bits = np.unpackbits(state.pop(f"{name}.bitmask").numpy(), count=math.prod(shape))
        weight = torch.zeros(shape)
        weight[torch.from_numpy(bits).bool().view(shape)] = state.pop(f"{name}.values")
        state[name] = weight
    return state
