"""One seed, many independent random generators."""

import hashlib
from operator import index

import torch


def generator(seed: int, *purpose: str | int) -> torch.Generator:
    """A CPU generator for one purpose of one seed.

    What is drawn for one purpose (`"initialization"`, `"data order"`, ...) neither depends on
    nor moves what is drawn for another. The same on every machine.
    """
    digest = hashlib.sha256(repr((index(seed), *purpose)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big"))
