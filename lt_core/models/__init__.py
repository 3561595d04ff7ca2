"""Networks by name, initialized from a seed."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import UninitializedParameter

from lt_core import import_path, initial_weights, inputs, seeds
from lt_core.data.shapes import AnyShape, Shape, Text, shape_of
from lt_core.mask import prunable_weights
from lt_core.models import packages
from lt_core.models.cifar_resnet import CifarResNet
from lt_core.models.imagenet_resnet import resnet
from lt_core.models.lenet import lenet_300_100
from lt_core.models.vgg import Vgg16
from lt_core.names import is_of_a_package, model_name
from lt_core.pretrained import Network, Pretrained

BUILDERS: dict[str, Callable[[int, int, Any], nn.Module]] = {
    "small_resnet": lambda channels, classes, image_size: CifarResNet(8, 8, channels, classes),
    "resnet20": lambda channels, classes, image_size: CifarResNet(20, 16, channels, classes),
    "resnet32": lambda channels, classes, image_size: CifarResNet(32, 16, channels, classes),
    "resnet56": lambda channels, classes, image_size: CifarResNet(56, 16, channels, classes),
    "resnet18": lambda channels, classes, image_size: resnet(18, channels, classes),
    "resnet34": lambda channels, classes, image_size: resnet(34, channels, classes),
    "resnet50": lambda channels, classes, image_size: resnet(50, channels, classes),
    "vgg16": Vgg16,
    "lenet_300_100": lenet_300_100,
}


def build(
    name: Network,
    *,
    seed: int,
    draw: str = "initialization",
    **sizes: Any,
) -> nn.Module:
    """A freshly initialized network on the CPU, the same for the same seed.

    Weights start normal with variance 2 / fan-in (He et al. 2015, arXiv:1502.01852, section
    2.2), biases as torch draws them, batch norm as the identity.

    Args:
        name: one of `BUILDERS`; `small_resnet` is a ResNet-8 that is half as wide. Or the import
            path of a function that is called with `sizes` and returns a network, or a name such as
            `timm:resnet18` or `torchvision:resnet18`; these keep the initialization they have. Or
            one with given weights, which another draw does not have.
        seed: of the sweep; initialization draws from a generator of its own.
        draw: names that generator; another draw is another initialization of the same seed.
        sizes: fields of the data set's shape: `channels`, `classes` and `image_size` of images,
            those of `Table`, `Series` and `Text` for the like.

    Raises:
        ValueError: for a name that is not known, a network that takes no inputs of this kind or
            size, or a network of the user's own that cannot be pruned.
    """
    if isinstance(name, Pretrained):
        network = build(name.name, seed=seed, draw=draw, **sizes)
        if draw == "initialization":
            initial_weights.put_into(network, name)
        return network
    shape = shape_of(sizes)
    with seeds.seeded(torch.device("cpu"), seed, draw):
        if ":" in model_name(name):
            return _the_users_own(name, shape)
        network = _shipped(name, shape)
        network.apply(_initialize)
        return network


_OF_ANY_SIZE = ("lenet_300_100",)
"""The networks that take images as rows of numbers, and so all else that is numbers."""


def _shipped(name: str, shape: AnyShape) -> nn.Module:
    is_of_images = isinstance(shape, Shape) and len(shape.image_size) == 2
    if isinstance(shape, Text) or not (is_of_images or name in _OF_ANY_SIZE):
        raise ValueError(
            f"{name} takes images, not a {shape.noun} {shape}; lenet_300_100 takes all that is "
            "numbers, and a network of yours, module:function, whatever it is made for"
        )
    assert isinstance(shape.inputs, tuple)  # as of all but texts
    first, *others = shape.inputs
    return BUILDERS[name](first, shape.classes, tuple(others))


def _initialize(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")


def _the_users_own(path: str, shape: AnyShape) -> nn.Module:
    """A network by import path, tried on two inputs, so that a mistake shows before Ray starts."""
    classes = shape.classes
    if is_of_a_package(path):
        network: object = packages.build_named(path, shape)
    else:
        network = import_path.call(path, **dict(sorted(vars(shape).items())))
    if not isinstance(network, nn.Module):
        raise ValueError(
            f"{path}: must return a torch.nn.Module, returned {type(network).__name__}"
        )
    images = inputs.drawn(shape.inputs, 2)
    try:
        with torch.no_grad():
            logits = network.eval()(images)
    except (Exception, SystemExit) as error:
        raise ValueError(
            f"{path}: the network fails on {shape.noun}s {list(images.shape)}: "
            f"{import_path.told(error)}"
        ) from error
    if not isinstance(logits, torch.Tensor) or logits.shape != (2, classes):
        got = list(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise ValueError(
            f"{path}: the network must give [batch, classes], here [2, {classes}], gives {got}"
        )
    lazy = [n for n, p in network.named_parameters() if isinstance(p, UninitializedParameter)]
    if lazy:
        raise ValueError(
            f"{path}: {', '.join(lazy)} has no size yet: a lazy layer that evaluation does not "
            "use; give it its sizes"
        )
    if not prunable_weights(network):
        raise ValueError(
            f"{path}: the network has nothing to prune: no convolution, no nn.Linear and no "
            "nn.MultiheadAttention; embeddings, norms and recurrent layers are never pruned"
        )
    return network.train()
