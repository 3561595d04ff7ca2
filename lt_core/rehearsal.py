"""A short training as a rehearsal: what would fail in every trial fails here, before they start."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from lt_core import prune, rewind, seeds
from lt_core.chain import prune_trained
from lt_core.checkpoint import Checkpoint
from lt_core.config import Pruning, Recipe
from lt_core.data import DataSet, Split
from lt_core.data.batches import Batches
from lt_core.evaluation import evaluate
from lt_core.import_path import told
from lt_core.mask import Mask, dense, num_weights, parameter_name, prunable_weights
from lt_core.memory_format import to_device
from lt_core.optimizer import masked_optimizer
from lt_core.own_network import equal
from lt_core.pretrained import Network
from lt_core.rewind import State
from lt_core.step import loss

NUM_IMAGES = 16

NUM_DRAWS = 8


def rehearse(
    model: Network, data: DataSet, recipes: Sequence[Recipe], pruning: Pruning
) -> list[str]:
    """Why a network cannot be trained and pruned, one sentence for each problem; empty if it can.

    Two steps are taken on a few images, as trainings take them: with loss, backward pass and
    optimizer, under a mask, in each way that is asked for, with a checkpoint between, and once more
    from that.

    Args:
        model: name of the network.
        data: to be trained on.
        recipes: to be trained at; all counts but rates and durations.
        pruning: what is to be pruned.

    Raises:
        ValueError: when the network cannot be built, or `pruning` does not fit it.
    """
    network = rewind.to_initialization(model, data, seed=0)
    everything = dense(network, pruning.skip)
    if problems := [*_not_tensors(network), *_not_own(network, everything)]:
        return problems
    smallest = min(recipe.batch_size for recipe in recipes)
    # Few images take less time, but some networks take only batches of their own size.
    for number in dict.fromkeys((min(smallest, NUM_IMAGES), min(smallest, len(data.train)))):
        problems = _problems(model, _sample(data, number), recipes, pruning)
        if not problems:
            break
    return problems


def _problems(
    model: Network, sample: DataSet, recipes: Sequence[Recipe], pruning: Pruning
) -> list[str]:
    """What is wrong with training on a few images."""
    network = rewind.to_initialization(model, sample, seed=0)
    everything = dense(network, pruning.skip)
    generator = seeds.generator(0, "rehearsal")
    half = prune.global_random(everything, -(-num_weights(everything) // 2), generator)
    mask, of_mask = half, Pruning()
    if pruning.strategy == "filter_l1":
        mask, of_mask = prune_trained(network, sample, everything, pruning), pruning
    if problems := _not_under_mask(network, half, sample):
        return problems
    for recipe in _ways(recipes, len(sample.train)):
        if problems := _not_repeated(model, sample, mask, recipe, of_mask):
            return problems
    return []


def _recipe(number: int) -> Recipe:
    """Two steps, each an epoch, that do not diverge."""
    return Recipe(lr=1e-4, batch_size=number, duration="2ep")


def _ways(recipes: Sequence[Recipe], number: int) -> list[Recipe]:
    """Two steps in each way that one of `recipes` is trained."""
    names = ("optimizer", "clip_norm", "label_smoothing", "ema")
    asked = {recipe.precision for recipe in recipes}
    if "auto" in asked:  # what it is where the trials run is not known here
        asked = {"fp32", "bf16"}
    ways = [{name: getattr(recipe, name) for name in names} for recipe in recipes]
    return list(
        dict.fromkeys(
            _recipe(number).model_copy(update=way | {"precision": precision})
            for precision in sorted(asked, reverse=True)
            for way in ways
        )
    )


def _sample(data: DataSet, number: int) -> DataSet:
    """A few images of each split, spread over it, normalized as all of them."""

    def some(split: Split, most: int) -> Split:
        at = np.linspace(0, len(split) - 1, min(most, len(split))).astype(np.int64)
        return Split(split.images[at], split.labels[at])

    # Other numbers to evaluate: a network that is made for one size of batch fails.
    splits = some(data.train, number), some(data.validation, 3), some(data.test, 5)
    sample = DataSet(data.name, *splits, data.classes, data.augment, vocabulary=data.vocabulary)
    if data.is_normalized:
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
        elif value.layout != torch.strided or value.is_complex():
            yield f"{name} is sparse or complex: checkpoints keep dense, real tensors only"


def _not_own(network: nn.Module, everything: Mask) -> Iterator[str]:
    """Layers of which no parameter is the weight."""
    layers = dict(network.named_modules())
    parameters = dict(network.named_parameters(remove_duplicate=False))
    for name in everything:
        own = parameter_name(name, parameters)
        if own not in parameters:
            layer = layers[name] if name in layers else layers[name.rpartition(".")[0]]
            others = ", ".join(key for key, _ in layer.named_parameters())
            yield (
                f"the weight of layer {name} is worked out from other parameters ({others}), as "
                f"with weight_norm, and only a parameter can be pruned; {_skipped(name)}"
            )
        elif not parameters[own].requires_grad:
            yield f"the weight of layer {name} is frozen (requires_grad=False); {_skipped(name)}"


def _not_under_mask(network: nn.Module, mask: Mask, sample: DataSet) -> list[str]:
    """What one step fails with, or the layers that it shows not to be pruned by a mask."""
    network = to_device(network, "cpu", sample.image_shape).train()
    images, labels = Batches(sample, sample.train, "cpu")[:]
    if images.is_floating_point():
        images.requires_grad_()  # so that an activation is known by what it was worked out from
    try:
        used = _WeightsInUse(network, mask, images)
        recipe = _recipe(len(sample.train))
        masked_optimizer(network, mask, recipe)
        for draw in range(NUM_DRAWS):  # of a network that leaves out layers at random
            with seeds.seeded(torch.device("cpu"), 0, "rehearsal", draw), used:
                loss(network, images.clone(), labels, recipe).backward()
            lacking = {name for name in mask if used.weights[name].grad is None}
            if not lacking:
                break
    except (Exception, SystemExit) as error:
        return [f"a training step fails: {told(error)}"]
    return [
        *(
            f"layer {name} computes with another weight than its own, which is not 0 where that "
            f"is pruned, as a standardized convolution does; {_skipped(name)}"
            for name in mask
            if name in used.not_zero
        ),
        *(
            f"layer {name} takes no part in a training: its weight gets no gradient; "
            f"{_skipped(name)}"
            for name in mask
            if name in lacking
        ),
    ]


class _WeightsInUse(TorchFunctionMode):
    """Looks at what a network computes with that comes from masked weights."""

    def __init__(self, network: nn.Module, mask: Mask, images: Tensor) -> None:
        """Prepare; `images` are what the network is given, as a leaf."""
        super().__init__()
        self.mask = mask
        # Tokens are no leaf: 0 stands for them, added to all that is worked out from whole numbers.
        self.has_tokens = not images.is_floating_point()
        self.images = torch.zeros((), requires_grad=True) if self.has_tokens else images
        weights = prunable_weights(network)
        self.weights = {name: weights[name] for name in mask}
        self.sizes = {layer.numel() for layer in mask.values()}
        self.not_zero: set[str] = set()
        """Layers with a weight in use that is not 0 where the mask prunes it."""

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _PRODUCTS:
            for used in (*args, *kwargs.values()):
                if isinstance(used, Tensor) and used.numel() in self.sizes:
                    self._look(used)
        out = func(*args, **kwargs)
        if self.has_tokens and isinstance(out, Tensor) and out.is_floating_point():
            given = (of for of in (*args, *kwargs.values()) if isinstance(of, Tensor))
            if any(of.dtype in (torch.int64, torch.int32) for of in given):
                return out + self.images
        return out

    def _look(self, used: Tensor) -> None:
        leaves = _leaves(used)
        if any(leaf is self.images for leaf in leaves):
            return  # an activation
        for name, weight in self.weights.items():
            if any(leaf is weight for leaf in leaves):
                alive = self.mask[name]
                if used.ndim == 2 and (used.shape != alive.shape or _is_turned(used, weight)):
                    alive = alive.T
                if used.shape == alive.shape and bool(used.detach()[~alive].any()):
                    self.not_zero.add(name)


_PRODUCTS = {
    *(F.linear, F.conv1d, F.conv2d, F.conv3d, F.multi_head_attention_forward),
    *(F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d),
    *(torch.matmul, Tensor.matmul, Tensor.__matmul__, Tensor.__rmatmul__),
    *(torch.mm, Tensor.mm, torch.addmm, Tensor.addmm, torch.einsum, torch.bmm, Tensor.bmm),
}


def _is_turned(used: Tensor, weight: Tensor) -> bool:
    """Whether a square matrix is a weight with rows and columns exchanged."""
    return torch.equal(used.detach(), weight.detach().T) and not torch.equal(
        weight.detach(), weight.detach().T
    )


def _leaves(tensor: Tensor) -> list[Tensor]:
    """The parameters that a tensor was worked out from, in few steps: not an activation's."""
    if tensor.grad_fn is None:
        return [tensor]
    leaves, nodes = [], [tensor.grad_fn]
    for node in nodes:
        if hasattr(node, "variable"):
            leaves.append(node.variable)
        nodes += [before for before, _ in node.next_functions if before is not None]
        if len(nodes) > _MOST_STEPS:
            return []
    return leaves


