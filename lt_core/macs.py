"""Multiply-adds of a network, and to which weight each belongs."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry
from torch.utils.module_tracker import ModuleTracker

from lt_core import inputs
from lt_core.data.shapes import InputShape
from lt_core.mask import prunable_weights


def macs_by_weight(network: nn.Module, image_shape: InputShape) -> dict[str | None, int]:
    """Multiply-adds for one image of each prunable weight's layer, and of all others under None.

    Counted as torch's `FlopCounterMode` counts, from the operations that the network really does:
    convolutions and matrix products, the padding of images included. A layer that is called twice
    counts twice.

    Args:
        network: is copied, since a forward pass may leave something in it.
        image_shape: of one image, or other input.

    Raises:
        Exception: whatever the network raises.
    """
    network = copy.deepcopy(network).eval()
    counter = _Counter(network)
    device = next(network.parameters()).device
    # Two images: a norm over the batch takes no single one. With gradients: without them, torch
    # fuses the layers of a transformer into one operation that it has no formula for.
    with torch.enable_grad(), counter.modules, counter:
        network(inputs.ones(image_shape, 2, device=device))
    return {name: macs // 2 for name, macs in counter.macs.items()}


class _Counter(TorchDispatchMode):
    """Counts the multiply-adds of every operation under it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch gives it no types
        weights = prunable_weights(network)
        self.macs: dict[str | None, int] = {name: 0 for name in weights} | {None: 0}
        self.modules = ModuleTracker()
        # An operation is given views of a weight, which share its storage.
        self.name_of = {_storage(weight): name for name, weight in weights.items()}
        self.layers = {f"{type(network).__name__}.{name}": name for name in weights}

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = dict(kwargs or {})
        out = func(*args, **kwargs)
        count: Callable[..., int] | None = flop_registry.get(func._overloadpacket)
        if count is not None:
            self.macs[self._layer(args)] += count(*args, **kwargs, out_val=out) // 2
        return out

    def _layer(self, args: tuple[Any, ...]) -> str | None:
        tensors = (arg for arg in args if isinstance(arg, Tensor))
        of_weights = (self.name_of.get(_storage(tensor)) for tensor in tensors)
        if (name := next(filter(None, of_weights), None)) is not None:
            return name
        # A layer that computes with something made of its weight, such as a standardized one.
        return next((self.layers[m] for m in self.modules.parents if m in self.layers), None)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """False: torch would load its compiler to tell it what it need not compile."""
        return False


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
