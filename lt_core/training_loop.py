"""The training loop: an optimizer under a mask."""

import contextlib
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from lt_core import checkpoint, seeds
from lt_core.checkpoint import Checkpoints
from lt_core.config import Recipe
from lt_core.data.batches import Batches
from lt_core.kernels import deterministic
from lt_core.mask import Mask
from lt_core.moving_average import MovingAverage
from lt_core.optimizer import masked_optimizer
from lt_core.replay import Replay, on_own_stream
from lt_core.schedule import learning_rate
from lt_core.step import Step
from lt_core.steps import Steps

EVALUATION_BATCH = 1000

T = TypeVar("T")
Y = TypeVar("Y")
Z = TypeVar("Z")


class Diverged(ArithmeticError):
    """Loss, weights or logits are no longer finite; the message says where."""


@dataclass(frozen=True)
class Trained:
    """What came of a training, besides the network."""

    loss: float
    """Mean training loss of the last epoch."""

    not_deterministic: frozenset[str]
    """The operations of the network that torch has no deterministic kernel of on this device."""

    not_captured: str
    """Why a GPU's steps were taken one by one; empty where they were replayed, and on a CPU."""


def misfits(recipe: Recipe, num_images: int, begin: Steps = Steps(0, "ep")) -> list[str]:
    """Why `recipe` cannot train on `num_images` images from `begin` on, one sentence per problem;
    empty if it can."""
    per_epoch = num_images // recipe.batch_size
    if per_epoch == 0:
        return [
            f"batch_size must be at most the {num_images:,} training images, "
            f"got {recipe.batch_size:,}"
        ]
    num_steps = recipe.duration.iterations(per_epoch)
    problems = []
    if recipe.trains_for.iterations(per_epoch) > num_steps:
        problems.append(f"stop {recipe.stop} is after the end of duration {recipe.duration}")
    if recipe.warmup.iterations(per_epoch) > num_steps:
        problems.append(f"warmup {recipe.warmup} is longer than duration {recipe.duration}")
    if begin.iterations(per_epoch) >= recipe.trains_for.iterations(per_epoch):
        problems.append(f"rewinding to {begin} leaves nothing to train of {recipe.trains_for}")
    for milestone in recipe.milestones:
        if milestone.iterations(per_epoch) >= num_steps:
            problems.append(
                f"milestone {milestone} is not before the end of duration {recipe.duration}"
            )
    return [f"{text} (an epoch is {per_epoch:,} iterations)" for text in problems]


def train(
    model: nn.Module,
    mask: Mask,
    images: Batches,
    recipe: Recipe,
    *,
    seed: int,
    begin: Steps = Steps(0, "ep"),
    at_last_rate: bool = False,
    checkpoints: Checkpoints | None = None,
) -> float:
    """Train `model` in place, as `training` does; the mean training loss of the last epoch."""
    return drained(
        training(
            model,
            mask,
            images,
            recipe,
            seed=seed,
            begin=begin,
            at_last_rate=at_last_rate,
            checkpoints=checkpoints,
        )
    ).loss


def drained(generator: Generator[Any, None, T]) -> T:
    """Run a generator to its end; its return value."""
    while True:
        try:
            next(generator)
        except StopIteration as end:
            returned: T = end.value
            return returned


def translated(generator: Generator[Y, None, T], into: Callable[[Y], Z]) -> Generator[Z, None, T]:
    """Yield what `into` makes of what a generator yields; its return value."""
    while True:
        try:
            yielded = next(generator)
        except StopIteration as end:
            returned: T = end.value
            return returned
        yield into(yielded)


def training(
    model: nn.Module,
    mask: Mask,
    images: Batches,
    recipe: Recipe,
    *,
    seed: int,
    begin: Steps = Steps(0, "ep"),
    at_last_rate: bool = False,
    checkpoints: Checkpoints | None = None,
) -> Generator[int | None, None, Trained]:
    """Train `model` in place; what `mask` prunes is exactly 0 from the start and after every step.

    Between two epochs, and at the end, `model` has the average of the weights where the recipe says
    `ema`. The caller may use it then, put it in evaluation mode, and draw from torch's generators:
    the training neither depends on it nor moves them. Closing the generator ends the
    training early. On a GPU steps are replayed from a CUDA graph, to the bits of steps taken one by
    one, and trainings that are advanced in turn overlap.

    Args:
        model: on the device of `images`.
        mask: of layers' weights, by the layer's name; of other parameters by their own.
        images: to train on.
        recipe: H.
        seed: of the order of the images, their augmentation, and the network's draws (dropout),
            unless the recipe has an `order_seed`.
        begin: first step, of the schedule and of the order of the images.
        at_last_rate: whether the learning rate is that of the schedule's last step throughout.
        checkpoints: storage for its state after epochs, and the state to continue from.

    Yields:
        Number of finished epochs of the schedule, after each epoch but the last; epochs before
        `begin` or a loaded checkpoint are left out. None within an epoch, while a GPU is at it.

    Raises:
        Diverged: when a loss or a weight is not finite.
        ValueError: when the recipe does not fit the number of images.
    """
    if problems := misfits(recipe, len(images), begin):
        raise ValueError("; ".join(problems))
    steps = _training(model, mask, images, recipe, seed, begin, at_last_rate, checkpoints)
    return (yield from on_own_stream(steps, images.labels.device))