_MOST_STEPS = 50


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
    model: Network, sample: DataSet, mask: Mask, recipe: Recipe, pruning: Pruning
) -> list[str]:
    """What a training fails with, or why it is another one when it goes on from a checkpoint."""

    def trained(checkpoints: _InMemory | None) -> nn.Module:
        return evaluate(
            model, sample, mask, recipe, seed=0, pruning=pruning, checkpoints=checkpoints
        ).model

    kept = _InMemory()
    try:
        network, resumed, again = trained(kept), trained(kept), trained(None)
        whole = rewind.state(network)
        if (name := _first_other(whole, rewind.state(again))) is not None:
            return [
                f"two trainings of one seed give another {name}: it keeps something from one to "
                "the next, or draws from a generator that seeds itself; torch's, NumPy's and "
                "Python's global ones are seeded here"
            ]
        if (name := _first_other(whole, rewind.state(resumed))) is not None:
            return [
                f"a training that goes on from a checkpoint gives another {name} than one that "
                f"was not interrupted: {_KEEPS_STATE}"
            ]
        if pruning.strategy != "filter_l1" and (layers := _regrown(whole, mask)):
            return [
                f"after two steps, pruned weights of {', '.join(layers)} are not 0: a hook changes "
                "them, or another parameter has them in the same memory; "
                f"{_skipped(layers[0])}"
            ]
        return _not_evaluated_alike(network, model, sample, whole, pruning)
    except (Exception, SystemExit) as error:
        return [f"a training in {recipe.precision} fails: {told(error)}"]


