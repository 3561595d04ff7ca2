"""One seed, many independent random generators."""

import contextlib
import hashlib
from collections.abc import Iterator
from operator import index

import torch


def generator(seed: int, *purpose: str | int) -> torch.Generator:
    """A CPU generator for one purpose of one seed.

    Draws for one purpose (`"initialization"`, `"data order"`, ...) neither depend on nor move those
    for another. They are the same on every machine.
    """
    digest = hashlib.sha256(repr((index(seed), *purpose)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big"))


@contextlib.contextmanager
def torch_seeded(device: torch.device, seed: int, *purpose: str | int) -> Iterator[None]:
    """Torch's own generators, of the CPU and of `device`, seeded for one purpose of one seed.

    Initialization and dropout draw from them. Afterwards they are as they were before; those of
    other devices are not touched.
    """
    torch_seed = generator(seed, *purpose).initial_seed()
    accelerators = [] if device.type == "cpu" else [device]
    with torch.random.fork_rng(accelerators):
        torch.default_generator.manual_seed(torch_seed)  # torch.manual_seed seeds every GPU too
        for each in accelerators:
            state = torch.Generator(each).manual_seed(torch_seed).get_state()
            torch.get_device_module(each).set_rng_state(state, each)
        yield
