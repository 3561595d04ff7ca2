"""The optimizer of a training: SGD or AdamW under a mask, with clipped gradients."""

import inspect
from typing import TypeVar

import torch
from torch import Tensor, nn

from lt_core.config import Recipe
from lt_core.mask import Mask, parameter_name

T = TypeVar("T", bound=torch.optim.Optimizer)

_DECORATED = ("add_param_group", "zero_grad")
"""Methods that load torch's compiler at their first call, as `step` does: 1.5 s of every worker."""


def masked_optimizer(model: nn.Module, mask: Mask, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimizer for `model` under `mask`: pruned weights are exactly 0 from now on.

    A weight that is 0 and gets no gradient has no moments and nothing to decay, so masking the
    weights once and the gradients before every step is enough. What is clipped is the norm of the
    masked gradients.

    Args:
        model: changed in place.
        mask: of layers' weights, by the layer's name; of other parameters by their own.
        recipe: for its optimizer, learning rate, momentum, weight decay and `clip_norm`.
    """
    # A weight that is shared is there under each of its names.
    parameters = dict(model.named_parameters(remove_duplicate=False))
    masked: list[Tensor] = [parameters[parameter_name(name, parameters)] for name in mask]
    alive = [_like(weight, layer) for weight, layer in zip(masked, mask.values(), strict=True)]
    with torch.no_grad():
        torch._foreach_mul_(masked, alive)
    optimizer = _optimizer(model, recipe)

    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]

    def mask_gradients(optimizer: torch.optim.Optimizer, *_: object) -> None:  # kept nowhere here
        pairs = [(w.grad, a) for w, a in zip(masked, alive, strict=True) if w.grad is not None]
        if any(w.grad is None for w in trained):  # as where stochastic depth leaves out layers
            _begin_momentum(optimizer)
        if pairs:
            torch._foreach_mul_([gradient for gradient, _ in pairs], [a for _, a in pairs])
        if recipe.clip_norm is not None:
            nn.utils.clip_grad_norm_(trained, recipe.clip_norm)

    optimizer.register_step_pre_hook(mask_gradients)
    return optimizer


def _not_compiled(of: type[T]) -> type[T]:
    """The optimizer without what its methods do for programs that are compiled, as none is here."""
    plain = {name: inspect.unwrap(getattr(of, name)) for name in _DECORATED}
    step = torch.no_grad()(inspect.unwrap(of.step))
    return type(of.__name__, (of,), plain | {"step": step})


SGD, AdamW = _not_compiled(torch.optim.SGD), _not_compiled(torch.optim.AdamW)


def _optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    if recipe.optimizer == "adamw":
        return AdamW(
            model.parameters(),
            lr=recipe.lr,
            betas=(0.9, 0.999),
            eps=1e-8,
            weight_decay=recipe.weight_decay,
            fused=True,
        )
    return SGD(
        model.parameters(),
        lr=recipe.lr,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=recipe.optimizer == "nesterov",
        fused=True,
    )


def _begin_momentum(optimizer: torch.optim.Optimizer) -> None:
    """Set momentum that has not begun to 0: the fused SGD takes all of it or none (torch 2.14)."""
    if optimizer.defaults.get("momentum"):  # AdamW begins that of each weight by itself
        for parameter in optimizer.param_groups[0]["params"]:
            if optimizer.state[parameter].get("momentum_buffer") is None:
                optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)


def _like(weight: Tensor, alive: Tensor) -> Tensor:
    """A mask as numbers, where and as `weight` lies in memory."""
    return torch.empty_like(weight, requires_grad=False).copy_(alive)
