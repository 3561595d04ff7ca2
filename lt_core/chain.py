"""Find lottery tickets: train, prune, rewind, again."""

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import ParamSpec

from torch import nn

from lt_core import patterns, prune, rewind
from lt_core.checkpoint import Checkpoints
from lt_core.config import Pruning, Recipe, Rewinding
from lt_core.data import DataSet
from lt_core.erk import erk_counts
from lt_core.evaluation import Evaluation, evaluating
from lt_core.mask import (
    Mask,
    alive_by_layer,
    dense,
    parameter_name,
    prunable_weights,
    sparsity,
)
from lt_core.pretrained import Network
from lt_core.rewind import Start, State
from lt_core.scores import scored, to_score
from lt_core.structured.channels import channel_groups
from lt_core.structured.filters import filter_l1
from lt_core.training_loop import translated


@dataclass(frozen=True)
class Round:
    """One round of a chain; round 0 is the dense network."""

    number: int
    mask: Mask
    """The mask that this round trained under."""

    evaluation: Evaluation
    """This round's training: the evaluation of its mask at H_find."""

    next_mask: Mask
    """The mask found by this round: with `next_start`, the ticket of the next."""

    next_start: Start


def finding(
    model: Network,
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
) -> Generator[Round | None, None, None]:
    """Iterative pruning with rewinding, round by round.

    Frankle & Carbin 2019 (arXiv:1803.03635), section 2, strategy 1 of appendix B.

    Args:
        model: name of the network.
        data: to train on.
        recipe: H_find.
        pruning: what is removed after each round.
        rounds: the last round; `rounds + 1` networks are trained. At most 1 for `filter_l1`, which
            prunes the dense network once: nothing is pruned after round 1, whose next ticket is
            its own. Nor is more than a pattern asks for.
        seed: of initialization and data order.
        rewinding: weights and step that each round after round 0 starts from.
        num_alive: for LPR-constrained pruning, number of weights alive by round and layer: the
            `alive_by_layer` of another chain's masks. Only `skip` of `pruning` counts then, and
            nothing is pruned for a round that is not in it.
        start: first round to train; more than 0 to continue a chain.
        mask: mask of round `start`; None for round 0 is the dense network.
        weights: weights that round `start`, or 1, starts from, if not the initialization. Required
            to continue a chain whose rounds train on from each other's weights; with late rewinding
            they are trained here if not given.
        checkpoints: storage for the state of each round's training, by round.
        device: where to train, as torch writes it.

    Yields:
        Each round; None wherever another training may have its turn.

    Raises:
        Diverged: when a round's training diverges.
        ValueError: for a later `start` without its mask or the weights it requires; for `filter_l1`
            in more than one round.
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
        evaluation = yield from translated(
            evaluating(
                model,
                data,
                mask,
                recipe,
                seed=seed,
                start=begin,
                pruning=pruning if is_structured else Pruning(),
                checkpoints=None if checkpoints is None else checkpoints[number],
                device=device,
                watched=False,
            ),
            lambda _: None,
        )
        if is_structured and number == 1:
            yield Round(number, mask, evaluation, mask, begin)
            return
        next_mask = mask
        if num_alive is None:
            started = None
            if pruning.is_scored:
                started = rewind.weights_at(begin, model, data, seed=seed)
            next_mask = prune_trained(
                evaluation.model, data, mask, pruning, started=started, seed=seed
            )
        elif number + 1 in num_alive:
            next_mask = prune_trained(evaluation.model, data, mask, pruning, num_alive[number + 1])
        if weights_go_on:
            weights = rewind.state(evaluation.model)
        begin = rewind.after_pruning(rewinding, weights)
        yield Round(number, mask, evaluation, next_mask, begin)
        mask = next_mask


P = ParamSpec("P")


def _rounds_of(found: Callable[P, Iterator[Round | None]]) -> Callable[P, Iterator[Round]]:
    def rounds(*given: P.args, **named: P.kwargs) -> Iterator[Round]:
        """As `finding`, but all of its time for this one."""
        return (round for round in found(*given, **named) if round is not None)

    return rounds


find = _rounds_of(finding)


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
    *,
    started: State | None = None,
    seed: int = 0,
) -> Mask:
    """The mask of a trained network after one more pruning.

    Args:
        network: with its trained weights.
        data: data set whose images the network takes.
        mask: mask before the pruning.
        pruning: what to remove.
        num_alive: for LPR-constrained pruning, number of weights to leave in each layer.
        started: for scores, what the training started from; None where there was none.
        seed: for scores, of their draws.

    Raises:
        ValueError: when a weight is not finite, or `pruning` does not fit the network.
    """
    if pruning.pattern is not None:
        patterns.refuse_transposed(network, mask)
    weights = prunable_weights(network)
    if num_alive is not None:
        return prune.layerwise_magnitude(weights, mask, num_alive)
    if pruning.is_scored:
        return _prune_by_score(network, data, mask, pruning, started, seed)
    if pruning.pattern is not None:
        magnitudes = {name: weights[name].detach().abs() for name in mask}
        return patterns.keep_highest(magnitudes, mask, pruning.pattern)
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
            shares = pruning.layer_fractions
            return filter_l1(network, groups, pruning.fraction, pruning.skip, shares)
        case _:
            raise AssertionError  # a score, as above


def _prune_by_score(
    network: nn.Module,
    data: DataSet,
    mask: Mask,
    pruning: Pruning,
    started: State | None,
    seed: int,
) -> Mask:
    state = rewind.state(network) if started is None else started
    before = {name: state[parameter_name(name, state)] for name in mask}
    found = scored(pruning.strategy, to_score(network, data, mask, before, seed))
    if pruning.scope == "erk":
        shapes = {name: tuple(layer.shape) for name, layer in mask.items()}
        num_left = prune.num_alive_after([pruning.fraction], mask)
        return prune.highest_in_layers(
            found, mask, erk_counts(shapes, num_left, alive_by_layer(mask))
        )
    if pruning.pattern is not None:
        return patterns.keep_highest(found, mask, pruning.pattern)
    if pruning.is_layerwise:
        left = prune.num_left(alive_by_layer(mask), pruning.fraction, pruning.layer_fractions)
        return prune.highest_in_layers(found, mask, left)
    return prune.highest(found, mask, prune.num_alive_after([pruning.fraction], mask))
