import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from lt_core import models, prune, seeds
from lt_core.mask import alive_by_layer, dense, flatten, num_alive, prunable_weights


def ones(**sizes: int | tuple) -> dict[str, torch.Tensor]:
    return {name: torch.ones(size, dtype=torch.bool) for name, size in sizes.items()}


def bits(mask) -> dict[str, list]:
    return {name: layer.int().tolist() for name, layer in mask.items()}


# ---- how many


@pytest.mark.parametrize(
    ("alive", "fraction", "pruned"),
    [
        (30, 0.1, 3),  # the float 0.1 lies above a tenth
        (100, 0.07, 7),  # 7.000000000000001 in floats
        (100, 0.55, 55),  # 55.00000000000001 in floats
        (10, 0.3, 3),
        (10, 0.7, 7),
        (1000, 0.2, 200),
        (1001, 0.2, 201),
        (7, 0.2, 2),
        (1, 0.2, 1),
        (1, 0.999, 1),
        (0, 0.2, 0),
        (99_999, 1e-5, 1),
        (100_000, 1e-5, 1),
        (100_001, 1e-5, 2),
        (19_464, 0.3, 5_840),  # 5839.2
        (23_000_000, 0.2, 4_600_000),
        (30, np.float64(0.1), 3),
    ],
)
def test_number_pruned_is_the_ceiling_of_the_decimal_product(alive, fraction, pruned):
    assert prune.num_pruned(alive, fraction) == pruned


