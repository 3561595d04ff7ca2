import pytest
import torch
from torch import nn

from lt_core import models, prune, seeds
from lt_core.live_masks import preserve_lpr_live
from lt_core.live_paths import LivePaths
from lt_core.mask import alive_by_layer, dense, num_alive, prunable_weights


@pytest.fixture(scope="module")
def network():
    return models.build("small_resnet", channels=1, classes=10, image_size=(8, 8), seed=0)


@pytest.fixture(scope="module")
def ticket(network):
    """The weights that are 1% largest, and then those of them that are on a path."""
    mask = prune.global_magnitude(prunable_weights(network), dense(network), 0.985)
    through = LivePaths(network, (1, 8, 8)).through(mask)
    return {name: layer & through[name] for name, layer in mask.items()}


def drawn(ticket, network, seed=0):
    return preserve_lpr_live(ticket, LivePaths(network, (1, 8, 8)), seeds.generator(seed, "test"))


@pytest.mark.parametrize("seed", range(5))
def test_as_many_are_live_as_of_the_ticket(network, ticket, seed):
    paths = LivePaths(network, (1, 8, 8))
    shuffled = prune.preserve_lpr(ticket, seeds.generator(seed, "test"))
    assert paths.num_live(shuffled) < 0.9 * num_alive(ticket)
    mask = drawn(ticket, network, seed)
    assert paths.num_live(mask) == num_alive(ticket)
    assert alive_by_layer(mask) == alive_by_layer(ticket)


def test_it_is_random_and_the_same_for_the_same_seed(network, ticket):
    one, same, other = (drawn(ticket, network, seed) for seed in (3, 3, 4))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)
    overlap = sum(int((one[name] & ticket[name]).sum()) for name in one)
    assert overlap < 0.5 * num_alive(ticket)


def test_a_mask_that_is_live_already_is_only_shuffled(network):
    half = prune.global_random(dense(network), 9_732, seeds.generator(0, "half"))
    generators = (seeds.generator(0, "test") for _ in range(2))
    shuffled = prune.preserve_lpr(half, next(generators))
    mask = preserve_lpr_live(half, LivePaths(network, (1, 8, 8)), next(generators))
    assert all(torch.equal(mask[name], shuffled[name]) for name in mask)


def test_where_no_place_is_on_a_path_fewer_stay_live():
    """One weight in each of four layers of four neurons: shuffled, they hardly ever meet."""
    layers = [layer for _ in range(4) for layer in (nn.Linear(4, 4), nn.ReLU())]
    network = nn.Sequential(nn.Flatten(), *layers)
    mask = {name: torch.zeros(4, 4, dtype=torch.bool) for name in prunable_weights(network)}
    for layer in mask.values():
        layer[0, 0] = True
    paths = LivePaths(network, (1, 2, 2))
    assert paths.num_live(mask) == 4
    found = preserve_lpr_live(mask, paths, seeds.generator(0, "test"))
    assert paths.num_live(found) == 0
    assert alive_by_layer(found) == alive_by_layer(mask)


class Subtracts(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 2), nn.Linear(4, 2)

    def forward(self, images):
        return self.a(images.flatten(1)) - self.b(images.flatten(1))


def test_a_network_whose_paths_cannot_be_told_is_refused():
    network = Subtracts()
    with pytest.raises(ValueError, match="live path cannot be told"):
        preserve_lpr_live(dense(network), LivePaths(network, (1, 2, 2)), seeds.generator(0, "test"))