def _training(
    model: nn.Module,
    mask: Mask,
    images: Batches,
    recipe: Recipe,
    seed: int,
    begin: Steps,
    at_last_rate: bool,
    checkpoints: Checkpoints | None,
) -> Generator[int | None, None, Trained]:
    device = images.labels.device
    per_epoch = len(images) // recipe.batch_size
    rates = _rates(recipe, per_epoch, at_last_rate)
    num_steps = len(rates)
    optimizer = masked_optimizer(model, mask, recipe)
    average = MovingAverage(model, optimizer, recipe.ema)
    first_step = begin.iterations(per_epoch)
    kept = None if checkpoints is None else checkpoints.load()
    if kept is not None:
        checkpoint.restore(kept, model, optimizer, average)
        first_step = kept.step

    if recipe.order_seed is not None:
        seed = recipe.order_seed
    step = Step(model, optimizer, images, recipe, per_epoch)
    order = seeds.generator(seed, "data order")
    lacking: set[str] = set()
    with contextlib.closing(Replay(step)) as replay:
        for first in range(0, num_steps, per_epoch):
            positions = torch.randperm(len(images), generator=order)
            steps = range(max(first, first_step), min(first + per_epoch, num_steps))
            if not steps:
                continue
            batches = positions[: per_epoch * recipe.batch_size].view(per_epoch, recipe.batch_size)
            step.begin_epoch(
                batches[steps.start - first : steps.stop - first],
                images.draws(seed, steps, recipe.batch_size),
                rates[steps.start : steps.stop],
            )
            model.train()
            # Not around a yield, where the caller would draw from the seeded generators.
            with (
                seeds.seeded(device, seed, "dropout", first),
                deterministic(device, recipe.precision) as lacking_here,
            ):
                num_left = replay.begin_epoch(len(steps))
            lacking |= lacking_here
            yield from replay.replay(num_left)
            losses = step.losses(len(steps))
            _check_finite(losses, steps, rates, per_epoch)
            if steps.stop < num_steps:
                if checkpoints is not None and checkpoints.is_due():
                    checkpoints.save(checkpoint.take(model, optimizer, average, steps.stop))
                with average.in_network():
                    yield steps.stop // per_epoch
    average.exchange()
    if not all(bool(parameter.isfinite().all()) for parameter in model.parameters()):
        raise Diverged(f"weights are not finite after the last of {num_steps} steps")
    return Trained(float(losses.mean()), frozenset(lacking), replay.why_not)


def _rates(recipe: Recipe, per_epoch: int, at_last_rate: bool) -> list[float]:
    """Learning rate of each step that is trained; the last one throughout, if `at_last_rate`."""
    num_steps = recipe.trains_for.iterations(per_epoch)
    rates = [learning_rate(recipe, step, per_epoch) for step in range(num_steps)]
    return [rates[-1]] * num_steps if at_last_rate else rates


def _check_finite(losses: Tensor, steps: range, rates: list[float], per_epoch: int) -> None:
    """Raise Diverged for the first of the losses of `steps` that is not finite."""
    is_bad = losses.isfinite().logical_not()
    if is_bad.any():
        bad = int(is_bad.nonzero()[0])
        step = steps[bad]
        raise Diverged(
            f"loss is {losses[bad]:g} at step {step + 1} of {len(rates)} "
            f"(epoch {step // per_epoch + 1}, LR {rates[step]:g})"
        )


@torch.no_grad()
def accuracy(model: nn.Module, images: Batches) -> float:
    """Fraction of the images that `model`, in evaluation mode, classifies correctly.

    Raises:
        Diverged: when the largest logit of an image is not finite: that names no class.
    """
    model.eval()
    correct = finite = 0
    with deterministic(images.labels.device, "fp32"):
        for i in range(0, len(images), EVALUATION_BATCH):
            inputs, labels = images[i : i + EVALUATION_BATCH]
            # The largest of logits with a nan is nan; a class ruled out by -inf is no mistake.
            largest, classes = model(inputs).max(1)
            correct += (classes == labels).sum()
            finite += largest.isfinite().sum()
    num_bad = len(images) - int(finite)  # once: this waits for the device
    if num_bad:
        raise Diverged(
            f"logits are not finite in evaluation, for {num_bad:,} of {len(images):,} images: "
            "buffers such as a norm's running variance are not, or numbers overflow"
        )
    return int(correct) / len(images)
