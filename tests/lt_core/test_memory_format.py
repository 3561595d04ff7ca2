"""How a network lies in memory: fast, but where torch would write past the end of it."""

import subprocess
import sys

import pytest
import torch

from lt_core import models
from lt_core.memory_format import to_device


def built(name: str, pixels: int) -> torch.nn.Module:
    return models.build(name, channels=3, classes=10, image_size=(pixels, pixels), seed=0)


@pytest.mark.parametrize(
    ("name", "pixels", "is_channels_last"),
    [
        ("small_resnet", 8, True),
        ("small_resnet", 48, True),
        ("small_resnet", 64, False),
        ("resnet20", 64, True),
        ("resnet18", 64, True),
    ],
)
def test_channels_last_but_for_large_images_through_few_channels(name, pixels, is_channels_last):
    network = to_device(built(name, pixels), "cpu", (pixels, pixels))
    images = torch.randn(2, 3, pixels, pixels).contiguous(memory_format=torch.channels_last)
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


def test_a_small_network_trains_on_large_images():
    """In a process of its own, which used to die."""
    code = (
        "from lt_core import data, models, rewind; from lt_core.config import Recipe\n"
        "from lt_core.evaluate import evaluate; from lt_core.mask import dense\n"
        "import numpy as np\n"
        "images = np.random.default_rng(0).integers(256, size=(192, 3, 64, 64), dtype=np.uint8)\n"
        "split = data.Split(images, np.arange(192) % 10)\n"
        "noise = data.DataSet('noise', split, split, split, classes=10)\n"
        "mask = dense(rewind.to_initialization('small_resnet', noise, seed=0))\n"
        "recipe = Recipe(lr=0.1, batch_size=64, duration='6it')\n"
        "print(evaluate('small_resnet', noise, mask, recipe, seed=0).train_loss)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 0 < float(done.stdout) < 10
