"""Training under a given mask, and its accuracy."""

import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from lt_core import precision, rewind
from lt_core.checkpoint import Checkpoints
from lt_core.config import Pruning, Recipe
from lt_core.data import DataSet
from lt_core.data.batches import Batches
from lt_core.lpr import layerwise_pruning_ratios
from lt_core.mask import Mask, dense, prunable_weights, sparsity
from lt_core.memory_format import to_device
from lt_core.movement import Movement, moved
from lt_core.pretrained import Network
from lt_core.rewind import Start
from lt_core.structured.channels import channel_groups
from lt_core.structured.filters import with_dependents
from lt_core.structured.shrinking import shrink
from lt_core.training_loop import Trained, accuracy, drained, training


@dataclass(frozen=True)
class Evaluation:
    """One finished training."""

    model: nn.Module
    """The trained network, on its device; the smaller one where pruned filters were left out."""

    sparsity: float
    """Fraction of the prunable weights that the mask prunes."""

    lpr: dict[str, float]
    """Layer name -> fraction pruned."""

    train_loss: float
    """Mean training loss of the last epoch."""

    movement: Movement
    """From the weights that the training started from to those that it ended with."""

    precision: Literal["fp32", "tf32", "bf16"]
    """Precision of the training."""

    not_deterministic: frozenset[str]
    """The operations that torch has no deterministic kernel of on this device: where there are any,
    the same training may have other bits next time."""

    not_captured: str
    """Why a GPU took the steps one by one, and so slower; empty where it did not."""

    val_accuracy: float
    test_accuracy: float

    seconds: float
    """Wall time from building the network to the last accuracy, without the turns of others in
    between; the time before a checkpoint that the training continued from is not in it."""


@dataclass(frozen=True)
class Progress:
    """A training between two epochs."""

    epoch: int
    """Number of finished epochs of the schedule."""

    val_accuracy: float


def evaluate(
    model: Network,
    data: DataSet,
    mask: Mask,
    recipe: Recipe,
    *,
    seed: int,
    start: Start = Start(),
    pruning: Pruning = Pruning(),
    checkpoints: Checkpoints | None = None,
    device: str = "cpu",
) -> Evaluation:
    """Train a network under `mask` at `recipe` (H_eval) and measure it, as `evaluating` does."""
    return drained(
        evaluating(
            model,
            data,
            mask,
            recipe,
            seed=seed,
            start=start,
            pruning=pruning,
            checkpoints=checkpoints,
            device=device,
            watched=False,
        )
    )


def evaluating(
    model: Network,
    data: DataSet,
    mask: Mask,
    recipe: Recipe,
    *,
    seed: int,
    start: Start = Start(),
    pruning: Pruning = Pruning(),
    checkpoints: Checkpoints | None = None,
    device: str = "cpu",
    watched: bool = True,
) -> Generator[Progress | None, None, Evaluation]:
    """Train a network under `mask` at `recipe` (H_eval) and measure it, epoch by epoch.

    The bits are the same, watched or not, alone or with others in between. Closing the generator
    ends the training early.

    Args:
        model: name of the network.
        data: to train, validate and test on.
        mask: live weights.
        recipe: H_eval.
        seed: seed of initialization, data order and augmentation.
        start: weights and step to start from; by default the initialization and step 0.
        pruning: how the mask was found. For `filter_l1` the smaller network is trained, or with
            `shrink=False` the whole one, with batch norms and biases of its filters masked too.
        checkpoints: storage for its state, to continue after a kill.
        device: where to train, as torch writes it.
        watched: whether to measure between epochs, which takes a pass over the validation images
            each time.

    Yields:
        Progress after each epoch but the last, if watched; epochs before a loaded checkpoint are
        left out. None wherever another training may have its turn.

    Raises:
        Diverged: when a loss or a weight is not finite.
    """
    began = time.perf_counter()
    network = rewind.to_initialization(model, data, seed=seed)
    if start.weights is not None:
        network.load_state_dict(start.weights)
    trained_mask = mask
    if pruning.strategy == "filter_l1":
        groups = channel_groups(network, data.image_shape)
        if pruning.shrink:
            network = shrink(network, groups, mask)
            trained_mask = dense(network)
        else:
            trained_mask = with_dependents(network, groups, mask)
    started = {name: weight.detach().clone() for name, weight in prunable_weights(network).items()}
    network = to_device(network, device, data.image_shape)
    epochs = training(
        network,
        trained_mask,
        Batches(data, data.train, device),
        recipe,
        seed=seed,
        begin=start.step,
        at_last_rate=start.at_last_rate,
        checkpoints=checkpoints,
    )
    trained, away = yield from _watched(
        epochs, network, Batches(data, data.validation, device) if watched else None
    )
    return Evaluation(
        model=network,
        sparsity=sparsity(mask),
        lpr=layerwise_pruning_ratios(mask),
        train_loss=trained.loss,
        movement=_movement(started, network, trained_mask),
        precision=precision.chosen(recipe.precision, device),
        not_deterministic=trained.not_deterministic,
        not_captured=trained.not_captured,
        val_accuracy=accuracy(network, Batches(data, data.validation, device)),
        test_accuracy=accuracy(network, Batches(data, data.test, device)),
        seconds=time.perf_counter() - began - away,
    )


def _movement(started: Mapping[str, Tensor], network: nn.Module, mask: Mask) -> Movement:
    """Of the weights of layers; a mask may also be of biases and norms."""
    ended = prunable_weights(network)
    return moved(started, ended, {name: mask[name] for name in ended if name in mask})


def _watched(
    epochs: Generator[int | None, None, Trained], network: nn.Module, validation: Batches | None
) -> Generator[Progress | None, None, tuple[Trained, float]]:
    """What the training returns, and the seconds that others had meanwhile."""
    away = 0.0
    while True:
        try:
            epoch = next(epochs)
        except StopIteration as end:
            trained: Trained = end.value
            return trained, away
        progress = None
        if epoch is not None and validation is not None:
            progress = Progress(epoch, accuracy(network, validation))
        left = time.perf_counter()
        yield progress
        away += time.perf_counter() - left
