"""Masks in safetensors files, as others write them: a tensor for each layer, 0 where it is pruned.

Without torch, as `packed_mask`.
"""

from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from lt_core.packed_mask import PackedMask


def read_mask(path: str) -> PackedMask:
    """The mask in a file, its layers sorted by name; executes no code.

    The tensors are named as the layers are, such as `conv` or `blocks.0.conv1`, and have the shapes
    of their weights; they are bool, integers or floats, and hold 0 and 1.

    Raises:
        ValueError: when it is none; says all that is wrong with it.
    """
    try:
        found = safetensors.numpy.load(Path(path).read_bytes())
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    except (safetensors.SafetensorError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: no safetensors file of a mask: {error}") from None
    layers = dict(sorted(found.items()))
    problems = [text for name, layer in layers.items() if (text := _no_layer(name, layer))]
    if not problems and not any(layer.any() for layer in layers.values()):
        problems.append("it keeps no weight")
    if problems:
        raise ValueError("; ".join(f"{path}: {text}" for text in problems))
    flat = [layer.astype(np.bool_).reshape(-1) for layer in layers.values()]
    shapes = {name: layer.shape for name, layer in layers.items()}
    return PackedMask(shapes, np.packbits(np.concatenate(flat)))


def _no_layer(name: str, layer: NDArray[np.generic]) -> str:
    """What is wrong with the values of a layer; empty if nothing is."""
    if layer.size == 0:
        return f"layer {name} is empty"
    if layer.dtype.kind not in "buif":
        return f"layer {name} must be bool, integers or floats, got {layer.dtype}"
    others = layer[(layer != 0) & (layer != 1)]
    return f"layer {name} must hold 0 and 1, got {others.flat[0]}" if others.size else ""
