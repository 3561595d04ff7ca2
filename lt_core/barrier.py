"""The error barrier between two trainings that draw apart: another data order, augmentation and
dropout from the same start."""

import time
from collections.abc import Callable, Generator
from dataclasses import replace

from lt_core import rewind, seeds
from lt_core.checkpoint import Checkpoints
from lt_core.config import Recipe
from lt_core.data import DataSet
from lt_core.data.batches import Batches
from lt_core.evaluation import Evaluation, Progress
from lt_core.rewind import State
from lt_core.training_loop import accuracy, translated

SHARES = tuple(tenth / 10 for tenth in range(1, 10))
"""Of the second network, in those that are tried between the two."""


Train = Callable[[Recipe, Checkpoints | None], Generator[Progress | None, None, Evaluation]]


def worst_between(
    train: Train,
    recipe: Recipe,
    data: DataSet,
    checkpoints: Checkpoints | None = None,
    *,
    seed: int,
) -> Generator[None, None, Evaluation]:
    """The worst network on the line between two trainings.

    How much worse it is than its two ends is the error barrier, a measure of instability to the
    noise of SGD: Frankle et al. 2020 (arXiv:1912.05671), section 2. Of nine networks between the
    ends, weights and batch norm statistics interpolated, it is the worst on validation.

    Args:
        train: trains at a recipe, from the same start each time.
        recipe: of the first training; the second has another `order_seed`.
        data: to measure on.
        checkpoints: storage for the state of the second training; the first is trained again.
        seed: of the first training.

    Returns:
        The second training, its network and accuracies replaced by those of the worst one between;
        seconds are those of all of it.

    Raises:
        Diverged: when a training does, or a network between has logits that are not finite.
    """
    first = yield from translated(train(recipe, None), lambda _: None)
    start = rewind.state(first.model)
    own = seed if recipe.order_seed is None else recipe.order_seed
    another = seeds.generator(own, "another order").initial_seed()
    apart = recipe.model_copy(update={"order_seed": another})
    second = yield from translated(train(apart, checkpoints), lambda _: None)
    end = rewind.state(second.model)

    began = time.perf_counter()
    network = second.model
    device = str(next(network.parameters()).device)
    validation, test = (Batches(data, split, device) for split in (data.validation, data.test))
    found = {}
    for share in SHARES:
        network.load_state_dict(between(start, end, share))
        found[share] = accuracy(network, validation)
    worst = min(found, key=lambda share: found[share])
    network.load_state_dict(between(start, end, worst))
    return replace(
        second,
        val_accuracy=found[worst],
        test_accuracy=accuracy(network, test),
        seconds=first.seconds + second.seconds + time.perf_counter() - began,
    )


def between(start: State, end: State, share: float) -> State:
    """The network on the line from `start` to `end` that has this share of `end`; what counts, as
    batch norm does its batches, is that of `end`."""
    return {
        name: start[name].lerp(of_end, share) if of_end.is_floating_point() else of_end
        for name, of_end in end.items()
    }
