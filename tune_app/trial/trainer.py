"""What a training of the plan is: its mask, what it starts from, and H_eval. The same network to
the bit for a trial and for an export; it knows nothing of Ray."""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from lt_core import at_initialization, patterns, prune, rewind, seeds
from lt_core.barrier import worst_between
from lt_core.checkpoint import Checkpoints
from lt_core.config import Pruning, Recipe
from lt_core.cost import Cost
from lt_core.costing import Costing
from lt_core.data import DataSet
from lt_core.data.batches import Batches
from lt_core.erk import erk_random
from lt_core.evaluation import Evaluation, Progress, evaluating
from lt_core.given_masks import ToFind, find_given, fitted
from lt_core.live_masks import preserve_lpr_live
from lt_core.mask import Mask, dense, num_alive, num_weights, pack, unpack
from lt_core.names import kept_of
from lt_core.packed_mask import PackedMask
from lt_core.pretrained import Network
from lt_core.rewind import Start, State
from lt_core.scores import draw_images
from lt_core.structured.channels import channel_groups
from lt_core.structured.filters import filter_l1, random_filters
from tune_app.plan.trainings import Training
from tune_app.store.store import Missing, Store
from tune_app.sweep.kinds import AT_INITIALIZATION, NEW_WEIGHTS, is_file, source
from tune_app.sweep.prune import Prune


@dataclass(frozen=True)
class Trainer:
    """Trains single trainings of a sweep; their results it leaves to others to store."""

    model: Network
    prune: Prune
    data: DataSet
    store: Store
    """Of the weights that trainings start from, and of masks that are found for them."""

    ticket: Callable[[str], PackedMask]
    """By id."""

    device: str

    def training(
        self,
        training: Training,
        mask: Mask,
        checkpoints: Checkpoints | None = None,
        watched: bool = False,
    ) -> Generator[Progress | None, None, Evaluation]:
        """Train a network under `mask`, that of `training`, as `lt_core.evaluation.evaluating`.

        Raises:
            Diverged: when a loss or a weight is not finite.
            Missing: when the weights that it starts from are not stored.
        """
        start = self._start(training)

        def train(
            recipe: Recipe, checkpoints: Checkpoints | None
        ) -> Generator[Progress | None, None, Evaluation]:
            return evaluating(
                self.model,
                self.data,
                mask,
                recipe,
                seed=training.seed,
                start=start,
                pruning=self.prune if training.round > 0 else Pruning(),
                checkpoints=checkpoints,
                device=self.device,
                watched=watched,
            )

        if training.kind == "interpolated":
            seed = training.seed
            return worst_between(train, training.eval, self.data, checkpoints, seed=seed)
        return train(training.eval, checkpoints)

    @cached_property
    def everything(self) -> Mask:
        """The mask of the network before any pruning."""
        network = rewind.to_initialization(self.model, self.data, seed=0)
        return dense(network, self.prune.skip)

    @cached_property
    def costing(self) -> Costing:
        """What networks cost under masks. Raises whatever the network does."""
        network = rewind.to_initialization(self.model, self.data, seed=0)
        shape = self.data.image_shape
        is_structured = self.prune.strategy == "filter_l1"
        return Costing(network, shape, channel_groups(network, shape) if is_structured else None)

    @cached_property
    def counts_costs(self) -> bool:
        """Whether what networks cost can be counted; that it cannot is said, once."""
        try:
            _ = self.costing
        except Exception as error:  # a network of the user's does anything
            self.store.notes.append(uncountable(error))
            return False
        return True

    def cost(self, mask: Mask) -> Cost | None:
        """What the network costs under a mask; None where that cannot be counted, which is no
        reason to lose a training."""
        return self.costing.cost(mask) if self.counts_costs else None

    def mask(self, training: Training) -> Mask:
        """The mask that a training is under.

        Raises:
            Missing: when its ticket is not stored, or is none of this network and round.
            ValueError: when the user's own search finds no such mask.
        """
        fractions = self.prune.fractions(training.round)
        # Not the round: what was pruned once at 50% is the same whatever else a sweep prunes at.
        num_prunings = len(fractions)
        if training.ticket is not None:
            mask = unpack(self.ticket(training.ticket))
            if problem := self._misfit(mask, training.round):
                self.store.set_aside("tickets", training.ticket, problem)
                raise Missing(
                    f"the ticket {training.ticket} was damaged; the same command finds it again"
                )
            generator = seeds.generator(training.seed, training.kind, num_prunings)
            if training.kind == "preserve_lpr":
                return prune.preserve_lpr(mask, generator)
            if training.kind == "preserve_lpr_live":
                return preserve_lpr_live(mask, self.costing.paths, generator)
            return mask
        everything = self.everything
        if training.round == 0:
            return everything
        if training.given is not None:
            return self._given(training, training.given)
        if training.kind in AT_INITIALIZATION:
            return self._found_at_initialization(training, self._num_alive(training.round))
        generator = seeds.generator(training.seed, training.kind, num_prunings)
        if training.kind == "erk":
            return erk_random(everything, self._num_alive(training.round), generator)
        if self.prune.strategy == "filter_l1":
            network = rewind.to_initialization(self.model, self.data, seed=training.seed)
            groups = channel_groups(network, self.data.image_shape)
            [fraction] = fractions  # whole filters are pruned once
            shares = self.prune.layer_fractions
            as_many = filter_l1(network, groups, fraction, self.prune.skip, shares)
            return random_filters(groups, as_many, generator)
        if self.prune.pattern is not None:
            scores = {n: torch.rand(w.shape, generator=generator) for n, w in everything.items()}
            return patterns.keep_highest(scores, everything, self.prune.pattern)
        return prune.global_random(everything, self._num_alive(training.round), generator)

    def _found_at_initialization(self, training: Training, num_left: int) -> Mask:
        network = rewind.to_initialization(self.model, self.data, seed=training.seed)
        drawn = draw_images(self.data, training.seed)
        with seeds.seeded(torch.device("cpu"), training.seed, training.kind):  # of its dropout
            return at_initialization.found(
                training.kind, network, self.everything, num_left, *drawn
            )

    def _given(self, training: Training, id: str) -> Mask:
        """A given mask: kept, or found by the user's own search and kept for other trainings."""
        try:
            mask = unpack(self.ticket(id))
        except Missing:
            if is_file(training.kind):
                name = source(training.kind, training.seed)
                text = f"the mask of {name} is not stored; the same command stores it again"
                raise Missing(text) from None
            of = ToFind(
                rewind.to_initialization(self.model, self.data, seed=training.seed),
                {name: layer.clone() for name, layer in self.everything.items()},
                self._num_alive(training.round),
                Batches(self.data, self.data.train, "cpu"),
                training.seed,
                self.device,
            )
            mask = find_given(training.kind, of)
            self.store.put_ticket(id, pack(mask).to_bytes())
        return fitted(training.kind, mask, self.everything)

    def _num_alive(self, round: int) -> int:
        return num_alive_in(self.prune, round, self.everything)

    def _misfit(self, mask: Mask, round: int) -> str:
        """Why a mask cannot be the ticket of a round; empty if it can."""
        shapes, own = (
            {name: layer.shape for name, layer in m.items()} for m in (mask, self.everything)
        )
        if shapes != own:
            return f"it is of a network of other layers than {self.model}"
        if self.prune.strategy == "filter_l1":  # the number depends on which filters go
            return ""
        alive, expected = num_alive(mask), self._num_alive(round)
        if alive != expected:
            return f"it has {alive:,} weights alive, not {expected:,}"
        pattern = self.prune.pattern
        if pattern is not None and (broken := patterns.broken(mask, pattern)):
            return f"layers {', '.join(broken)} have not the pattern {pattern}"
        return ""

    def weights(self, training: Training) -> State:
        """The weights that a training starts from: kept ones, or of a dense training's step."""
        id = training.weights
        assert id is not None  # it starts from weights
        kept = self.store.weights(id)
        if kept is not None:
            return tensors(kept)
        if training.rewound_at is None:
            raise Missing(f"there are no weights {id}; the same command trains them again")
        weights = rewind.to_step(
            self.model,
            self.data,
            training.rewound_at,
            training.rewind.to,
            seed=training.seed,
            device=self.device,
        )
        self.store.put_weights(id, arrays(weights))
        return weights

    def _start(self, training: Training) -> Start:
        if training.kind in NEW_WEIGHTS:
            return rewind.to_another_initialization(
                self.model, self.data, seed=training.seed, keeps_signs=training.kind == "signs"
            )
        if training.weights is None:
            return Start()
        return rewind.after_pruning(training.rewind, self.weights(training))


