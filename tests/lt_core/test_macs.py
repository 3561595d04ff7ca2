import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from lt_core import models
from lt_core.macs import macs_by_weight


def build(name, channels=3, size=32):
    return models.build(name, channels=channels, classes=10, image_size=(size, size), seed=0)


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        # 3x3 over 32x32, 16x16 and 8x8 pixels: 16 channels 442,368 + 6 x 2,359,296; 32 channels
        # 1,179,648 + 5 x 2,359,296; as many for 64; 1x1 shortcuts 2 x 131,072; logits 640.
        ("resnet20", (3, 32, 32), 442_368 + 16 * 2_359_296 + 2 * (1_179_648 + 131_072) + 640),
        ("resnet56", (3, 32, 32), 442_368 + 52 * 2_359_296 + 2 * (1_179_648 + 131_072) + 640),
        ("small_resnet", (1, 8, 8), 193_344),
        ("lenet_300_100", (1, 28, 28), 784 * 300 + 300 * 100 + 100 * 10),
    ],
)
def test_multiply_adds_of_known_networks(name, shape, expected):
    found = macs_by_weight(build(name, shape[0], shape[1]), shape)
    assert sum(found.values()) == expected
    assert found[None] == 0


def test_as_torch_counts_them():
    network = build("vgg16")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.eval()(torch.zeros(1, 3, 32, 32))
    assert 2 * sum(macs_by_weight(network, (3, 32, 32)).values()) == counter.get_total_flops()


class Unusual(nn.Module):
    """Layers that are used twice, by their weight alone, by something made of it, and no layer."""

    def __init__(self):
        super().__init__()
        self.twice = nn.Conv2d(2, 2, 3, padding=1, groups=2, bias=False)
        self.by_weight = nn.Linear(32, 4)
        self.made = Standardized(4, 3)
        self.unused = nn.Linear(3, 3)
        self.no_layer = nn.Parameter(torch.ones(3, 5))

    def forward(self, images):
        x = self.twice(self.twice(images)).flatten(1)
        return self.made(F.linear(x, self.by_weight.weight)) @ self.no_layer


class Standardized(nn.Linear):
    def forward(self, x):
        return F.linear(x, self.weight - self.weight.mean(), self.bias)


def test_whichever_way_a_weight_is_used():
    assert macs_by_weight(Unusual(), (2, 4, 4)) == {
        "twice": 2 * 18 * 16,  # weights x pixels, two times
        "by_weight": 32 * 4,
        "made": 12,
        "unused": 0,
        None: 15,
    }


def test_the_network_is_left_as_it_is():
    network = build("small_resnet", 1, 8).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    macs_by_weight(network, (1, 8, 8))
    assert network.training
    assert all(torch.equal(before[name], now) for name, now in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


class Remembers(nn.Module):
    """Keeps what it computed, and norms over its batch in evaluation too."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 2)
        self.norm = nn.BatchNorm1d(2, track_running_stats=False)

    def forward(self, images):
        self.last = self.norm(self.fc(images.flatten(1)))
        return self.last


def test_a_network_that_keeps_what_it_computed_is_left_without_it():
    network = Remembers()
    assert macs_by_weight(network, (1, 2, 2)) == {"fc": 8, None: 0}
    assert not hasattr(network, "last")
