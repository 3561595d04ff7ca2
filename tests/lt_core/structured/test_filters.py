import functools
import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from lt_core import models, seeds
from lt_core.costing import Costing
from lt_core.lpr import layerwise_pruning_ratios
from lt_core.mask import dense, flatten, num_alive
from lt_core.prune import num_pruned
from lt_core.structured.channels import channel_groups
from lt_core.structured.filters import filter_l1, live_channels, random_filters, with_dependents
from lt_core.structured.shrinking import shrink


def bits(mask) -> dict[str, list]:
    return {name: layer.int().tolist() for name, layer in mask.items()}


def filters(mask) -> dict[str, list]:
    """Of each layer the filters that have a weight alive."""
    return {name: layer.flatten(1).any(1).int().tolist() for name, layer in mask.items()}


def columns(mask) -> dict[str, list]:
    """Of each layer the inputs of which a weight is alive."""
    return {
        name: layer.transpose(0, 1).flatten(1).any(1).int().tolist() for name, layer in mask.items()
    }


def set_weights(layer, rows):
    """Each filter's weights all of one magnitude, of alternating sign."""
    signs = torch.ones_like(layer.weight).flatten()
    signs[::2] = -1
    values = torch.tensor(rows).view(-1, *[1] * (layer.weight.ndim - 1))
    layer.weight.data = signs.view(layer.weight.shape) * values


class Residual(nn.Module):
    """A stream of three channels that `a` and `b` write, `b` and `fc` read."""

    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(1, 3, 2)
        self.bn = nn.BatchNorm2d(3)
        self.b = nn.Conv2d(3, 3, 1, bias=False)
        self.fc = nn.Linear(3 * 4, 2)

    def forward(self, x):
        x = self.bn(self.a(x))
        return self.fc(torch.flatten(x + self.b(F.relu(x)), 1))


@pytest.fixture
def residual():
    network = Residual()
    set_weights(network.a, [0.25, 1.25, 0.5])  # norms 1, 5 and 2 over 4 weights each
    set_weights(network.b, [2.0, 1 / 3, 1.0])  # 6, 1 and 3 over 3
    return network, channel_groups(network, (1, 3, 3))


def small_resnet(seed=0):
    network = models.build("small_resnet", channels=1, classes=10, image_size=(8, 8), seed=seed)
    return network, channel_groups(network, (1, 8, 8))


small = functools.cache(small_resnet)  # to be traced it imports much of torch

WRITERS = [
    "conv",
    *(f"blocks.{i}" for i in ("0.conv1", "1.conv1", "1.conv2", "2.conv1", "2.conv2")),
]
"""The first layer that writes each of its groups."""


# ---- which: by L1 norm


def test_the_smallest_sum_over_all_layers_that_write_the_channel_goes(residual):
    # 7, 6 and 5: the last goes, though the smallest filter of `a` is the first, of `b` the second.
    mask = filter_l1(*residual, 0.3)
    assert bits(mask) == {
        "a": [[[[1, 1], [1, 1]]], [[[1, 1], [1, 1]]], [[[0, 0], [0, 0]]]],
        "b": [[[[1]], [[1]], [[0]]], [[[1]], [[1]], [[0]]], [[[0]], [[0]], [[0]]]],
        "fc": [[1] * 8 + [0] * 4] * 2,  # four pixels of each channel, next to each other
    }
    assert filters(filter_l1(*residual, 0.6))["a"] == [1, 0, 0]


def test_of_equal_norms_the_first_go():
    network = nn.Sequential(nn.Flatten(), nn.Linear(2, 7), nn.ReLU(), nn.Linear(7, 3))
    groups = channel_groups(network, (1, 1, 2))
    set_weights(network[1], [2.0, 1.0, 1.0, 0.5, 1.0, 2.0, 1.0])
    assert filters(filter_l1(network, groups, 0.1))["1"] == [1, 1, 1, 0, 1, 1, 1]
    assert filters(filter_l1(network, groups, 0.4))["1"] == [1, 0, 0, 0, 1, 1, 1]
    assert filters(filter_l1(network, groups, 0.8))["1"] == [0, 0, 0, 0, 0, 1, 0]
    assert columns(filter_l1(network, groups, 0.8))["3"] == [0, 0, 0, 0, 0, 1, 0]
    network[1].weight.data.fill_(0.1)
    assert filters(filter_l1(network, groups, 0.5))["1"] == [0, 0, 0, 0, 1, 1, 1]


