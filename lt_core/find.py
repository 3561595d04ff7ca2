"""Find lottery tickets: train, prune, rewind, again."""

from collections.abc import Iterator
from dataclasses import dataclass

from lt_core import prune, rewind
from lt_core.config import ModelName, Pruning, Recipe
from lt_core.data import DataSet
from lt_core.evaluate import Evaluation, evaluate
from lt_core.mask import Mask, dense, prunable_weights


@dataclass(frozen=True)
class Round:
    """One round of a chain; round 0 is the dense network."""

    number: int
    mask: Mask
    """What was alive while this round trained."""

    evaluation: Evaluation
    """This round's training: its mask's evaluation at H_find."""

    next_mask: Mask
    """The mask that it found: that of the next round's ticket."""


def find(
    model: ModelName,
    data: DataSet,
    recipe: Recipe,
    pruning: Pruning,
    *,
    rounds: int,
    seed: int,
    start: int = 0,
    mask: Mask | None = None,
    device: str = "cpu",
) -> Iterator[Round]:
    """Iterative magnitude pruning with rewinding to initialization, round by round.

    Frankle & Carbin 2019 (arXiv:1803.03635), section 2, strategy 1 of appendix B.

    Args:
        model: name of the network.
        data: to train on.
        recipe: H_find.
        pruning: what is removed after each round.
        rounds: the last round; `rounds + 1` networks are trained.
        seed: of initialization and data order.
        start: the round to begin with, where a chain goes on.
        mask: that of round `start`; None, the dense network, for round 0.
        device: where to train, as torch writes it.

    Raises:
        Diverged: when a round's training does.
        ValueError: for a later `start` without its mask.
    """
    if start > 0 and mask is None:
        raise ValueError(f"to go on at round {start}, find needs that round's mask")
    if mask is None:
        mask = dense(rewind.to_initialization(model, data, seed=seed))
    for number in range(start, rounds + 1):
        evaluation = evaluate(model, data, mask, recipe, seed=seed, device=device)
        weights = prunable_weights(evaluation.model)
        next_mask = prune.global_magnitude(weights, mask, pruning.fraction)
        yield Round(number, mask, evaluation, next_mask)
        mask = next_mask
