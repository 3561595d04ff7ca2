"""How a network lies in memory: fast, but where torch would write past the end of it."""

import subprocess
import sys

import pytest
import torch

from lt_core import models
from lt_core.memory_format import to_device
from lt_core.structured.channels import channel_groups
from lt_core.structured.filters import filter_l1
from lt_core.structured.shrinking import shrink


def built(name: str, channels: int, pixels: int) -> torch.nn.Module:
    """By name; `halved` is the small ResNet without half of its filters, 4 in its first layers."""
    of_what = "small_resnet" if name == "halved" else name
    shape = {"channels": channels, "classes": 10, "image_size": (pixels, pixels)}
    network = models.build(of_what, **shape, seed=0)
    if name != "halved":
        return network
    groups = channel_groups(network, (channels, pixels, pixels))
    return shrink(network, groups, filter_l1(network, groups, 0.5))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("name", "pixels", "capability", "is_channels_last"),
    [
        ("small_resnet", 8, "AVX512", True),
        ("small_resnet", 48, "AVX512", True),
        ("small_resnet", 64, "AVX512", False),
        ("resnet20", 64, "AVX512", True),
        ("resnet18", 64, "AVX512", True),
        ("halved", 8, "AVX512", True),
        ("halved", 64, "AVX512", False),
        ("small_resnet", 8, "AVX2", True),
        ("small_resnet", 64, "AVX2", True),
        ("halved", 8, "AVX2", False),
        ("halved", 64, "AVX2", False),
    ],
)
def test_channels_last_but_for_strides_over_few_channels(
    monkeypatch, name, channels, pixels, capability, is_channels_last
):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    network = to_device(built(name, channels, pixels), "cpu", (channels, pixels, pixels))
    images = torch.randn(2, channels, pixels, pixels).to(memory_format=torch.channels_last)
    seen = []
    convolutions = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    for convolution in convolutions:
        convolution.register_forward_hook(
            lambda _, inputs, output: seen.append(
                output.is_contiguous(memory_format=torch.channels_last)
            )
        )
    network(images)
    assert seen == [is_channels_last] * len(convolutions)


@pytest.mark.parametrize(("pixels", "fraction"), [(64, 0), (8, 0.5)])
def test_a_network_of_few_channels_trains(pixels, fraction):
    """In a process of its own, which used to die."""
    code = f"""
import numpy as np
from lt_core import data, rewind
from lt_core.structured.channels import channel_groups
from lt_core.config import Pruning, Recipe
from lt_core.evaluation import evaluate
from lt_core.structured.filters import filter_l1
from lt_core.mask import dense

images = np.random.default_rng(0).integers(256, size=(192, 3, {pixels}, {pixels}), dtype=np.uint8)
split = data.Split(images, np.arange(192) % 10)
noise = data.DataSet("noise", split, split, split, classes=10)
network = rewind.to_initialization("small_resnet", noise, seed=0)
mask = dense(network)
if {fraction}:
    mask = filter_l1(network, channel_groups(network, noise.image_shape), {fraction})
recipe = Recipe(lr=0.1, batch_size=64, duration="6it")
whole_filters = Pruning(strategy="filter_l1")
print(evaluate("small_resnet", noise, mask, recipe, seed=0, pruning=whole_filters).train_loss)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 0 < float(done.stdout) < 10
