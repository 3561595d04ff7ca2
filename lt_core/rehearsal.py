"""A short training as a rehearsal: what would fail in every trial fails here, before they start."""

import json
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from lt_core import prune, rewind, seeds
from lt_core.chain import prune_trained
from lt_core.checkpoint import Checkpoint
from lt_core.config import ModelName, Precision, Pruning, Recipe
from lt_core.data import DataSet, Split
from lt_core.data.batches import Batches
from lt_core.evaluation import evaluate
from lt_core.import_path import told
from lt_core.mask import Mask, dense, num_weights
from lt_core.memory_format import to_device
from lt_core.rewind import State
from lt_core.training_loop import loss, masked_sgd

NUM_IMAGES = 16


def rehearse(
    model: ModelName, data: DataSet, recipes: Sequence[Recipe], pruning: Pruning
) -> list[str]:
    """Why a network cannot be trained and pruned, one sentence for each problem; empty if it can.

    Two steps are taken on a few images, as trainings take them: with loss, backward pass and
    optimizer, under a mask, in each precision that is asked for, with a checkpoint between, and
    once more from that.

    Args:
        model: name of the network.
        data: to be trained on.
        recipes: to be trained at; their batch sizes and precisions count.
        pruning: what is to be pruned.

    Raises:
        ValueError: when the network cannot be built, or `pruning` does not fit it.
    """
    network = rewind.to_initialization(model, data, seed=0)
    everything = dense(network, pruning.skip)
    if problems := [*_not_tensors(network), *_not_own(network, everything)]:
        return problems
    sample = _sample(data, min(NUM_IMAGES, *(recipe.batch_size for recipe in recipes)))
    generator = seeds.generator(0, "rehearsal")
    half = prune.global_random(everything, -(-num_weights(everything) // 2), generator)
    mask, of_mask = half, Pruning()
    if pruning.strategy == "filter_l1":
        mask, of_mask = prune_trained(network, data, everything, pruning), pruning
    if problems := _not_under_mask(network, half, sample):
        return problems
    for asked in _precisions(recipes):
        recipe = _recipe(len(sample.train), asked)
        if problems := _not_repeated(model, sample, mask, recipe, of_mask):
            return problems
    return []


def _recipe(number: int, of_precision: Precision) -> Recipe:
    """Two steps, each an epoch, that do not diverge."""
    return Recipe(lr=1e-4, batch_size=number, duration="2ep", precision=of_precision)


def _precisions(recipes: Sequence[Recipe]) -> list[Precision]:
    asked = {recipe.precision for recipe in recipes}
    if "auto" in asked:  # what it is where the trials run is not known here
        asked = {"fp32", "bf16"}
    return sorted(asked, reverse=True)


def _sample(data: DataSet, number: int) -> DataSet:
    """A few images of each split, spread over it, normalized as all of them."""

    def some(split: Split, most: int) -> Split:
        at = np.linspace(0, len(split) - 1, min(most, len(split))).astype(np.int64)
        return Split(split.images[at], split.labels[at])

    # Other numbers to evaluate: a network that is made for one size of batch fails.
    splits = some(data.train, number), some(data.validation, 3), some(data.test, 5)
    sample = DataSet(data.name, *splits, data.classes, data.augment)
    vars(sample)["mean_and_std"] = data.mean_and_std  # where cached_property keeps it
    return sample


def _skipped(layer: str) -> str:
    return f"`prune.skip: {json.dumps([layer])}` leaves it out of the pruning"


def _not_tensors(network: nn.Module) -> Iterator[str]:
    for name, value in network.state_dict().items():
        if not isinstance(value, Tensor):
            yield (
                f"state_dict()[{name!r}] is of type {type(value).__name__}: only tensors are kept "
                "in checkpoints and tickets; make it a buffer, or leave it out of the state"
            )


def _not_own(network: nn.Module, everything: Mask) -> Iterator[str]:
    """Layers of which no parameter is the weight."""
    for name in everything:
        layer = network.get_submodule(name)
        if "weight" not in dict(layer.named_parameters(recurse=False)):
            others = ", ".join(key for key, _ in layer.named_parameters())
            yield (
                f"the weight of layer {name} is worked out from other parameters ({others}), as "
                f"with weight_norm, and only a parameter can be pruned; {_skipped(name)}"
            )
        elif not layer.weight.requires_grad:
            yield f"the weight of layer {name} is frozen (requires_grad=False); {_skipped(name)}"


def _not_under_mask(network: nn.Module, mask: Mask, sample: DataSet) -> list[str]:
    """What one step fails with, or the layers that it shows not to be pruned by a mask."""
    network = to_device(network, "cpu", sample.image_shape).train()
    recipe = _recipe(len(sample.train), "fp32")
    masked_sgd(network, mask, recipe)
    images, labels = Batches(sample, sample.train, "cpu")[:]
    try:
        with (
            seeds.seeded(torch.device("cpu"), 0, "rehearsal"),
            _WeightsInUse(network, mask) as used,
        ):
            loss(network, images, labels, recipe.precision).backward()
    except (Exception, SystemExit) as error:
        return [f"a training step fails: {told(error)}"]
    problems = [
        f"layer {name} computes with another weight than its own, which is not 0 where that is "
        f"pruned, as a standardized convolution does; {_skipped(name)}"
        for name in mask
        if name in used.not_zero
    ]
    for name in mask:
        if network.get_submodule(name).weight.grad is None:
            problems.append(
                f"layer {name} takes no part in a training: its weight gets no gradient; "
                f"{_skipped(name)}"
            )
    return problems


class _WeightsInUse(TorchFunctionMode):
    """Looks at the weights that layers compute with."""

    def __init__(self, network: nn.Module, mask: Mask) -> None:
        super().__init__()
        self.mask = mask
        self.within: list[str] = []
        """The layers that are being called, outermost first."""

        self.not_zero: set[str] = set()
        """Layers with a weight that is not 0 where the mask prunes it."""

        for name in mask:
            layer = network.get_submodule(name)
            layer.register_forward_pre_hook(partial(self._enter, name))
            layer.register_forward_hook(self._leave)

    def _enter(self, name: str, *_: object) -> None:
        self.within.append(name)

    def _leave(self, *_: object) -> None:
        self.within.pop()

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if self.within and func in (F.conv2d, F.linear):
            weight = args[1] if len(args) > 1 else kwargs["weight"]
            alive = self.mask[self.within[-1]]
            if weight.shape == alive.shape and bool(weight.detach()[~alive].any()):
                self.not_zero.add(self.within[-1])
        return func(*args, **kwargs)


class _InMemory:
    """The state after the first epoch, kept as a file has it."""

    def __init__(self) -> None:
        self.content: bytes | None = None

    def is_due(self) -> bool:
        return True

    def save(self, checkpoint: Checkpoint) -> None:
        self.content = checkpoint.to_bytes()

    def load(self) -> Checkpoint | None:
        return None if self.content is None else Checkpoint.from_bytes(self.content)


def _not_repeated(
    model: ModelName, sample: DataSet, mask: Mask, recipe: Recipe, pruning: Pruning
) -> list[str]:
    """What a training fails with, or why it is another one when it goes on from a checkpoint."""

    def trained(checkpoints: _InMemory | None) -> State:
        done = evaluate(
            model, sample, mask, recipe, seed=0, pruning=pruning, checkpoints=checkpoints
        )
        return rewind.state(done.model)

    kept = _InMemory()
    try:
        whole, resumed = trained(kept), trained(kept)
        if (name := _first_other(whole, resumed)) is None:
            return []
        again = trained(None)
    except (Exception, SystemExit) as error:
        return [f"a training in {recipe.precision} fails: {told(error)}"]
    if _first_other(whole, again) is not None:
        return [
            f"two trainings of one seed give another {name}: it keeps something from one to the "
            "next, or draws from a generator that seeds itself; torch's, NumPy's and Python's "
            "global ones are seeded here"
        ]
    return [
        f"a training that goes on from a checkpoint gives another {name} than one that was not "
        "interrupted: it keeps state outside of parameters and buffers; register_buffer keeps it"
    ]


def _first_other(a: State, b: State) -> str | None:
    return next((name for name, tensor in a.items() if not torch.equal(tensor, b[name])), None)
