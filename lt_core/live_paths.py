"""Which weights lie on a path from the input of a network to its output.

Set each weight to 1 where it is alive and to 0 where it is not, biases to 0, leave out what only
scales or bends (norms, activations), and let pooling average. Then everything is positive, nothing
cancels, and the output depends on a weight if and only if a path leads through it: its gradient is
positive. Vysogorets & Kempe 2023 (arXiv:2107.02306), section 2, count paths by the same trick.

It holds for sums, products and concatenations of layers, activations, norms, pooling and attention,
whose weights are gates. A network in which not every two channels of each unpruned layer are on a
path does something else besides, and is not counted.
"""

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from lt_core import inputs
from lt_core.data.shapes import InputShape
from lt_core.mask import Mask, num_alive, prunable_weights

_LEFT_OUT = {
    *("batch_norm", "instance_norm", "layer_norm", "group_norm", "rms_norm", "local_response_norm"),
    *("relu", "relu_", "relu6", "leaky_relu", "leaky_relu_", "prelu", "rrelu", "elu", "elu_"),
    *("selu", "celu", "gelu", "silu", "mish", "softsign", "tanh", "tanh_"),
    *("hardtanh", "hardtanh_", "hardswish", "threshold", "clamp", "clamp_", "clip", "clip_"),
    *("clamp_max", "clamp_max_", "log_softmax", "dropout", "dropout1d", "dropout2d"),
    *("dropout3d", "alpha_dropout", "feature_alpha_dropout"),
}
"""Functions of torch that keep what is positive positive, and are 0 at 0."""

_OPEN_AT_0 = {"sigmoid", "sigmoid_", "hardsigmoid", "softplus", "softmax"}
"""Functions that are positive at 0: as gates, they let through what another layer sends."""

_AVERAGES: Mapping[str, Callable[..., Tensor]] = {
    "max_pool1d": F.avg_pool1d,
    "max_pool2d": F.avg_pool2d,
    "max_pool3d": F.avg_pool3d,
    "adaptive_max_pool1d": F.adaptive_avg_pool1d,
    "adaptive_max_pool2d": F.adaptive_avg_pool2d,
    "adaptive_max_pool3d": F.adaptive_avg_pool3d,
}
"""For a maximum, through which only one path has a gradient, a mean, through which all have."""


class LivePaths:
    """The paths of one network under any mask."""

    def __init__(self, network: nn.Module, image_shape: InputShape) -> None:
        """Prepare.

        Args:
            network: is copied.
            image_shape: of one input.
        """
        self.network = copy.deepcopy(network).cpu().double().eval()
        for name, parameter in self.network.named_parameters():
            parameter.data.fill_(0.0 if name.endswith("bias") else 1.0)
            parameter.requires_grad_(False)
        self.weights = prunable_weights(self.network)
        self.image = inputs.ones(image_shape, 1, torch.float64)
        whole = {
            name: torch.ones_like(weight, dtype=torch.bool) for name, weight in self.weights.items()
        }
        on_paths = self._through(whole)
        self.can_tell = on_paths is not None and all(map(_joins_all, on_paths.values()))
        """Whether paths can be told of this network."""

    def through(self, mask: Mask) -> dict[str, Tensor] | None:
        """Where a weight is, or would be if it were alive, on a path between weights alive.

        Args:
            mask: of layers of the network; the others are whole.

        Returns:
            Layer name -> bool tensor of the weight's shape, for the layers of `mask`. None where
            the network does something that hides paths, such as a subtraction.
        """
        return self._through(mask) if self.can_tell else None

    def _through(self, mask: Mask) -> dict[str, Tensor] | None:
        for name, weight in self.weights.items():
            weight.data.copy_(mask.get(name, torch.ones_like(weight)))
        asked = [self.weights[name].requires_grad_() for name in mask]
        try:
            with torch.enable_grad(), _Positive():
                total = self.network(self.image).sum()
            gradients = torch.autograd.grad(total, asked, allow_unused=True, materialize_grads=True)
        except Exception:  # whatever a network raises that takes no float64, or has no gradient
            return None
        if not all(bool(((of >= 0) & of.isfinite()).all()) for of in gradients):
            return None
        return {name: of > 0 for name, of in zip(mask, gradients, strict=True)}

    def num_live(self, mask: Mask) -> int | None:
        """The number of weights alive on a path; None where it cannot be told."""
        found = self.through(mask)
        if found is None:
            return None
        return num_alive(both(mask, found))


def both(mask: Mask, other: Mask) -> Mask:
    """What is in two masks of the same layers."""
    return {name: layer & other[name] for name, layer in mask.items()}


def _joins_all(on_path: Tensor) -> bool:
    """Whether a path leads between every two channels that an unpruned layer joins; some places of
    a kernel may see nothing but padding."""
    return bool(on_path.flatten(2).any(2).all() if on_path.dim() > 2 else on_path.all())


class _Positive(TorchFunctionMode):
    """Makes of a network one whose output only grows with each of its weights."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if name in _LEFT_OUT:
            x = args[0] if args else kwargs["input"]
            # A deep network would leave the range of float64.
            return x / x.detach().amax().clamp(min=1.0) if name.endswith("norm") else x
        if name in _OPEN_AT_0:
            return (args[0] if args else kwargs["input"]) + 1
        if name == "glu":
            one, gate = args[0].chunk(2, *args[1:], **kwargs)
            return one * (gate + 1)
        if name in ("maximum", "minimum") and all(of.requires_grad for of in args[:2]):
            return args[0] + args[1]
        if name in ("maximum", "minimum"):  # with a constant, as an activation
            return next(of for of in args[:2] if of.requires_grad)
        if name in _AVERAGES:
            if len(args) > 4 or kwargs.pop("dilation", 1) not in (1, (1,), (1, 1), (1, 1, 1)):
                raise RuntimeError("a mean over spread pixels is not in torch")
            kwargs.pop("return_indices", None)
            return _AVERAGES[name](*args, **kwargs)
        if name == "scaled_dot_product_attention":
            return _gated(*args[:3], **{key: kwargs[key] for key in _GATED if key in kwargs})
        if func is F.multi_head_attention_forward:
            return _attention(inspect.signature(func).bind(*args, **kwargs).arguments), None
        return func(*args, **kwargs)


_GATED = ("query", "key", "value")


def _gated(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention with gates open at 0 for its weights: [..., L, E], [..., S, E] and [..., S, V].

    Every place attends to every other, also where the network has a mask.
    """
    return (query @ key.transpose(-2, -1) + 1) @ value


def _attention(given: Mapping[str, Any]) -> Tensor:
    """The output of `F.multi_head_attention_forward`, by its arguments, with such gates."""
    if given.get("use_separate_proj_weight"):
        projections = [given[f"{name}_proj_weight"] for name in "qkv"]
    else:
        projections = given["in_proj_weight"].chunk(3)
    projected = (
        F.linear(given[name], weight) for name, weight in zip(_GATED, projections, strict=True)
    )
    heads = (x.unflatten(-1, (given["num_heads"], -1)).movedim(0, -2) for x in projected)
    return F.linear(_gated(*heads).movedim(-2, 0).flatten(-2), given["out_proj_weight"])
