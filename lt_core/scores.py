"""Scores of trained weights: a pruning removes those of the lowest score."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lt_core import import_path, seeds
from lt_core.data import DataSet
from lt_core.data.batches import Batches
from lt_core.mask import Mask, num_alive, prunable_weights

NUM_IMAGES = 512
"""To score by, drawn once for each seed; all where there are fewer."""


@dataclass(frozen=True)
class ToScore:
    """What a score may depend on. All of it is on the CPU, and may be changed."""

    network: nn.Module
    """As trained, in evaluation mode; what is pruned is 0."""

    mask: Mask
    """Before the pruning."""

    started: Mapping[str, Tensor]
    """The weights that the training started from, by the names of `mask`."""

    images: Tensor
    """Training images, normalized; float32 [B, C, H, W]. Inputs of another kind as they are."""

    labels: Tensor
    """int64 [B]."""

    generator: torch.Generator
    """For random draws: the seed's, another for each pruning."""

    @property
    def weights(self) -> dict[str, Tensor]:
        """As trained, by the names of `mask`."""
        trained = prunable_weights(self.network)
        return {name: trained[name] for name in self.mask}


def to_score(
    network: nn.Module, data: DataSet, mask: Mask, started: Mapping[str, Tensor], seed: int
) -> ToScore:
    """What the weights of a trained network are scored by.

    Args:
        network: is not changed.
        data: to draw training images of.
        mask: before the pruning.
        started: weights that the training started from, by layer.
        seed: of the draws.
    """
    images, labels = draw_images(data, seed)
    generator = seeds.generator(seed, "score", num_alive(mask))
    own = copy.deepcopy(network).cpu().eval()
    own_mask, own_start = (
        {name: tensor.clone() for name, tensor in each.items()} for each in (mask, started)
    )
    return ToScore(own, own_mask, own_start, images, labels, generator)


def draw_images(data: DataSet, seed: int) -> tuple[Tensor, Tensor]:
    """A few training images, normalized, and their labels; the same for each seed."""
    drawn = torch.randperm(len(data.train), generator=seeds.generator(seed, "scored images"))
    return Batches(data, data.train, "cpu")[drawn[:NUM_IMAGES]]


def random(of: ToScore) -> dict[str, Tensor]:
    """Uniform random numbers: what is left of iterative pruning without a criterion."""
    return {
        name: torch.rand(layer.shape, generator=of.generator) for name, layer in of.mask.items()
    }


def magnitude(of: ToScore) -> dict[str, Tensor]:
    """|w trained|: what `prune.global_magnitude` prunes by."""
    return {name: weight.detach().abs() for name, weight in of.weights.items()}


def magnitude_increase(of: ToScore) -> dict[str, Tensor]:
    """|w trained| - |w at the start|: Zhou et al. 2019 (arXiv:1905.01067), section 2."""
    return {name: w.detach().abs() - of.started[name].abs() for name, w in of.weights.items()}


def taylor(of: ToScore) -> dict[str, Tensor]:
    """|gradient x weight|, what leaving out a weight changes of the loss, to first order:
    Molchanov et al. 2019 (arXiv:1906.10771), equation 8, for a weight by itself and without its
    square, which ranks alike and falls below what a float holds."""
    loss = F.cross_entropy(of.network(of.images), of.labels)
    return {name: s.abs() for name, s in gradient_times_weight(loss, of.weights).items()}


def gradient_times_weight(of: Tensor, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The gradient of a number by each weight, times the weight; 0 where there is none."""
    gradients = torch.autograd.grad(of, list(weights.values()), materialize_grads=True)
    named = zip(weights.items(), gradients, strict=True)
    return {name: gradient * weight.detach() for (name, weight), gradient in named}


SHIPPED = {
    "random": random,
    "magnitude": magnitude,
    "magnitude_increase": magnitude_increase,
    "taylor": taylor,
}


def scored(strategy: str, of: ToScore) -> Mapping[str, Tensor]:
    """The scores of all prunable weights, by layer.

    Args:
        strategy: one of `SHIPPED`, or the import path of a function that takes the `of` and returns
            such a mapping.
        of: what to score.

    Raises:
        ValueError: for what a user's function raises, or returns in place of a finite score for
            each weight.
    """
    if strategy in SHIPPED:
        return SHIPPED[strategy](of)
    function, mask = import_path.find(strategy), dict(of.mask)
    with seeds.seeded(torch.device("cpu"), of.generator.initial_seed(), "own score"):
        found = import_path.mapping(strategy, function, of)
    return {name: _checked(strategy, name, found, layer) for name, layer in mask.items()}


def _checked(strategy: str, name: str, found: Mapping[str, object], layer: Tensor) -> Tensor:
    if name not in found:
        raise ValueError(
            f"{strategy}: returned no scores of layer {name}, only of: {', '.join(found) or 'none'}"
        )
    score = found[name]
    if not isinstance(score, Tensor) or score.shape != layer.shape:
        shape = list(score.shape) if isinstance(score, Tensor) else type(score).__name__
        raise ValueError(
            f"{strategy}: the scores of layer {name} must be a tensor {list(layer.shape)}, as its "
            f"weight is, got {shape}"
        )
    score = score.detach()
    if not bool(score.isfinite().all()):
        raise ValueError(f"{strategy}: some scores of layer {name} are not finite")
    return score
