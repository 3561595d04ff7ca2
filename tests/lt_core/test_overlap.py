import math

import numpy as np
import pytest
import torch

from lt_core import chance_jaccard, jaccard, prune, seeds
from lt_core.mask import pack
from lt_core.overlap import chance_jaccards, jaccards


def mask(**layers: str) -> dict[str, torch.Tensor]:
    """A mask of flat layers, written as ones and zeros."""
    return {
        name: torch.tensor([bit == "1" for bit in layer], dtype=torch.bool)
        for name, layer in layers.items()
    }


FIRST, SECOND = mask(conv="1110", fc="10"), mask(conv="0011", fc="01")
# Both: 1 + 0; either: 4 + 3 - 1 = 6.
JACCARD = 1 / 6
# Both by chance: 3 * 2 / 4 + 1 * 1 / 2 = 2; either: 4 + 3 - 2 = 5.
CHANCE = 2 / 5


def test_the_jaccard_index_is_what_both_have_of_what_either_has():
    assert jaccard(FIRST, SECOND) == jaccard(SECOND, FIRST) == pytest.approx(JACCARD)
    assert jaccard(FIRST, FIRST) == 1
    assert jaccard(mask(fc="1100"), mask(fc="0011")) == 0
    assert jaccard(mask(fc="000"), mask(fc="000")) == 1  # as any equal masks
    assert jaccard(mask(fc="000"), mask(fc="010")) == 0


def test_chance_keeps_the_layerwise_pruning_ratios():
    assert chance_jaccard(FIRST, SECOND) == chance_jaccard(SECOND, FIRST) == pytest.approx(CHANCE)
    # Of itself: 3 * 3 / 4 + 1 * 1 / 2 = 2.75 both; either: 8 - 2.75.
    assert chance_jaccard(FIRST, FIRST) == pytest.approx(2.75 / 5.25)
    assert chance_jaccard(mask(fc="11"), mask(fc="11")) == 1
    assert chance_jaccard(mask(fc="00"), mask(fc="00")) == 1
    assert chance_jaccard(mask(fc="00"), mask(fc="01")) == 0


def test_masks_may_be_packed():
    assert jaccard(pack(FIRST), SECOND) == pytest.approx(JACCARD)
    assert chance_jaccard(pack(FIRST), pack(SECOND)) == pytest.approx(CHANCE)


def test_all_pairs_of_masks_as_counted_one_by_one():
    """Of layers that share bytes, and words of 64 bits."""
    generator = np.random.default_rng(0)
    sizes = {"conv": (3, 7), "shortcut": (1,), "fc": (11, 13)}
    masks = [
        {name: torch.from_numpy(generator.random(size) < density) for name, size in sizes.items()}
        for density in (0.02, 0.2, 0.5, 0.9)
    ]
    found = jaccards([pack(mask) for mask in masks])
    by_chance = chance_jaccards([pack(mask) for mask in masks])
    assert found.shape == by_chance.shape == (4, 4)
    for i, first in enumerate(masks):
        for j, second in enumerate(masks):
            both = sum(int((first[name] & second[name]).sum()) for name in sizes)
            either = sum(int((first[name] | second[name]).sum()) for name in sizes)
            assert found[i, j] == pytest.approx(both / either)
            alive = [sum(int(layer.sum()) for layer in mask.values()) for mask in (first, second)]
            expected = sum(
                int(first[name].sum()) * int(second[name].sum()) / math.prod(size)
                for name, size in sizes.items()
            )
            assert by_chance[i, j] == pytest.approx(expected / (sum(alive) - expected))


def test_a_ticket_shuffled_within_its_layers_overlaps_it_as_by_chance():
    ticket = {"conv": torch.arange(4000) < 1000, "fc": torch.arange(2000) < 200}
    # Both by chance: 1000² / 4000 + 200² / 2000 = 270; either: 2400 - 270 = 2130. At the density of
    # the whole network, 0.2, it would be 240 / 2160 = 0.111.
    by_chance = chance_jaccard(ticket, ticket)
    assert by_chance == pytest.approx(270 / 2130)

    shuffled = [prune.preserve_lpr(ticket, seeds.generator(seed, "x", 1)) for seed in range(25)]
    found = [jaccard(ticket, mask) for mask in shuffled]
    # The number in both is hypergeometric in each layer, of variance n (d (1 - d))²:
    # 4000 * 0.1875² + 2000 * 0.09² = 157, so 270 ± 12.5. Per weight the index grows by
    # 2400 / 2130² = 0.00053: one mask is within ± 0.0066, a mean of 25 within ± 0.0013.
    assert np.mean(found) == pytest.approx(by_chance, abs=4 * 0.0013)
    assert np.std(found) == pytest.approx(0.0066, rel=0.5)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (mask(conv="1110", fc="100"), r"fc of \(2,\) in one, fc of \(3,\) in another"),
        (mask(fc="10", conv="1110"), r"conv of \(4,\) in one, fc of \(2,\) in another"),
        (mask(conv="1110"), r"fc of \(2,\) in one, no layer in another"),
    ],
)
def test_masks_of_different_networks_are_not_compared(other, message):
    for compare in (jaccard, chance_jaccard):
        with pytest.raises(ValueError, match=f"the masks are of different networks: {message}"):
            compare(FIRST, other)


def test_packed_masks_are_compared_without_torch(in_another_process):
    code = """
import sys
import numpy as np
from lt_core import chance_jaccard, jaccard
from lt_core.packed_mask import PackedMask
mask = PackedMask({"fc": (2, 4)}, np.array([0b10110001], np.uint8))
print(jaccard(mask, mask), chance_jaccard(mask, mask), "torch" in sys.modules)
"""
    # By chance 4 * 4 / 8 = 2 of 8 - 2 = 6.
    assert in_another_process(code) == f"1.0 {2 / 6} False"
