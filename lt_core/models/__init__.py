"""Networks by name, initialized from a seed."""

import torch
from torch import nn

from lt_core import seeds
from lt_core.config import ModelName
from lt_core.models.cifar_resnet import CifarResNet

BUILDERS = {
    "small_resnet": lambda channels, classes: CifarResNet(8, 8, channels, classes),
    "resnet20": lambda channels, classes: CifarResNet(20, 16, channels, classes),
    "resnet32": lambda channels, classes: CifarResNet(32, 16, channels, classes),
    "resnet56": lambda channels, classes: CifarResNet(56, 16, channels, classes),
}


def build(name: ModelName, *, channels: int, classes: int, seed: int) -> nn.Module:
    """A freshly initialized network on the CPU, the same for the same seed.

    Args:
        name: one of `BUILDERS`; `small_resnet` is a ResNet-8 that is half as wide.
        channels: of the images.
        classes: of the data set, the size of the output.
        seed: of the sweep; initialization draws from a generator of its own.
    """
    draw = seeds.generator(seed, "initialization").initial_seed()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(draw)  # torch.manual_seed moves the GPUs' too
        return BUILDERS[name](channels, classes)
