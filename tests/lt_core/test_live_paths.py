import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lt_core import models, prune, seeds
from lt_core.live_paths import LivePaths
from lt_core.mask import dense, num_weights


class Small(nn.Module):
    """Two convolutions, the second with a residual connection, between pooling and logits."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 2, 3, padding=1)
        self.norm = nn.BatchNorm2d(2)
        self.conv2 = nn.Conv2d(2, 2, 3, padding=1)
        self.fc = nn.Linear(8, 3)

    def forward(self, images):
        x = F.max_pool2d(F.relu(self.norm(self.conv1(images))), 2)
        return self.fc(F.gelu(x + self.conv2(x)).flatten(1))


PIXELS, POOLED = ([*itertools.product(range(size), repeat=2)] for size in (4, 2))


def by_search(mask):
    """The weights of `Small` on a path, by a search through the graph of its values."""
    edges = []  # (from, to, weight or None)
    for out, ky, kx, (y, x) in itertools.product(range(2), range(3), range(3), PIXELS):
        place = (y + ky - 1, x + kx - 1)
        if place in PIXELS and mask["conv1"][out, 0, ky, kx]:
            edges.append(("image", ("pool", out, y // 2, x // 2), ("conv1", (out, 0, ky, kx))))
    for channel, (y, x) in itertools.product(range(2), POOLED):
        edges.append((("pool", channel, y, x), ("sum", channel, y, x), None))
    for out, into, ky, kx in itertools.product(range(2), range(2), range(3), range(3)):
        for y, x in POOLED:
            place = (y + ky - 1, x + kx - 1)
            if place in POOLED and mask["conv2"][out, into, ky, kx]:
                edge = ("pool", into, *place), ("sum", out, y, x), ("conv2", (out, into, ky, kx))
                edges.append(edge)
    for logit, channel, (y, x) in itertools.product(range(3), range(2), POOLED):
        at = (logit, channel * 4 + y * 2 + x)
        if mask["fc"][at]:
            edges.append((("sum", channel, y, x), "logits", ("fc", at)))
    reached = closure("image", [(a, b) for a, b, _ in edges])
    reaching = closure("logits", [(b, a) for a, b, _ in edges])
    return {weight for a, b, weight in edges if weight and a in reached and b in reaching}


def closure(start, edges):
    found, new = {start}, [start]
    after = {}
    for a, b in edges:
        after.setdefault(a, set()).add(b)
    while new:
        more = after.get(new.pop(), set()) - found
        found |= more
        new += more
    return found


def random_masks(network, number):
    everything = dense(network)
    generator = seeds.generator(0, "test")
    for i in range(number):
        yield prune.global_random(everything, 1 + i % num_weights(everything), generator)


def test_live_weights_are_those_of_a_search_through_the_graph():
    network = Small()
    paths = LivePaths(network, (1, 4, 4))
    some_dead = 0
    for mask in random_masks(network, 1000):
        through = paths.through(mask)
        found = {
            (name, tuple(place))
            for name, layer in through.items()
            for place in (layer & mask[name]).nonzero().tolist()
        }
        assert found == by_search(mask)
        assert paths.num_live(mask) == len(found)
        some_dead += len(found) < sum(int(layer.sum()) for layer in mask.values())
    assert some_dead > 500


def test_every_weight_of_the_shipped_networks_is_live():
    for name, shape in (("small_resnet", (1, 8, 8)), ("vgg16", (3, 32, 32))):
        network = models.build(name, channels=shape[0], classes=10, image_size=shape[1:], seed=0)
        assert LivePaths(network, shape).num_live(dense(network)) == num_weights(dense(network))


def test_a_layer_without_weights_cuts_a_network_in_two():
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    mask = dense(network)
    mask["3"][:] = False
    assert LivePaths(network, (1, 2, 2)).num_live(mask) == 0


def test_a_neuron_with_a_bias_and_no_input_is_not_live():
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    mask = dense(network)
    mask["1"][0] = False
    assert LivePaths(network, (1, 2, 2)).num_live(mask) == 8 + 4


def test_a_layer_that_no_mask_names_is_whole():
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    paths = LivePaths(network, (1, 2, 2))
    empty = {"1": torch.zeros(3, 4, dtype=torch.bool), "3": torch.zeros(2, 3, dtype=torch.bool)}
    assert paths.num_live(empty) == 0
    assert paths.num_live({"1": torch.ones(3, 4, dtype=torch.bool)}) == 12


class Subtracts(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 2), nn.Linear(4, 2)

    def forward(self, images):
        x = images.flatten(1)
        return self.a(x) - self.b(x)


class OnlyFloat32(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 2)

    def forward(self, images):
        return self.a(images.flatten(1).float())


class Picky(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 2)

    def forward(self, images):
        if images.dtype != torch.float32:
            raise TypeError("float32 only")
        return self.a(images.flatten(1))


class Centres(nn.Module):
    """Whose gradients are 0 where they cancel."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 3), nn.Linear(3, 2)

    def forward(self, images):
        x = self.b(self.a(images.flatten(1)))
        return x - x.mean(1, keepdim=True)


@pytest.mark.parametrize(
    "network",
    [Subtracts(), OnlyFloat32(), Picky(), Centres()],
    ids=lambda network: type(network).__name__,
)
def test_what_hides_its_paths_is_not_counted(network):
    assert LivePaths(network, (1, 2, 2)).num_live(dense(network)) is None


def test_the_network_is_left_as_it_is():
    network = models.build("small_resnet", channels=1, classes=10, image_size=(8, 8), seed=0)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    LivePaths(network, (1, 8, 8)).num_live(dense(network))
    assert all(torch.equal(before[name], now) for name, now in network.state_dict().items())
    assert all(parameter.requires_grad for parameter in network.parameters())


class Gated(nn.Module):
    """Two branches, one of which lets through what the other sends."""

    def __init__(self, gate):
        super().__init__()
        self.a, self.b, self.fc = nn.Linear(4, 3), nn.Linear(4, 3), nn.Linear(3, 2)
        self.gate = gate

    def forward(self, images):
        x = images.flatten(1)
        return self.fc(self.gate(self.a(x), self.b(x)))


@pytest.mark.parametrize(
    "gate",
    [
        lambda a, b: a * torch.sigmoid(b),
        lambda a, b: a * F.softplus(b),
        lambda a, b: F.glu(torch.cat([a, b], 1)),
        lambda a, b: torch.maximum(a, b),
        lambda a, b: (a + b).clamp_(0, 6),
        lambda a, b: torch.clamp_max(a + b, 6),
        lambda a, b: torch.minimum(a + b, torch.tensor(6.0)),
    ],
    ids=["sigmoid", "softplus", "glu", "maximum", "clamp_", "clamp_max", "minimum"],
)
def test_a_branch_that_is_pruned_closes_no_other(gate):
    network = Gated(gate)
    paths = LivePaths(network, (1, 2, 2))
    mask = dense(network)
    assert paths.num_live(mask) == 12 + 12 + 6
    mask["b"][:] = False
    assert paths.num_live(mask) == 12 + 6