def test_ties_go_by_position_among_many_channels_too():
    network = nn.Sequential(nn.Flatten(), nn.Linear(1, 9_000), nn.Linear(9_000, 1))
    network[1].weight.data = (torch.arange(9_000) % 3).float().view(-1, 1)  # 0, 1, 2, 0, ...
    mask = filter_l1(network, channel_groups(network, (1, 1, 1)), 0.5)
    kept = mask["1"].view(3_000, 3).int()
    assert kept[:, 0].sum() == 0 and kept[:, 2].sum() == 3_000
    assert kept[:1_500, 1].sum() == 0 and kept[1_500:, 1].sum() == 1_500


def test_the_norm_is_of_magnitudes_not_of_squares_and_not_of_sums():
    network = nn.Sequential(nn.Flatten(), nn.Linear(2, 3), nn.Linear(3, 2))
    network[1].weight.data = torch.tensor([[3.0, -3.0], [0.0, 5.0], [4.0, 1.5]])
    # magnitudes 6, 5 and 5.5; squares 18, 25 and 18.25; sums 0, 5 and 5.5
    mask = filter_l1(network, channel_groups(network, (1, 1, 2)), 0.3)
    assert filters(mask)["1"] == [1, 0, 1]


@pytest.mark.fuzz
@given(st.integers(1, 87))
def test_each_group_loses_the_same_share_in_all_layers_that_write_or_read_it(percent):
    network, groups = small()
    mask = filter_l1(network, groups, percent / 100)
    assert list(mask) == list(dense(network))
    alive = filters(mask)
    for group in groups:
        lost = [group.size - sum(alive[name]) for name in group.writers]
        assert lost == [-(-percent * group.size // 100)] * len(group.writers)
        same = [alive[name] for name in group.writers]
        same += [columns(mask)[name] for name in group.readers]
        assert same == [same[0]] * len(same)
    assert filters(mask)["fc"] == [1] * 10
    assert columns(mask)["conv"] == [1]


def test_half_of_small_resnet():
    network, groups = small()
    mask = filter_l1(network, groups, 0.5)
    # Half the filters, each on half the channels: 36 + 2 * 144 + 288 + 576 + 32 + 1152 + 2304 + 128
    # and the linear layer's 10 on half.
    assert num_alive(mask) == 4_804 + 160
    ratios = layerwise_pruning_ratios(mask)
    assert ratios == {name: 0.5 if name in ("conv", "fc") else 0.75 for name in ratios}


def test_the_smallest_filters_of_a_real_network_go():
    network, groups = small_resnet(seed=1)
    mask = filter_l1(network, groups, 0.4)
    layers = dict(network.named_modules())
    for group in groups:
        norms = [0.0] * group.size
        for name in group.writers:
            for i in range(group.size):
                norms[i] += float(layers[name].weight[i].detach().double().abs().sum())
        gone = sorted(range(group.size), key=norms.__getitem__)[: num_pruned(group.size, 0.4)]
        expected = [int(i not in gone) for i in range(group.size)]
        assert filters(mask)[group.writers[0]] == expected


def test_memory_format_changes_nothing():
    network, groups = small_resnet()
    usual = filter_l1(network, groups, 0.4)
    again = filter_l1(network.to(memory_format=torch.channels_last), groups, 0.4)
    assert bits(again) == bits(usual)


# ---- what is skipped


def test_a_skipped_layer_is_not_in_the_mask_and_keeps_the_channels_it_writes_and_reads():
    network, groups = small()
    mask = filter_l1(network, groups, 0.5, skip=("blocks.1.conv1", "fc"))
    assert list(mask) == [name for name in dense(network) if name not in ("blocks.1.conv1", "fc")]
    ratios = layerwise_pruning_ratios(mask)
    assert ratios == {
        "conv": 0,  # `blocks.1.conv1` reads the first stream
        "blocks.0.conv1": 0.5,
        "blocks.0.conv2": 0.5,
        "blocks.1.conv2": 0.5,  # its inputs are what `blocks.1.conv1` writes
        "blocks.1.shortcut.0": 0.5,
        "blocks.2.conv1": 0.75,
        "blocks.2.conv2": 0.5,  # `fc` reads the last
        "blocks.2.shortcut.0": 0.5,
    }
    untouched = filter_l1(network, groups, 0.5, skip=tuple(dense(network))[0::3])
    assert untouched.keys() == dense(network).keys() - set(tuple(dense(network))[0::3])


def test_a_group_with_a_skipped_writer_is_whole_in_its_other_writers_too():
    network, groups = small()
    mask = filter_l1(network, groups, 0.5, skip=("blocks.0.conv2",))
    assert filters(mask)["conv"] == columns(mask)["blocks.1.conv1"] == [1] * 8
    assert sum(filters(mask)["blocks.0.conv1"]) == 8  # it is read by the skipped layer


# ---- what is refused


def test_a_skipped_layer_must_be_one():
    with pytest.raises(ValueError, match="cannot skip head: the layers are conv, blocks"):
        filter_l1(*small(), 0.5, skip=("head",))


@pytest.mark.parametrize(("size", "most"), [(2, 0.5), (3, 0.6666), (8, 0.875)])
def test_a_group_that_would_lose_all_is_refused_and_the_fraction_told_works(size, most):
    network = nn.Sequential(
        nn.Conv2d(1, size, 1), nn.Conv2d(size, 20, 1), nn.Flatten(), nn.Linear(80, 2)
    )
    groups = channel_groups(network, (1, 2, 2))
    text = f"fraction 0.9 would prune all {size} channels that 0 write; at most {most} leaves one"
    with pytest.raises(ValueError, match=re.escape(text)):
        filter_l1(network, groups, 0.9)
    assert sum(filters(filter_l1(network, groups, most))["0"]) == 1


def test_nothing_to_prune_is_refused():
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    with pytest.raises(ValueError, match="there is no filter to prune"):
        filter_l1(network, channel_groups(network, (1, 2, 2)), 0.5)


def test_the_smallest_group_is_told_with_all_the_layers_that_write_it():
    text = "fraction 0.99 would prune all 8 channels that conv, blocks.0.conv2 write; at most 0.875"
    with pytest.raises(ValueError, match=text):
        filter_l1(*small(), 0.99)
    mask = filter_l1(*small(), 0.9, skip=("blocks.0.conv1", "blocks.1.conv1"))
    assert sum(filters(mask)["blocks.1.conv2"]) == 1  # 16 - ceil(14.4)


def test_of_one_channel_none_can_be_pruned():
    network = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU(), nn.Conv2d(1, 4, 1), nn.Flatten())
    network.append(nn.Linear(16, 2))
    groups = channel_groups(network, (1, 2, 2))
    with pytest.raises(ValueError, match=r"0 write one channel only; `prune.skip` leaves them"):
        filter_l1(network, groups, 0.1)
    assert filters(filter_l1(network, groups, 0.1, skip=("0",)))["2"].count(False) == 1


@pytest.mark.fuzz
@given(st.integers(2, 3000))
def test_the_fraction_told_is_the_largest_to_four_decimals(size):
    most = (size - 1) * 10_000 // size / 10_000
    assert num_pruned(size, most) < size
    assert num_pruned(size, most + 1e-4) == size


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_are_refused(value, residual):
    network, groups = residual
    network.fc.weight.data[1, 2] = value
    with pytest.raises(ValueError, match="some weights are not finite"):
        filter_l1(network, groups, 0.3)


def test_only_masks_of_whole_filters_have_channels(residual):
    network, groups = residual
    mask = dict(filter_l1(network, groups, 0.3))
    assert [alive.int().tolist() for alive in live_channels(groups, mask)] == [[1, 1, 0]]
    for name, at in [("a", (0, 0, 0, 0)), ("b", (1, 0)), ("fc", (1, 3)), ("fc", (0, 8))]:
        wrong = mask | {name: mask[name].clone()}
        wrong[name][at] = ~wrong[name][at]
        with pytest.raises(ValueError, match=f"not a mask of whole filters: {name} is"):
            live_channels(groups, wrong)
    without_reader = {name: layer for name, layer in mask.items() if name != "fc"}
    with pytest.raises(ValueError, match="not a mask of whole filters: a is"):
        live_channels(groups, without_reader)


# ---- which: at random


@pytest.mark.fuzz
@given(st.integers(1, 87), st.integers(0, 1000), st.booleans())
def test_random_filters_keep_the_ratio_of_each_layer(percent, seed, skip):
    network, groups = small()
    mask = filter_l1(network, groups, percent / 100, skip=("blocks.2.conv1",) if skip else ())
    drawn = random_filters(groups, mask, seeds.generator(seed, "test"))
    assert list(drawn) == list(mask)
    assert layerwise_pruning_ratios(drawn) == layerwise_pruning_ratios(mask)
    for before, after in zip(
        live_channels(groups, mask), live_channels(groups, drawn), strict=True
    ):
        assert before.sum() == after.sum()


def test_random_filters_move_with_the_generator_and_each_group_by_itself():
    network, groups = small()
    mask = filter_l1(network, groups, 0.5)
    before = bits(mask)
    draws = [random_filters(groups, mask, seeds.generator(i, "test")) for i in range(20)]
    assert len({tuple(flatten(drawn).tolist()) for drawn in draws}) == 20
    assert bits(random_filters(groups, mask, seeds.generator(3, "test"))) == bits(draws[3])
    assert any(filters(d)["conv"] != filters(d)["blocks.0.conv1"] for d in draws)
    assert bits(mask) == before


def test_random_filters_are_uniform():
    network, groups = small()
    mask = filter_l1(network, groups, 0.25)
    alive = torch.zeros(8)
    for seed in range(400):
        drawn = random_filters(groups, mask, seeds.generator(seed, "test"))
        alive += live_channels(groups, drawn)[0]
    assert alive.min() > 260 and alive.max() < 340  # 300 ± 8.7 of each of 8 channels


# ---- what dies with a channel


def test_batch_norm_and_biases_die_with_their_channel(residual):
    network, groups = residual
    mask = filter_l1(network, groups, 0.3)
    everything = with_dependents(network, groups, mask)
    assert list(everything) == ["a", "b", "fc", "a.bias", "bn.weight", "bn.bias"]
    assert bits(everything) == bits(mask) | {
        "a.bias": [1, 1, 0],
        "bn.weight": [1, 1, 0],
        "bn.bias": [1, 1, 0],
    }
    assert all(layer.dtype == torch.bool for layer in everything.values())
    assert list(mask) == ["a", "b", "fc"]


def test_dependents_of_a_residual_network_by_name():
    network, groups = small()
    mask = filter_l1(network, groups, 0.5)
    everything = with_dependents(network, groups, mask)
    names = [n for n, m in network.named_modules() if isinstance(m, nn.BatchNorm2d)]
    expected = {f"{name}.{kind}" for name in names for kind in ("weight", "bias")}
    assert everything.keys() - dense(network).keys() == expected
    alive = bits(everything)
    assert alive["bn.bias"] == alive["blocks.0.bn2.weight"] == filters(mask)["conv"]
    assert alive["blocks.1.shortcut.1.bias"] == filters(mask)["blocks.1.conv2"]
    assert sum(alive["blocks.2.bn1.weight"]) == 16


def test_batch_norm_behind_a_flatten_and_one_without_parameters():
    network = nn.Sequential(
        nn.Conv2d(1, 2, 1),
        nn.BatchNorm2d(2, affine=False),
        nn.Flatten(),
        nn.BatchNorm1d(6),
        nn.Linear(6, 2),
    )
    set_weights(network[0], [1.0, 2.0])
    groups = channel_groups(network, (1, 1, 3))
    everything = with_dependents(network, groups, filter_l1(network, groups, 0.5))
    assert bits(everything) == {
        "0": [[[[0]]], [[[1]]]],
        "4": [[0, 0, 0, 1, 1, 1]] * 2,
        "0.bias": [0, 1],
        "3.weight": [0, 0, 0, 1, 1, 1],
        "3.bias": [0, 0, 0, 1, 1, 1],
    }


def test_nothing_dies_with_channels_that_live():
    network, groups = small()
    mask = filter_l1(network, groups, 0.5, skip=("fc",))
    everything = with_dependents(network, groups, mask)
    assert everything["blocks.2.bn2.weight"].all() and everything["blocks.2.shortcut.1.bias"].all()
    assert not everything["blocks.2.bn1.weight"].all()


# ---- shares of single groups


def test_a_layer_may_lose_another_share_of_its_filters_or_none():
    network, groups = small_resnet()
    shares = {"blocks.0.conv1": 0.25, "blocks.1.conv1": 0, "conv": 0}
    mask = filter_l1(network, groups, 0.5, layer_fractions=shares)
    alive = {
        group.writers[0]: int(channels.sum())
        for group, channels in zip(groups, live_channels(groups, mask), strict=True)
    }
    # Of 8, 8, 16, 16, 32 and 32 channels.
    assert alive == {
        "conv": 8,
        "blocks.0.conv1": 6,
        "blocks.1.conv1": 16,
        "blocks.1.conv2": 8,
        "blocks.2.conv1": 16,
        "blocks.2.conv2": 16,
    }
    same = filter_l1(network, groups, 0.5, layer_fractions={"blocks.0.conv2": 0.5})
    assert bits(same) == bits(filter_l1(network, groups, 0.5))


@pytest.mark.parametrize(
    ("shares", "says"),
    [
        ({"fc": 0.5}, "no filters can be lost by fc: those that can are conv, blocks.0.conv2, "),
        ({"conv": 0.5, "blocks.0.conv2": 0}, "conv, blocks.0.conv2 write the same channels: give"),
        (dict.fromkeys(WRITERS, 0.0), "no filter is pruned: every layer"),
        ({"conv": 0.95}, "fraction 0.95 would prune all 8 channels that conv, blocks.0.conv2"),
    ],
)
def test_shares_that_no_filters_have_are_refused(shares, says):
    with pytest.raises(ValueError, match=says):
        filter_l1(*small_resnet(), 0.5, layer_fractions=shares)


def test_resnet_56_b_of_li_et_al_has_the_published_size():
    """Table 1: 60, 30 and 10% of the first layers of blocks, by stage, without layers 16, 18, 20,
    34, 38 and 54: 13.7% of the parameters and 27.6% of the multiply-adds fewer."""
    network = models.build("resnet56", channels=3, classes=10, image_size=(32, 32), seed=0)
    groups, everything = channel_groups(network, (3, 32, 32)), dense(network)
    spared = {(layer - 2) // 2 for layer in (16, 18, 20, 34, 38, 54)}
    shares = {group.writers[0]: 0.0 for group in groups}
    for block in range(27):
        if block not in spared:
            shares[f"blocks.{block}.conv1"] = (0.6, 0.3, 0.1)[block // 9]
    mask = filter_l1(network, groups, 0.5, layer_fractions=shares)
    smaller = shrink(network, groups, mask)
    sizes = [sum(p.numel() for p in net.parameters()) for net in (smaller, network)]
    assert 1 - sizes[0] / sizes[1] == pytest.approx(0.137, abs=0.0006)
    costing = Costing(network, (3, 32, 32), groups)
    macs = [costing.cost(each).macs for each in (mask, everything)]
    assert 1 - macs[0] / macs[1] == pytest.approx(0.276, abs=0.002)
