"""Groups of channels that live or die together."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NoReturn

import torch
from torch import Tensor, fx, nn

from lt_core import inputs as made
from lt_core.data.shapes import InputShape

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
_DIMENSIONS = {nn.Conv2d: 4, nn.Linear: 2}

# All of these leave the channels where they are, and give something finite where a channel is 0.
_CHANNELWISE = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish),
    *(nn.Sigmoid, nn.Tanh, nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid, nn.Softplus),
    *(nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d),
    *(nn.Dropout, nn.Dropout2d, nn.Identity),
)
_CHANNELWISE_FUNCTIONS = {
    *(layer.__name__.lower() for layer in _CHANNELWISE),
    *("flatten", "squeeze", "clone", "contiguous"),
}
_JOINING = ("add", "sub", "mul")


@dataclass(frozen=True)
class Group:
    """Channels that live or die together, with the layers they run through in network order."""

    size: int
    """Number of channels."""

    writers: tuple[str, ...]
    """Convolutions and linear layers: one filter, a row of the weight, for each channel."""

    norms: tuple[str, ...]
    """Batch norms over the channels."""

    readers: tuple[str, ...]
    """Convolutions and linear layers: one column of the weight for each channel.

    Behind a flatten, a linear layer and a batch norm have as many columns next to each other for
    each channel as the image has pixels there.
    """


@dataclass(eq=False)
class _Channels:
    """A `Group` in the making; also the image's channels and the logits, which are never pruned."""

    size: int
    prunable: bool = True
    writers: list[str] = field(default_factory=list)
    norms: list[str] = field(default_factory=list)
    readers: list[str] = field(default_factory=list)


def channel_groups(network: nn.Module, image_shape: InputShape) -> tuple[Group, ...]:
    """The groups of channels that can be pruned, in network order.

    A convolution or linear layer makes new channels. Activations, batch norm, pooling and dropout
    keep them, and adding two tensors unites theirs: a residual stream is one group, and so is what
    its blocks and projection shortcuts write. The channels of the image and the logits are in no
    group. The network is traced in training mode and is not changed.

    Args:
        network: traceable by torch.fx, with each layer called once.
        image_shape: of one image, (channels, height, width), or other input.

    Raises:
        ValueError: when the channels of the network cannot be followed, with the place.
    """
    layers = dict(network.named_modules())
    _refuse_shared_weights(layers)
    carried: dict[fx.Node, _Channels] = {}  # channels in dimension 1 of each node's tensor
    called = set()
    for node in _traced(network, image_shape):
        inputs = [n for n in node.all_input_nodes if isinstance(n.meta["value"], Tensor)]
        if node.op == "output":
            if inputs != [node.args[0]]:
                _refuse("it must return one tensor, the logits")
            carried[inputs[0]].prunable = False
        elif not isinstance(node.meta["value"], Tensor):
            if node.op == "call_module":
                _refuse(f"{_named(node, layers[str(node.target)])} is not a layer it knows")
            continue  # a size, or the default of an argument
        elif node.op == "placeholder":
            carried[node] = _Channels(node.meta["value"].shape[1], prunable=False)
        elif node.op == "call_module":
            layer = layers[node.target]
            if node.target in called and type(layer) in (*_DIMENSIONS, *_NORMS):
                _refuse(f"{_named(node, layer)} is called twice")
            called.add(node.target)
            carried[node] = _through_layer(node, layer, carried[inputs[0]])
        elif not inputs:
            what = node.target if node.op == "get_attr" else _call(node)
            _refuse(f"{what} does not come from a layer")
        else:
            for other in inputs[1:]:
                _join(node, inputs[0], other, carried)
            carried[node] = _through_function(node, carried[inputs[0]])

    order = list(layers).index

    def in_order(names: list[str]) -> tuple[str, ...]:
        return tuple(sorted(names, key=order))

    groups = [
        Group(c.size, in_order(c.writers), in_order(c.norms), in_order(c.readers))
        for c in dict.fromkeys(carried.values())
        if c.prunable
    ]
    return tuple(sorted(groups, key=lambda group: order(group.writers[0])))


def _refuse(reason: str) -> NoReturn:
    raise ValueError(f"structured pruning cannot follow the channels of this network: {reason}")


def _named(node: fx.Node, layer: nn.Module) -> str:
    return f"{node.target} ({type(layer).__name__})"


def _refuse_shared_weights(layers: dict[str, nn.Module]) -> None:
    owners: dict[nn.Parameter, str] = {}
    for name, layer in layers.items():
        for parameter in layer.parameters(recurse=False):
            if parameter in owners:
                _refuse(f"{owners[parameter]} and {name} share a parameter")
            owners[parameter] = name


class _KeepValues(fx.Interpreter):
    def run_node(self, node: fx.Node) -> object:
        node.meta["value"] = super().run_node(node)
        return node.meta["value"]