_KEEPS_STATE = (
    "it keeps state outside of parameters and persistent buffers; register_buffer(name, tensor) "
    "keeps it"
)


def _regrown(state: State, mask: Mask) -> list[str]:
    weights = ((name, state.get(parameter_name(name, state)), mask[name]) for name in mask)
    return [name for name, weight, layer in weights if weight is not None and weight[~layer].any()]


def _not_evaluated_alike(
    network: nn.Module, model: Network, sample: DataSet, whole: State, pruning: Pruning
) -> list[str]:
    """Why the accuracy of a trained network is not that of its weights."""
    images, _ = Batches(sample, sample.test, "cpu")[:]

    def logits(of: nn.Module, draw: int) -> Tensor:
        with torch.no_grad(), seeds.seeded(torch.device("cpu"), draw, "evaluation"):
            computed: Tensor = of.eval()(images)
        return computed

    first = logits(network, 0)
    if (name := _first_other(whole, rewind.state(network))) is not None:
        return [f"evaluation changes {name}, so that what is validated is trained on too"]
    if not equal(first, logits(network, 1)):
        return [
            "it draws random numbers in evaluation, so that its accuracy is another each time; "
            "F.dropout wants training=self.training"
        ]
    if pruning.strategy == "filter_l1":  # whose state is of the smaller network
        return []
    loaded = rewind.to_initialization(model, sample, seed=1)
    loaded.load_state_dict(whole)
    other = logits(to_device(loaded, "cpu", sample.image_shape), 0)
    if not equal(first, other):
        return [
            f"with its weights loaded into a new network it evaluates otherwise: {_KEEPS_STATE}"
        ]
    return []


def _first_other(a: State, b: State) -> str | None:
    return next((name for name, tensor in a.items() if not equal(tensor, b[name])), None)
