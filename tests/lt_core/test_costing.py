import pytest
from torch import nn

from lt_core import models
from lt_core.cost import Cost
from lt_core.costing import Costing
from lt_core.macs import macs_by_weight
from lt_core.mask import dense
from lt_core.structured.channels import channel_groups
from lt_core.structured.filters import filter_l1
from lt_core.structured.shrinking import shrink


@pytest.fixture
def network():
    return nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1, bias=False),  # 18 weights over 4x4 pixels
        nn.BatchNorm2d(2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32, 3),  # 96 weights, 3 biases
    )


def test_of_a_dense_network(network):
    assert Costing(network, (1, 4, 4)).cost(dense(network)) == Cost(
        weights=114,
        alive=114,
        live=114,
        macs=18 * 16 + 96,
        dense_macs=18 * 16 + 96,
        dense_bytes=4 * (114 + 3 + 4),
        bitmask_bytes=4 * (3 + 4) + 4 * 114 + 15,
        csr_bytes=4 * (3 + 4) + 8 * 114 + 4 * (3 + 4),
    )


def test_of_a_ticket(network):
    mask = dense(network)
    mask["0"][1] = False  # the second filter: its half of the linear layer is on no path
    mask["4"][0, 16:] = False
    assert Costing(network, (1, 4, 4)).cost(mask) == Cost(
        weights=114,
        alive=9 + 80,
        live=9 + 48,
        macs=9 * 16 + 80,
        dense_macs=18 * 16 + 96,
        dense_bytes=4 * (114 + 3 + 4),
        bitmask_bytes=4 * (3 + 4) + 4 * 89 + 15,
        csr_bytes=4 * (3 + 4) + 8 * 89 + 4 * (3 + 4),
    )


def test_a_skipped_layer_is_whole_and_not_counted_as_prunable(network):
    mask = dense(network, skip=["4"])
    mask["0"][:] = False
    cost = Costing(network, (1, 4, 4)).cost(mask)
    assert (cost.weights, cost.alive, cost.live, cost.macs) == (18, 0, 0, 96)
    assert cost.bitmask_bytes == 4 * (96 + 3 + 4) + 3


def test_whole_filters_cost_what_the_smaller_network_costs():
    network = models.build("small_resnet", channels=1, classes=10, image_size=(8, 8), seed=0)
    groups = channel_groups(network, (1, 8, 8))
    mask = filter_l1(network, groups, 0.5)
    smaller = shrink(network, groups, mask)
    cost = Costing(network, (1, 8, 8), groups).cost(mask)
    assert cost.macs == sum(macs_by_weight(smaller, (1, 8, 8)).values())
    assert cost.live == cost.alive
    # 4,964 weights, 10 biases and 168 parameters of norms
    assert sum(parameter.numel() for parameter in smaller.parameters()) == 5_142
    assert cost.bitmask_bytes == cost.csr_bytes == 4 * 5_142