@pytest.mark.fuzz
@given(st.integers(0, 10**9), st.integers(1, 999))
def test_number_pruned_in_thousandths(alive, thousandths):
    expected = -(-thousandths * alive // 1000)
    assert prune.num_pruned(alive, thousandths / 1000) == expected


def test_what_successive_rounds_leave():
    small = ones(a=(3,), b=(2, 2))
    left = [prune.num_alive_after([0.2] * rounds, small) for rounds in range(8)]
    assert left == [7, 5, 4, 3, 2, 1, 0, 0]


def test_what_rounds_leave_counts_from_what_is_alive():
    mask = {"a": torch.tensor([True] * 10 + [False] * 90)}
    assert [prune.num_alive_after([0.1] * rounds, mask) for rounds in (0, 1, 2)] == [10, 9, 8]


def test_num_alive_after_is_what_magnitude_pruning_leaves_of_a_real_network():
    network = models.build("small_resnet", channels=1, classes=10, image_size=(8, 8), seed=0)
    mask = dense(network)
    left = []
    for rounds in range(5):
        left.append(num_alive(mask))
        assert prune.num_alive_after([0.3] * rounds, dense(network)) == left[-1]
        mask = prune.global_magnitude(prunable_weights(network), mask, 0.3)
    assert left == [19_464, 13_624, 9_536, 6_675, 4_672]


# ---- which: by magnitude


def test_the_smallest_of_all_layers_together_go_round_after_round():
    weights = {
        "first": torch.tensor([[0.5, -0.1], [0.3, -0.9]]),
        "second": torch.tensor([0.2, -0.4, 0.15]),
    }
    # 7 alive, ceil(2.1) = 3 go: 0.1, 0.15, 0.2
    once = prune.global_magnitude(weights, ones(first=(2, 2), second=(3,)), 0.3)
    assert bits(once) == {"first": [[1, 0], [1, 1]], "second": [0, 1, 0]}
    # 4 alive, ceil(1.2) = 2 go: 0.3, 0.4
    twice = prune.global_magnitude(weights, once, 0.3)
    assert bits(twice) == {"first": [[1, 0], [0, 1]], "second": [0, 0, 0]}
    # 2 alive, ceil(0.6) = 1 goes: 0.5
    thrice = prune.global_magnitude(weights, twice, 0.3)
    assert bits(thrice) == {"first": [[0, 0], [0, 1]], "second": [0, 0, 0]}
    assert bits(prune.global_magnitude(weights, thrice, 0.3)) == {
        "first": [[0, 0], [0, 0]],
        "second": [0, 0, 0],
    }


def test_pruned_stays_pruned_however_large_and_does_not_count():
    weights = {"a": torch.tensor([9.0, 1.0, 2.0, 3.0, 0.0])}
    mask = {"a": torch.tensor([False, True, True, True, False])}
    assert bits(prune.global_magnitude(weights, mask, 0.5)) == {"a": [0, 0, 0, 1, 0]}


def test_of_equal_magnitudes_the_first_in_the_network_go():
    weights = {"z": torch.tensor([[0.5, -0.5, 0.5], [-0.5, 0.5, 0.5]]), "a": -torch.ones(4) / 2}
    mask = ones(z=(2, 3), a=(4,))
    once = prune.global_magnitude(weights, mask, 0.35)  # ceil(3.5) = 4 of 10
    assert bits(once) == {"z": [[0, 0, 0], [0, 1, 1]], "a": [1, 1, 1, 1]}
    twice = prune.global_magnitude(weights, once, 0.35)  # ceil(2.1) = 3 of 6
    assert bits(twice) == {"z": [[0, 0, 0], [0, 0, 0]], "a": [0, 1, 1, 1]}


def test_ties_go_by_position_in_a_large_layer_too():
    weights = {"a": (torch.arange(30_000) % 3 - 1).float()}  # -1, 0, 1, -1, ...
    mask = prune.global_magnitude(weights, ones(a=(30_000,)), 0.4)
    kept = mask["a"].view(10_000, 3).int()
    assert kept[:, 1].sum() == 0  # the 10,000 zeros, then 2,000 of the rest: rows 0 to 999
    assert kept[:1000].sum() == 0
    assert kept[1000:].sum() == 18_000


def test_the_network_order_is_that_of_the_mask():
    weights = {
        "second": torch.tensor([2.0, 1.0]),
        "first": torch.tensor([3.0, 2.0]),
        "not prunable": torch.zeros(2),
    }
    mask = prune.global_magnitude(weights, ones(first=(2,), second=(2,)), 0.5)
    assert bits(mask) == {"first": [1, 0], "second": [1, 0]}
    assert list(mask) == ["first", "second"]


@pytest.mark.fuzz
@given(
    st.lists(
        st.tuples(st.sampled_from([-2.0, -1.0, -0.5, -0.0, 0.0, 0.5, 1.0, 1e-30]), st.booleans()),
        min_size=2,
        max_size=40,
    ),
    st.integers(1, 99),
    st.integers(1, 39),
)
def test_magnitude_pruning_against_sorting_a_list(weights, percent, cut):
    cut = min(cut, len(weights) - 1)
    values, alive = map(list, zip(*weights, strict=True))
    order = sorted((i for i, a in enumerate(alive) if a), key=lambda i: (abs(values[i]), i))
    gone = order[: -(-percent * len(order) // 100)]
    expected = [int(a and i not in gone) for i, a in enumerate(alive)]

    def layers(flat):
        return {"b": torch.tensor(flat[:cut]), "a": torch.tensor(flat[cut:])}

    mask = prune.global_magnitude(layers(values), layers(alive), percent / 100)
    assert mask["b"].int().tolist() + mask["a"].int().tolist() == expected


@pytest.mark.parametrize("modulus", [5, 1000])
def test_memory_format_changes_nothing(modulus):
    weights = {"a": (torch.arange(2 * 3 * 4 * 5) * 7 % modulus).float().view(2, 3, 4, 5)}
    usual = prune.global_magnitude(weights, ones(a=(2, 3, 4, 5)), 0.4)
    lying = {"a": weights["a"].contiguous(memory_format=torch.channels_last)}
    mask = {"a": usual["a"].contiguous(memory_format=torch.channels_last)}
    assert bits(prune.global_magnitude(lying, ones(a=(2, 3, 4, 5)), 0.4)) == bits(usual)
    again = prune.global_magnitude(weights, usual, 0.4)
    assert bits(prune.global_magnitude(lying, mask, 0.4)) == bits(again)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_are_refused(value):
    weights = {"a": torch.ones(3), "b": torch.tensor([1.0, value])}
    with pytest.raises(ValueError, match="some weights are not finite"):
        prune.global_magnitude(weights, ones(a=(3,), b=(2,)), 0.2)


# ---- which: at random


def global_randoms(mask, num_alive, count):
    generators = [seeds.generator(seed, "test") for seed in range(count)]
    return [prune.global_random(mask, num_alive, generator) for generator in generators]


def test_global_random_keeps_exactly_so_many_at_places_that_differ():
    masks = global_randoms(ones(a=(60,), b=(5, 6), c=(10,)), 37, 20)
    assert [num_alive(mask) for mask in masks] == [37] * 20
    assert len({tuple(flatten(mask).tolist()) for mask in masks}) == 20


def test_global_random_is_uniform_over_layers_and_places():
    masks = global_randoms(ones(a=(60,), b=(5, 6), c=(10,)), 50, 400)
    alive = torch.stack([flatten(mask) for mask in masks]).sum(0)
    assert alive.sum() == 20_000
    assert alive[:60].sum() / 400 == pytest.approx(30, abs=0.5)
    assert alive[60:90].sum() / 400 == pytest.approx(15, abs=0.5)
    assert alive[90:].sum() / 400 == pytest.approx(5, abs=0.5)
    assert alive.min() > 150 and alive.max() < 250  # 200 ± 10 expected at each place


def test_global_random_takes_only_names_and_shapes_of_the_mask():
    everything = ones(a=(60,), b=(5, 6))
    ticket = {name: torch.zeros_like(layer) for name, layer in everything.items()}
    (one,), (other,) = (global_randoms(mask, 45, 1) for mask in (everything, ticket))
    assert bits(one) == bits(other)


TICKET = {
    "a": torch.tensor([True] * 5 + [False] * 15),
    "b": torch.tensor([True] * 9 + [False]).view(5, 2),
    "c": torch.tensor([True] * 5 + [False] * 15),
    "d": torch.zeros(3, dtype=torch.bool),
    "e": torch.ones(4, dtype=torch.bool),
}


def test_preserve_lpr_keeps_the_count_of_each_layer_and_moves_the_places():
    masks = [prune.preserve_lpr(TICKET, seeds.generator(seed, "test")) for seed in range(20)]
    for mask in masks:
        assert [int(layer.sum()) for layer in mask.values()] == [5, 9, 5, 0, 4]
        assert bits(mask) != bits(TICKET)
        assert bits(mask)["a"] != bits(mask)["c"]  # each layer is shuffled by itself
    assert len({tuple(flatten(mask).tolist()) for mask in masks}) == 20


def test_preserve_lpr_is_uniform_within_a_layer():
    drawn = [prune.preserve_lpr(TICKET, seeds.generator(seed, "test")) for seed in range(400)]
    a = torch.stack([mask["a"] for mask in drawn]).sum(0)
    b = torch.stack([mask["b"] for mask in drawn]).sum(0)
    assert a.min() > 60 and a.max() < 140  # 100 ± 8.7 at each of 20 places
    assert b.min() > 330 and b.max() < 390  # 360 ± 6 at each of 10


# ---- what holds for all of them


def magnitude(mask, seed):
    generator = seeds.generator(seed, "weights")
    weights = {name: torch.randn(layer.shape, generator=generator) for name, layer in mask.items()}
    return prune.global_magnitude(weights, mask, 0.3)


def random(mask, seed):
    return prune.global_random(mask, 2 * num_alive(mask) // 3, seeds.generator(seed, "test"))


def shuffled(mask, seed):
    return prune.preserve_lpr(mask, seeds.generator(seed, "test"))


every_strategy = pytest.mark.parametrize("strategy", [magnitude, random, shuffled])


def half_of(mask):
    flip = itertools.cycle([True, True, False])
    return {
        name: torch.tensor([next(flip) for _ in range(layer.numel())]).view(layer.shape)
        for name, layer in mask.items()
    }


@pytest.fixture
def mask():
    return half_of(ones(stem=(4, 1, 3, 3), conv=(2, 4, 3, 3), a_head=(10, 2)))


@every_strategy
def test_names_order_shapes_and_type_are_kept(strategy, mask):
    drawn = strategy(mask, 0)
    assert [(name, layer.shape, layer.dtype) for name, layer in drawn.items()] == [
        ("stem", (4, 1, 3, 3), torch.bool),
        ("conv", (2, 4, 3, 3), torch.bool),
        ("a_head", (10, 2), torch.bool),
    ]


@every_strategy
def test_the_mask_given_is_never_written_to(strategy, mask):
    before = {name: layer.clone() for name, layer in mask.items()}
    drawn = strategy(mask, 0)
    for layer in drawn.values():
        layer.logical_not_()
    assert bits(mask) == bits(before)


@every_strategy
def test_the_same_again_from_the_same_seed_and_another_from_another(strategy, mask):
    assert bits(strategy(mask, 0)) == bits(strategy(mask, 0)) != bits(strategy(mask, 1))


@every_strategy
def test_the_global_generator_is_neither_read_nor_moved(strategy, mask):
    torch.manual_seed(0)
    first, state = strategy(mask, 0), torch.get_rng_state()
    assert torch.equal(torch.manual_seed(0).get_state(), state)
    torch.manual_seed(1)
    assert bits(strategy(mask, 0)) == bits(first)


@every_strategy
def test_the_memory_format_of_the_mask_changes_nothing(strategy, mask):
    lying = {
        name: layer.contiguous(memory_format=torch.channels_last) if layer.ndim == 4 else layer
        for name, layer in mask.items()
    }
    assert bits(strategy(lying, 0)) == bits(strategy(mask, 0))


@every_strategy
def test_of_nothing_alive_nothing_is_left(strategy, mask):
    nothing = {name: torch.zeros_like(layer) for name, layer in mask.items()}
    assert num_alive(strategy(nothing, 0)) == 0


def test_random_masks_of_nothing_and_of_everything(mask):
    generator = seeds.generator(0, "test")
    assert num_alive(prune.global_random(mask, 0, generator)) == 0
    assert num_alive(prune.global_random(mask, 128, generator)) == 128  # 36 + 72 + 20
    everything = ones(a=(7,), b=(2, 2))
    assert bits(prune.preserve_lpr(everything, generator)) == bits(everything)


def test_masks_only_shrink_until_nothing_is_left():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Linear(4, 3))
    mask = dense(network)
    counts = [num_alive(mask)]
    for seed in range(9):
        generator = seeds.generator(seed, "trained weights")
        weights = {name: torch.randn(m.shape, generator=generator) for name, m in mask.items()}
        smaller = prune.global_magnitude(weights, mask, 0.5)
        for name, layer in smaller.items():
            assert not (layer & ~mask[name]).any()
        mask = smaller
        counts.append(num_alive(mask))
    assert counts == [30, 15, 7, 3, 1, 0, 0, 0, 0, 0]


# ---- layer by layer

WEIGHTS = {
    "a": torch.tensor([0.5, -0.1, 0.3, -0.4]),
    "b": torch.tensor([[-9.0, 7.0], [7.0, -8.0]]),
}


def test_each_layer_keeps_its_own_largest_weights():
    kept = prune.layerwise_magnitude(WEIGHTS, ones(a=(4,), b=(2, 2)), {"a": 2, "b": 3})
    # Of the two 7s the one at the earlier place goes.
    assert bits(kept) == {"a": [1, 0, 0, 1], "b": [[1, 0], [1, 1]]}


def test_a_layer_keeps_what_is_dead_dead_and_may_lose_everything_or_nothing():
    mask = ones(a=(4,), b=(2, 2))
    mask["a"][0] = False
    kept = prune.layerwise_magnitude(WEIGHTS, mask, {"a": 2, "b": 0})
    assert bits(kept) == {"a": [0, 0, 1, 1], "b": [[0, 0], [0, 0]]}
    # Three are alive: of more to leave, no dead one comes back.
    assert bits(prune.layerwise_magnitude(WEIGHTS, mask, {"a": 4, "b": 4}))["a"] == [0, 1, 1, 1]
    assert bits(mask) == {"a": [0, 1, 1, 1], "b": [[1, 1], [1, 1]]}


def test_layer_by_layer_by_what_a_global_pruning_left_is_that_pruning():
    network = models.build("small_resnet", channels=1, classes=10, image_size=(8, 8), seed=0)
    weights, mask = prunable_weights(network), dense(network)
    for _ in range(3):
        everywhere = prune.global_magnitude(weights, mask, 0.5)
        by_layer = prune.layerwise_magnitude(weights, mask, alive_by_layer(everywhere))
        assert all(torch.equal(by_layer[name], layer) for name, layer in everywhere.items())
        mask = everywhere


def test_weights_that_are_not_finite_are_refused_layer_by_layer():
    with pytest.raises(ValueError, match="some weights are not finite"):
        prune.layerwise_magnitude({"a": torch.tensor([1.0, torch.nan])}, ones(a=(2,)), {"a": 1})


def test_what_each_layer_is_left_with():
    mask = ones(a=(10,), b=(5, 5), c=(3,))
    mask["b"][0] = False
    # 10 - 3, 20 - ceil(0.1 * 20), 3 - 0
    alive = alive_by_layer(mask)
    assert prune.num_left(alive, 0.3, {"b": 0.1, "c": 0.0}) == {"a": 7, "b": 18, "c": 3}
    # And once more: 7 - 3 (2.1), 18 - 2 (1.8), 3 - 0.
    assert prune.num_alive_after([0.3, 0.3], mask, {"b": 0.1, "c": 0.0}) == 4 + 16 + 3
    # 33 - 10 (9.9) - 7 (6.9) over all, 10 - 3 - 3, 20 - 6 - 5 (4.2) and 3 - 1 - 1 layer by layer.
    assert prune.num_alive_after([0.3, 0.3], mask) == 16
    assert prune.num_alive_after([0.3, 0.3], mask, {}) == 4 + 9 + 1
    with pytest.raises(ValueError, match="no share can be lost by d, e: the layers are a, b, c"):
        prune.num_left(alive, 0.3, {"d": 0.1, "a": 0.1, "e": 0.1})


# ---- shares that would empty a mask, or change nothing


@pytest.mark.parametrize("fraction", [-0.2, 0.0, 1.0, 1.5, float("nan"), float("inf")])
def test_a_fraction_that_is_no_share_is_refused(fraction):
    mask, weights = ones(a=(4,)), {"a": torch.arange(4.0)}
    for prunes in (
        lambda: prune.num_pruned(4, fraction),
        lambda: prune.global_magnitude(weights, mask, fraction),
        lambda: prune.num_left({"a": 4}, fraction, {}),
        lambda: prune.num_alive_after([0.5, fraction], mask),
        lambda: prune.num_alive_after([0.5, fraction], mask, {}),
    ):
        with pytest.raises(ValueError, match="fraction to prune must be between 0 and 1, got"):
            prunes()
    assert mask["a"].all()


@pytest.mark.parametrize("share", [-0.2, 1.0, float("nan")])
def test_a_layers_share_may_be_nothing_but_not_everything(share):
    assert prune.num_left({"a": 4, "b": 4}, 0.5, {"a": 0.0}) == {"a": 4, "b": 2}
    with pytest.raises(ValueError, match="fraction to prune must be between 0 and 1, got"):
        prune.num_left({"a": 4, "b": 4}, 0.5, {"a": share})
