"""Inputs without a data set: to try a network, to count what it does, to follow its paths."""

import numpy as np
import torch
from torch import Tensor

from lt_core.data.shapes import InputShape, Tokens


def ones(
    shape: InputShape,
    number: int,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Tensor:
    """`number` inputs of ones; of tokens int64 [number, length], since 0 often is padding."""
    if isinstance(shape, Tokens):
        token = min(1, shape.vocabulary - 1)
        return torch.full((number, shape.length), token, device=device)
    return torch.ones(number, *shape, dtype=dtype, device=device)


def drawn(shape: InputShape, number: int) -> Tensor:
    """`number` fixed random inputs, float32, normal; tokens int64, each equally likely."""
    generator = np.random.RandomState(0)
    if isinstance(shape, Tokens):
        size = (number, shape.length)
        return torch.from_numpy(generator.randint(0, shape.vocabulary, size, np.int64))
    normal = generator.standard_normal((number, *shape))
    return torch.from_numpy(normal.astype(np.float32))
