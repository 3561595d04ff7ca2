"""How long networks take for one image, here and now."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lt_core import inputs
from lt_core.data.shapes import InputShape

_WARM_UP = 5


@dataclass(frozen=True)
class Latency:
    """Wall time of a forward pass of one image, in milliseconds."""

    median: float
    low: float
    """The 10th percentile."""

    high: float
    """The 90th."""


def latencies(
    networks: Sequence[Callable[[Tensor], object]], image_shape: InputShape, repeats: int = 50
) -> list[Latency]:
    """Time networks on the CPU, one pass of each in turn, so that what else runs slows all alike.

    Args:
        networks: are put in evaluation mode, if they are modules of torch.
        image_shape: of one image, or other input.
        repeats: number of passes of each, after a few that are not timed; at least 2.
    """
    image = inputs.ones(image_shape, 1)
    seconds: list[list[float]] = [[] for _ in networks]
    with torch.inference_mode():
        for _ in range(_WARM_UP + repeats):
            for network, times in zip(networks, seconds, strict=True):
                if isinstance(network, nn.Module):
                    network.eval()
                begin = time.perf_counter()
                network(image)
                times.append(time.perf_counter() - begin)
    return [_latency([1000 * time for time in times[_WARM_UP:]]) for times in seconds]


def _latency(milliseconds: Sequence[float]) -> Latency:
    deciles = statistics.quantiles(milliseconds, n=10, method="inclusive")
    return Latency(statistics.median(milliseconds), deciles[0], deciles[-1])