def num_alive_in(pruning: Prune, round: int, everything: Mask) -> int:
    """Number of weights that the prunings up to a round leave, but for `filter_l1`.

    Args:
        pruning: of the sweep.
        round: of a chain, or the number of a one-shot ticket.
        everything: the mask of the network before any pruning.
    """
    if pruning.pattern is not None and round > 0:
        keep, of = kept_of(pruning.pattern)
        return num_weights(everything) * keep // of  # each layer is whole groups
    by_layer = pruning.layer_fractions if pruning.is_layerwise else None
    return prune.num_alive_after(pruning.fractions(round), everything, by_layer)


def uncountable(error: Exception) -> str:
    """A sentence on costs that are not known, for the user."""
    why = " ".join(f"{type(error).__name__}: {error}".split())
    return f"what the networks cost cannot be counted: {why}"


def stored_ticket(store: Store, id: str) -> PackedMask:
    """A ticket from its file.

    Raises:
        Missing: where there is none.
    """
    content = store.ticket(id)
    if content is None:
        raise Missing(f"there is no ticket {id}")
    return PackedMask.from_bytes(content)


def arrays(state: State) -> dict[str, np.ndarray]:
    """Weights as the store takes them."""
    return {name: tensor.numpy() for name, tensor in state.items()}


def tensors(arrays: Mapping[str, np.ndarray]) -> State:
    """Undo `arrays`."""
    return {name: torch.from_numpy(array) for name, array in arrays.items()}
