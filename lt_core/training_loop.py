"""The training loop: SGD under a mask."""

from collections.abc import Generator
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lt_core import checkpoint, seeds
from lt_core.checkpoint import Checkpoints
from lt_core.config import Precision, Recipe
from lt_core.data.batches import Batches
from lt_core.mask import Mask
from lt_core.precision import autocast
from lt_core.schedule import learning_rate
from lt_core.steps import Steps

EVALUATION_BATCH = 1000

T = TypeVar("T")


class Diverged(ArithmeticError):
    """Loss, weights or logits are no longer finite; the message says where."""


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
    )


def drained(generator: Generator[Any, None, T]) -> T:
    """Run a generator to its end; its return value."""
    while True:
        try:
            next(generator)
        except StopIteration as end:
            returned: T = end.value
            return returned


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
) -> Generator[int, None, float]:
    """Train `model` in place; what `mask` prunes is exactly 0 from the start and after every step.

    Between two epochs the caller may use `model`, put it in evaluation mode, and draw from torch's
    generators: the training neither depends on it nor moves them. Closing the generator ends the
    training early.

    Args:
        model: on the device of `images`.
        mask: of layers' weights, by the layer's name; of other parameters by their own.
        images: to train on.
        recipe: H.
        seed: of the order of the images, their augmentation, and the network's draws (dropout).
        begin: first step, of the schedule and of the order of the images.
        at_last_rate: whether the learning rate is that of the schedule's last step throughout.
        checkpoints: storage for its state after epochs, and the state to continue from.

    Yields:
        Number of finished epochs of the schedule, after each epoch but the last; epochs before
        `begin` or a loaded checkpoint are left out.

    Returns:
        The mean training loss of the last epoch.

    Raises:
        Diverged: when a loss or a weight is not finite.
        ValueError: when the recipe does not fit the number of images.
    """
    problems = misfits(recipe, len(images), begin)
    if problems:
        raise ValueError("; ".join(problems))
    per_epoch = len(images) // recipe.batch_size
    rates = _rates(recipe, per_epoch, at_last_rate)
    num_steps = len(rates)
    optimizer = masked_sgd(model, mask, recipe)
    first_step = begin.iterations(per_epoch)
    kept = None if checkpoints is None else checkpoints.load()
    if kept is not None:
        checkpoint.restore(kept, model, optimizer)
        first_step = kept.step

    order = seeds.generator(seed, "data order")
    for first in range(0, num_steps, per_epoch):
        batches = torch.randperm(len(images), generator=order).split(recipe.batch_size)
        steps = range(max(first, first_step), min(first + per_epoch, num_steps))
        if not steps:
            continue
        model.train()
        losses = []
        # Per epoch: around the yield, the caller would draw from the seeded generators.
        with seeds.seeded(images.labels.device, seed, "dropout", first):
            for step in steps:
                optimizer.param_groups[0]["lr"] = rates[step]
                inputs, labels = images.for_training(batches[step - first], seed, step)
                step_loss = loss(model, inputs, labels, recipe.precision)
                step_loss.backward()
                optimizer.step()
                optimizer.zero_grad()
                losses.append(step_loss.detach())
        epoch_losses = torch.stack(losses).cpu()  # once an epoch: this waits for the device
        _check_finite(epoch_losses, steps, rates, per_epoch)
        if steps.stop < num_steps:
            if checkpoints is not None and checkpoints.is_due():
                checkpoints.save(checkpoint.take(model, optimizer, steps.stop))
            yield steps.stop // per_epoch
    if not all(bool(parameter.isfinite().all()) for parameter in model.parameters()):
        raise Diverged(f"weights are not finite after the last of {num_steps} steps")
    return float(epoch_losses.mean())


def masked_sgd(model: nn.Module, mask: Mask, recipe: Recipe) -> torch.optim.SGD:
    """SGD for `model` under `mask`: pruned weights are exactly 0 from now on.

    A weight that is 0 and gets no gradient has no momentum and nothing to decay, so masking the
    weights once and the gradients before every step is enough.

    Args:
        model: changed in place.
        mask: of layers' weights, by the layer's name; of other parameters by their own.
        recipe: for its learning rate, momentum and weight decay.
    """
    # A weight that is shared is there under each of its names.
    parameters = dict(model.named_parameters(remove_duplicate=False))
    names = [f"{name}.weight" if f"{name}.weight" in parameters else name for name in mask]
    masked: list[Tensor] = [parameters[name] for name in names]
    alive = [_like(weight, layer) for weight, layer in zip(masked, mask.values(), strict=True)]
    with torch.no_grad():
        torch._foreach_mul_(masked, alive)
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=recipe.lr,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        fused=True,
    )

    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]

    def mask_gradients(*_: object) -> None:
        pairs = [(w.grad, a) for w, a in zip(masked, alive, strict=True) if w.grad is not None]
        if any(w.grad is None for w in trained):  # as where stochastic depth leaves out layers
            _begin_momentum(optimizer)
        if pairs:
            torch._foreach_mul_([gradient for gradient, _ in pairs], [a for _, a in pairs])

    optimizer.register_step_pre_hook(mask_gradients)
    return optimizer


def _begin_momentum(optimizer: torch.optim.SGD) -> None:
    """Set momentum that has not begun to 0: the fused SGD takes all of it or none (torch 2.14)."""
    if optimizer.defaults["momentum"]:
        for parameter in optimizer.param_groups[0]["params"]:
            if optimizer.state[parameter].get("momentum_buffer") is None:
                optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)


def _like(weight: Tensor, alive: Tensor) -> Tensor:
    """A mask as numbers, where and as `weight` lies in memory."""
    return torch.empty_like(weight, requires_grad=False).copy_(alive)


def _rates(recipe: Recipe, per_epoch: int, at_last_rate: bool) -> list[float]:
    """Learning rate of each step that is trained; the last one throughout, if `at_last_rate`."""
    num_steps = recipe.trains_for.iterations(per_epoch)
    rates = [learning_rate(recipe, step, per_epoch) for step in range(num_steps)]
    return [rates[-1]] * num_steps if at_last_rate else rates


def loss(model: nn.Module, inputs: Tensor, labels: Tensor, precision: Precision) -> Tensor:
    """Cross-entropy of a batch; from the logits on in fp32 at least, whatever the precision."""
    with autocast(precision, inputs.device.type):
        logits = model(inputs)
    if not isinstance(logits, Tensor):
        raise ValueError(
            "in training the network must return its logits alone, as a tensor [batch, classes], "
            f"returns {type(logits).__name__}"
        )
    at_least_fp32 = torch.promote_types(logits.dtype, torch.float32)
    return F.cross_entropy(logits.to(at_least_fp32), labels)


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
