"""The start of a training: weights, and a step of its schedule.

Momentum and other moments always start at 0, a moving average of the weights anew: the network is
rewound, with its batch norm statistics, not the optimizer. The schedule continues from that step,
so that a warmup that is over is not repeated, and so do the order of the images and their
augmentation.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lt_core import checkpoint, models
from lt_core.config import Recipe, Rewinding
from lt_core.data import DataSet
from lt_core.data.batches import Batches
from lt_core.mask import dense, prunable_weights
from lt_core.memory_format import to_device
from lt_core.pretrained import Network
from lt_core.steps import Steps
from lt_core.training_loop import train

State = Mapping[str, Tensor]
"""A whole network by name, on the CPU: parameters, and the running statistics of batch norm."""


@dataclass(frozen=True)
class Start:
    """The start of a training."""

    weights: State | None = None
    """None: the initialization."""

    step: Steps = Steps(0, "ep")
    """The first step of the schedule."""

    at_last_rate: bool = False
    """Whether the learning rate is the schedule's last throughout, as in fine-tuning."""


def after_pruning(rewinding: Rewinding, weights: State | None) -> Start:
    """The start of a pruned network's training.

    Args:
        rewinding: method and target step.
        weights: for the method `weights` those at `rewinding.to`, None for initialization; for the
            other methods the trained weights that were pruned.
    """
    return Start(weights, rewinding.to, at_last_rate=rewinding.method == "fine_tuning")


def state(network: nn.Module) -> State:
    """A copy of a network's state, in row-major order whatever its memory format."""
    return checkpoint.copied(network.state_dict())


def to_initialization(
    name: Network, data: DataSet, *, seed: int, draw: str = "initialization"
) -> nn.Module:
    """The network as it was initialized: every weight, bias and batch norm statistic.

    Frankle & Carbin 2019 (arXiv:1803.03635), section 1: the winning ticket. Another `draw` is an
    independent initialization of the same seed.
    """
    return models.build(name, **vars(data.shape), seed=seed, draw=draw)


def weights_at(start: Start, name: Network, data: DataSet, *, seed: int) -> State:
    """The weights of a training's start."""
    return start.weights or state(to_initialization(name, data, seed=seed))


def to_another_initialization(
    name: Network, data: DataSet, *, seed: int, keeps_signs: bool = False
) -> Start:
    """Random reinitialization, to be trained in full: Frankle & Carbin 2019, section 2.

    With `keeps_signs` the prunable weights have the signs of the seed's own initialization: Zhou et
    al. 2019 (arXiv:1905.01067), section 3.
    """
    network = to_initialization(name, data, seed=seed, draw="reinitialization")
    if keeps_signs:
        own = prunable_weights(to_initialization(name, data, seed=seed))
        with torch.no_grad():
            for layer, weight in prunable_weights(network).items():
                weight.copy_(weight.abs().copysign(own[layer]))
    return Start(state(network))


def to_step(
    name: Network, data: DataSet, recipe: Recipe, step: Steps, *, seed: int, device: str = "cpu"
) -> State:
    """The dense network after the first `step` of its training at `recipe`: late rewinding.

    Frankle et al. 2020 (arXiv:1912.05671), section 4.1.

    Raises:
        Diverged: when a loss or a weight is not finite.
    """
    network = to_initialization(name, data, seed=seed)
    network = to_device(network, device, data.image_shape)
    # The weights that the training is at, not their average.
    until = recipe.model_copy(update={"stop": step, "ema": None})
    train(network, dense(network), Batches(data, data.train, device), until, seed=seed)
    return state(network)
