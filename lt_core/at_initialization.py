"""Masks of networks that were never trained: pruning at initialization."""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from lt_core import inputs, prune
from lt_core.data.shapes import InputShape, Tokens
from lt_core.mask import Mask, num_alive, prunable_weights
from lt_core.scores import gradient_times_weight

GRASP_TEMPERATURE = 200.0
"""That the logits are divided by, as in the authors' program."""

SYNFLOW_STEPS = 100


def snip(network: nn.Module, mask: Mask, num_left: int, images: Tensor, labels: Tensor) -> Mask:
    """Keep the weights of the largest |gradient x weight|.

    Lee et al. 2019 (arXiv:1810.02340), section 4.1, equations 4 to 6, for one batch.

    Args:
        network: as initialized, on the CPU; is not changed.
        mask: weights to choose from; the others are 0 in what follows.
        num_left: number of weights to leave.
        images: of `Batches`.
        labels: int64 [B].
    """
    own, weights = _copy(network, mask)
    saliency = gradient_times_weight(F.cross_entropy(own(images), labels), weights)
    return prune.highest({name: s.abs() for name, s in saliency.items()}, mask, num_left)


def grasp(network: nn.Module, mask: Mask, num_left: int, images: Tensor, labels: Tensor) -> Mask:
    """Keep the weights whose loss would lower the gradient's norm most, to first order.

    Wang et al. 2020 (arXiv:2002.07376), section 4.1, equations 7 and 8: a weight w goes the sooner
    the larger -w x (Hessian x gradient). Arguments as of `snip`.
    """
    own, weights = _copy(network, mask)
    parameters = list(weights.values())
    with sdpa_kernel(SDPBackend.MATH):  # the others of attention cannot be derived twice
        loss = F.cross_entropy(own(images) / GRASP_TEMPERATURE, labels)
    gradients = torch.autograd.grad(loss, parameters, create_graph=True, materialize_grads=True)
    flow = torch.stack([(g * g.detach()).sum() for g in gradients]).sum()
    return prune.highest(gradient_times_weight(flow, weights), mask, num_left)


def synflow(
    network: nn.Module,
    mask: Mask,
    num_left: int,
    image_shape: InputShape,
    steps: int = SYNFLOW_STEPS,
) -> Mask:
    """Keep the weights of the largest synaptic flow, in several prunings of one share.

    Tanaka et al. 2020 (arXiv:2006.05467), algorithm 1: the flow of a weight w is
    w x (gradient of the summed logits), of a network of the magnitudes of all parameters and for an
    image of ones; no data are needed.

    Args:
        network: as initialized, on the CPU; is not changed.
        mask: weights to choose from.
        num_left: number of weights to leave.
        image_shape: of one image, or other input.
        steps: number of prunings.
    """
    own = copy.deepcopy(network).double().eval()  # the flow of a deep network overflows a float
    with torch.no_grad():
        for tensor in own.state_dict().values():
            if tensor.is_floating_point():
                tensor.abs_()
    image = inputs.ones(image_shape, 1, torch.float64)
    most = num_alive(mask)
    for step in range(1, steps + 1):
        weights = _masked(own, mask)
        left = round(most * (num_left / most) ** (step / steps))
        mask = prune.highest(gradient_times_weight(own(image).sum(), weights), mask, left)
    return mask


def found(
    kind: str,
    network: nn.Module,
    mask: Mask,
    num_left: int,
    images: Tensor,
    labels: Tensor,
    synflow_steps: int = SYNFLOW_STEPS,
) -> Mask:
    """The mask that `snip`, `grasp` or `synflow` finds, by its name."""
    if kind == "synflow":
        _, *sizes = images.shape
        one: InputShape = tuple(sizes)
        if not images.is_floating_point():
            one = Tokens(sizes[0], vocabulary=int(images.max()) + 1)
        return synflow(network, mask, num_left, one, synflow_steps)
    return {"snip": snip, "grasp": grasp}[kind](network, mask, num_left, images, labels)


def _copy(network: nn.Module, mask: Mask) -> tuple[nn.Module, dict[str, Tensor]]:
    """A copy in training mode, whose norms take the statistics of the batch, and its weights."""
    own = copy.deepcopy(network).train()
    return own, _masked(own, mask)


def _masked(network: nn.Module, mask: Mask) -> dict[str, Tensor]:
    """The weights of `mask`, those that it prunes set to 0."""
    found = prunable_weights(network)
    weights = {name: found[name] for name in mask}
    with torch.no_grad():
        for name, weight in weights.items():
            weight.mul_(mask[name])
    return weights