def _traced(network: nn.Module, image_shape: InputShape) -> list[fx.Node]:
    """The operations in the order they run; `meta["value"]` of each is its result without data."""
    try:
        # A copy without data: running it costs nothing and moves no batch norm statistics.
        traced = fx.symbolic_trace(copy.deepcopy(network).to("meta", torch.float32).train())
        _KeepValues(traced).run(made.ones(image_shape, 2, device="meta"))
    except Exception as error:
        first_line = str(error).partition("\n")[0]
        _refuse(f"{type(error).__name__}: {first_line}")
    return list(traced.graph.nodes)


def _through_layer(node: fx.Node, layer: nn.Module, read: _Channels) -> _Channels:
    """The channels of a layer's output; records the layer in `read`, the channels of its input."""
    name = str(node.target)
    # Exact types: a subclass may compute something else.
    if type(layer) is nn.Conv2d or type(layer) is nn.Linear:
        ndim, expected = node.meta["value"].ndim, _DIMENSIONS[type(layer)]
        if ndim != expected:
            _refuse(f"{_named(node, layer)} gives {ndim} dimensions, not {expected}")
        if type(layer) is nn.Conv2d and layer.groups != 1:
            _refuse(f"{_named(node, layer)} has groups={layer.groups}")
        read.readers.append(name)
        return _Channels(layer.weight.shape[0], writers=[name])
    if type(layer) in _NORMS:
        read.norms.append(name)
    elif type(layer) is nn.LogSoftmax:
        read.prunable = False  # it mixes them: these are the logits
    elif type(layer) not in (*_CHANNELWISE, nn.Flatten):
        _refuse(f"{_named(node, layer)} is not a layer it knows")
    _check_kept(node)
    return read


def _through_function(node: fx.Node, channels: _Channels) -> _Channels:
    """The channels of a function's or method's output; those of its inputs are already joined."""
    name = _function(node)
    if name in ("view", "reshape"):
        if channels.prunable:
            _check_sizes(node)
    elif name == "mean":
        dims = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else None)
        dims = [dims] if isinstance(dims, int) else dims
        ndim = node.all_input_nodes[0].meta["value"].ndim
        if not isinstance(dims, list | tuple) or not all(
            isinstance(dim, int) and dim % ndim >= 2 for dim in dims
        ):
            _refuse(f"{_call(node)} is not a mean over the image alone")
    elif name in _JOINING:
        if any(not isinstance(n.meta["value"], Tensor) for n in node.all_input_nodes):
            _refuse(f"{_call(node)} takes a number that may depend on the number of channels")
    elif name == "truediv":
        if isinstance(node.args[1], fx.Node):
            _refuse(f"{_call(node)} does not divide by a plain number")
    elif name == "log_softmax":
        channels.prunable = False  # it mixes them: these are the logits
    elif name.replace("_", "") not in _CHANNELWISE_FUNCTIONS:
        _refuse(f"{_call(node)} is not an operation it knows")
    _check_kept(node)
    return channels


def _function(node: fx.Node) -> str:
    target = node.target
    return (target if isinstance(target, str) else target.__name__).removesuffix("_")


def _call(node: fx.Node) -> str:
    return f"{_function(node)}({', '.join(map(str, node.args))})"


def _join(node: fx.Node, a: fx.Node, b: fx.Node, carried: dict[fx.Node, _Channels]) -> None:
    """Unite the channels of two tensors that are added, subtracted or multiplied."""
    if _function(node) not in _JOINING:
        _refuse(f"{_call(node)} is not an operation it knows")
    kept, joined = carried[a], carried[b]
    shapes = [tuple(n.meta["value"].shape[1:]) for n in (a, b)]
    same_dimensions = len(shapes[0]) == len(shapes[1])
    if kept.size != joined.size or shapes[0][0] != shapes[1][0] or not same_dimensions:
        _refuse(f"{_call(node)} joins channels of shapes {shapes[0]} and {shapes[1]}")
    if kept is joined:
        return
    kept.prunable &= joined.prunable
    kept.writers += joined.writers
    kept.norms += joined.norms
    kept.readers += joined.readers
    for other, channels in carried.items():
        if channels is joined:
            carried[other] = kept


def _check_kept(node: fx.Node) -> None:
    """Refuse an output whose channels are not in dimension 1, alone or flattened with pixels."""
    before, after = node.all_input_nodes[0].meta["value"].shape, node.meta["value"].shape
    flattened = after == (before[0], before[1:].numel())
    if after[:2] != before[:2] and not flattened:
        name = node.target if node.op == "call_module" else _call(node)
        _refuse(f"{name} makes {list(after[1:])} of {list(before[1:])}")


def _check_sizes(node: fx.Node) -> None:
    """Refuse a view or reshape to a fixed number of channels, which fewer channels would break."""
    sizes: Sequence[object] = node.args[1:]
    if len(sizes) == 1 and isinstance(sizes[0], tuple | list):
        sizes = sizes[0]
    if len(sizes) < 2 or (isinstance(sizes[1], int) and sizes[1] != -1):
        _refuse(f"{_call(node)} fixes the number of channels; torch.flatten(x, 1) does not")
