"""One seed, many independent random generators."""

import contextlib
import hashlib
import random
from collections.abc import Iterator
from operator import index

import numpy as np
import torch


def generator(seed: int, *purpose: str | int) -> torch.Generator:
    """A CPU generator for one purpose of one seed.

    Draws for one purpose (`"initialization"`, `"data order"`, ...) neither depend on nor move those
    for another. They are the same on every machine.
    """
    digest = hashlib.sha256(repr((index(seed), *purpose)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big"))


@contextlib.contextmanager
def seeded(device: torch.device, seed: int, *purpose: str | int) -> Iterator[None]:
    """The global generators of torch, NumPy and Python, seeded for one purpose of one seed.

    Initialization and dropout draw from torch's, a user's network or data set perhaps from the
    others. Afterwards they are as they were before; torch's of other devices than the CPU and
    `device` are not touched.
    """
    of_purpose = generator(seed, *purpose).initial_seed()
    accelerators = [] if device.type == "cpu" else [device]
    of_python, of_numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(accelerators):
            torch.default_generator.manual_seed(of_purpose)  # torch.manual_seed seeds every GPU too
            for each in accelerators:
                state = torch.Generator(each).manual_seed(of_purpose).get_state()
                torch.get_device_module(each).set_rng_state(state, each)
            random.seed(of_purpose)
            np.random.seed(of_purpose % 2**32)
            yield
    finally:
        random.setstate(of_python)
        np.random.set_state(of_numpy)
