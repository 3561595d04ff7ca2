"""Train under a given mask, and see how good it is."""

import time
from dataclasses import dataclass

import torch
from torch import nn

from lt_core import rewind
from lt_core.config import ModelName, Recipe
from lt_core.data import DataSet
from lt_core.data.batches import Batches
from lt_core.lpr import layerwise_pruning_ratios
from lt_core.mask import Mask, sparsity
from lt_core.train import accuracy, train


@dataclass(frozen=True)
class Evaluation:
    """One finished training."""

    model: nn.Module
    """As trained, on the device."""

    sparsity: float
    """Fraction of the prunable weights that the mask prunes."""

    lpr: dict[str, float]
    """Layer name -> fraction pruned."""

    train_loss: float
    """Mean over the last epoch."""

    val_accuracy: float
    test_accuracy: float

    seconds: float
    """From building the network to the last accuracy, wall time."""


def evaluate(
    model: ModelName,
    data: DataSet,
    mask: Mask,
    recipe: Recipe,
    *,
    seed: int,
    device: str = "cpu",
) -> Evaluation:
    """Train the rewound network under `mask` at `recipe` (H_eval) and measure it.

    Args:
        model: name of the network.
        data: to train, validate and test on.
        mask: what is alive.
        recipe: H_eval.
        seed: of initialization, data order and augmentation.
        device: where to train, as torch writes it.

    Raises:
        Diverged: when a loss or a weight is not finite.
    """
    start = time.perf_counter()
    network = rewind.to_initialization(model, data, seed=seed)
    network = network.to(device, memory_format=torch.channels_last)
    train_loss = train(network, mask, Batches(data, data.train, device), recipe, seed=seed)
    return Evaluation(
        model=network,
        sparsity=sparsity(mask),
        lpr=layerwise_pruning_ratios(mask),
        train_loss=train_loss,
        val_accuracy=accuracy(network, Batches(data, data.validation, device)),
        test_accuracy=accuracy(network, Batches(data, data.test, device)),
        seconds=time.perf_counter() - start,
    )
