"""Find lottery tickets: train, prune, rewind, again."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import nn

from lt_core import prune, rewind
from lt_core.checkpoint import Checkpoints
from lt_core.config import ModelName, Pruning, Recipe, Rewinding
from lt_core.data import DataSet
from lt_core.evaluation import Evaluation, evaluate
from lt_core.mask import Mask, alive_by_layer, dense, prunable_weights, sparsity
from lt_core.rewind import Start, State
from lt_core.structured.channels import channel_groups
from lt_core.structured.filters import filter_l1


@dataclass(frozen=True)
class Round:
    """One round of a chain; round 0 is the dense network."""

    number: int
    mask: Mask
    """What was alive while this round trained."""

    evaluation: Evaluation
    """This round's training: its mask's evaluation at H_find."""

    next_mask: Mask
    """The mask that it found: with `next_start`, the next round's ticket."""

    next_start: Start


def find(
    model: ModelName,
    data: DataSet,
    recipe: Recipe,
    pruning: Pruning,
    *,
    rounds: int,
    seed: int,
    rewinding: Rewinding = Rewinding(),
    num_alive: Mapping[int, Mapping[str, int]] | None = None,
    start: int = 0,
    mask: Mask | None = None,
    weights: State | None = None,
    checkpoints: Mapping[int, Checkpoints] | None = None,
    device: str = "cpu",
) -> Iterator[Round]:
    """Iterative pruning with rewinding, round by round.

    Frankle & Carbin 2019 (arXiv:1803.03635), section 2, strategy 1 of appendix B.

    Args:
        model: name of the network.
        data: to train on.
        recipe: H_find.
        pruning: what is removed after each round.
        rounds: the last round; `rounds + 1` networks are trained. At most 1 for `filter_l1`, which
            prunes the dense network once: nothing is pruned after round 1, whose next ticket is
            its own.
        seed: of initialization and data order.
        rewinding: what each round but round 0 starts from.
        num_alive: for LPR-constrained pruning: by round, how many weights of each layer are alive
            in it, as `alive_by_layer` tells of another chain's mask. `pruning` then says nothing
            but what is skipped. After a round whose next is not there, nothing is pruned.
        start: the round to begin with, where a chain goes on.
        mask: that of round `start`; None, the dense network, for round 0.
        weights: what round `start`, or round 1, starts from, unless that is the initialization.
            Needed where a chain goes on whose weights do too; with late rewinding they are
            trained here if they are not given.
        checkpoints: by round, where its training keeps its state.
        device: where to train, as torch writes it.

    Raises:
        Diverged: when a round's training does.
        ValueError: for a later `start` without its mask, or without weights it needs; for
            `filter_l1` in more than one round.
    """
    is_structured = pruning.strategy == "filter_l1" and num_alive is None
    _check_arguments(is_structured, rounds, start, mask, weights, rewinding)
    if mask is None:
        mask = dense(rewind.to_initialization(model, data, seed=seed), pruning.skip)
    weights_go_on = rewinding.method != "weights"
    if not weights_go_on and rewinding.to.count > 0 and weights is None:
        weights = rewind.to_step(model, data, recipe, rewinding.to, seed=seed, device=device)

    begin = rewind.after_pruning(rewinding, weights) if start > 0 else Start()
    for number in range(start, rounds + 1):
        evaluation = evaluate(
            model,
            data,
            mask,
            recipe,
            seed=seed,
            start=begin,
            pruning=pruning if is_structured else Pruning(),
            checkpoints=None if checkpoints is None else checkpoints[number],
            device=device,
        )
        if is_structured and number == 1:
            yield Round(number, mask, evaluation, mask, begin)
            return
        next_mask = mask
        if num_alive is None:
            next_mask = prune_trained(evaluation.model, data, mask, pruning)
        elif number + 1 in num_alive:
            next_mask = prune_trained(evaluation.model, data, mask, pruning, num_alive[number + 1])
        if weights_go_on:
            weights = rewind.state(evaluation.model)
        begin = rewind.after_pruning(rewinding, weights)
        yield Round(number, mask, evaluation, next_mask, begin)
        mask = next_mask


def _check_arguments(
    is_structured: bool,
    rounds: int,
    start: int,
    mask: Mask | None,
    weights: State | None,
    rewinding: Rewinding,
) -> None:
    """The ValueErrors of `find`, before anything trains."""
    if is_structured and rounds > 1:
        raise ValueError(
            f"filter_l1 prunes the dense network once: rounds must be at most 1, got {rounds}"
        )
    if start > 0 and mask is None:
        raise ValueError(f"to go on at round {start}, find needs that round's mask")
    if start > 0 and weights is None and rewinding.method != "weights":
        raise ValueError(f"to go on at round {start}, find needs the weights of round {start - 1}")


def prune_trained(
    network: nn.Module,
    data: DataSet,
    mask: Mask,
    pruning: Pruning,
    num_alive: Mapping[str, int] | None = None,
) -> Mask:
    """What one pruning leaves of a trained network's `mask`.

    Args:
        network: as trained.
        data: whose images it takes.
        mask: what is alive now.
        pruning: what to remove.
        num_alive: for LPR-constrained pruning, how many weights of each layer to leave.

    Raises:
        ValueError: when a weight is not finite, or `pruning` does not fit the network.
    """
    weights = prunable_weights(network)
    if num_alive is not None:
        return prune.layerwise_magnitude(weights, mask, num_alive)
    match pruning.strategy:
        case "global_magnitude":
            return prune.global_magnitude(weights, mask, pruning.fraction)
        case "layerwise_magnitude":
            alive = alive_by_layer(mask)
            left = prune.num_left(alive, pruning.fraction, pruning.layer_fractions)
            return prune.layerwise_magnitude(weights, mask, left)
        case "filter_l1":
            if sparsity(mask) > 0:
                raise ValueError("filter_l1 prunes the dense network once, this one is pruned")
            groups = channel_groups(network, data.image_shape)
            return filter_l1(network, groups, pruning.fraction, pruning.skip)
