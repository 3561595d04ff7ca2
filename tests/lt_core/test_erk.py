import torch
from hypothesis import given
from hypothesis import strategies as st

from lt_core import seeds
from lt_core.erk import erk_counts, erk_random
from lt_core.mask import alive_by_layer

SHAPES = {"conv": (4, 2, 3, 3), "fc": (10, 20)}  # 72 and 200 weights; sums 12 and 30


def test_each_layer_keeps_in_proportion_to_the_sum_of_its_sizes():
    assert erk_counts(SHAPES, 42) == {"conv": 12, "fc": 30}
    assert erk_counts(SHAPES, 84) == {"conv": 24, "fc": 60}


def test_what_rounding_leaves_goes_to_the_largest_remainder():
    # 12 and 30 parts of 42: 2.857 and 7.143
    assert erk_counts(SHAPES, 10) == {"conv": 3, "fc": 7}


def test_a_layer_that_would_keep_more_than_it_has_is_whole():
    # 264 x 12 / 42 = 75.4 of 72, so 192 of 200 are left for the other
    assert erk_counts(SHAPES, 264) == {"conv": 72, "fc": 192}
    assert erk_counts(SHAPES, 272) == {"conv": 72, "fc": 200}


def test_a_layer_keeps_no_more_than_it_has_alive():
    # Of 42 it would keep 12.
    assert erk_counts(SHAPES, 42, {"conv": 10, "fc": 200}) == {"conv": 10, "fc": 32}
    assert erk_counts(SHAPES, 42, {"conv": 12, "fc": 30}) == {"conv": 12, "fc": 30}


@given(
    st.lists(st.lists(st.integers(1, 9), min_size=2, max_size=4), min_size=1, max_size=5),
    st.floats(0, 1),
)
def test_the_number_is_exact_and_no_layer_has_more_than_its_weights(shapes, share):
    sizes = {str(i): int(torch.tensor(shape).prod()) for i, shape in enumerate(shapes)}
    num_alive = int(share * sum(sizes.values()))
    counts = erk_counts({str(i): tuple(shape) for i, shape in enumerate(shapes)}, num_alive)
    assert sum(counts.values()) == num_alive
    assert all(0 <= counts[name] <= size for name, size in sizes.items())
    fewer = erk_counts(
        {str(i): tuple(shape) for i, shape in enumerate(shapes)}, num_alive * 3 // 4, counts
    )
    assert sum(fewer.values()) == num_alive * 3 // 4
    assert all(0 <= fewer[name] <= counts[name] for name in sizes)


def test_a_mask_is_random_and_the_same_for_the_same_seed():
    everything = {name: torch.ones(shape, dtype=torch.bool) for name, shape in SHAPES.items()}
    masks = [erk_random(everything, 42, seeds.generator(seed, "erk")) for seed in (0, 0, 1)]
    assert [alive_by_layer(mask) for mask in masks] == 3 * [{"conv": 12, "fc": 30}]
    assert all(torch.equal(masks[0][name], masks[1][name]) for name in SHAPES)
    assert not torch.equal(masks[0]["fc"], masks[2]["fc"])
