"""Layers for sequences, volumes and attention: masks, costs and paths, as of all others."""

import pytest
import torch
import user_code
from torch import nn
from torch.nn import functional as F

from lt_core import find, prune
from lt_core.config import Pruning, Recipe
from lt_core.erk import erk_counts
from lt_core.live_paths import LivePaths
from lt_core.macs import macs_by_weight
from lt_core.mask import dense, num_weights, pack, prunable_weights, unpack
from lt_core.rewind import to_initialization
from lt_core.structured.channels import channel_groups


def sizes(network) -> dict[str, int]:
    return {name: weight.numel() for name, weight in prunable_weights(network).items()}


def test_sequences():
    network = nn.Sequential(
        nn.Conv1d(2, 4, 3), nn.ConvTranspose1d(4, 3, 2, stride=2), nn.Flatten(), nn.Linear(48, 5)
    )
    assert sizes(network) == {"0": 2 * 4 * 3, "1": 4 * 3 * 2, "3": 48 * 5}
    # A kernel of 3 has 8 places in 10. Each of these 8 is read once by each transposed weight.
    assert macs_by_weight(network, (2, 10)) == {"0": 24 * 8, "1": 24 * 8, "3": 240, None: 0}
    assert LivePaths(network, (2, 10)).num_live(dense(network)) == 24 + 24 + 240


def test_volumes():
    network = nn.Sequential(
        nn.Conv3d(1, 2, 2), nn.MaxPool3d(1), nn.ConvTranspose3d(2, 1, 2), nn.Flatten()
    )
    assert sizes(network) == {"0": 2 * 8, "2": 2 * 8}
    # 2x2x2 places of a kernel of 2x2x2 in 3x3x3 pixels, and as many to read.
    assert macs_by_weight(network, (1, 3, 3, 3)) == {"0": 16 * 8, "2": 16 * 8, None: 0}
    assert LivePaths(network, (1, 3, 3, 3)).num_live(dense(network)) == 32


class Attention(nn.Module):
    """On images of one channel, whose rows are a sequence."""

    def __init__(self, width, heads=1, **settings):
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True, **settings)
        self.head = nn.Linear(width, 1)

    def forward(self, images):
        x = images.squeeze(1)
        return self.head(self.attention(x, x, x)[0].mean(1))


def test_projections_of_attention():
    network = Attention(8, heads=2)
    assert sizes(network) == {
        "attention.in_proj_weight": 24 * 8,
        "attention.out_proj": 8 * 8,
        "head": 8,
    }
    assert macs_by_weight(network, (1, 5, 8)) == {
        "attention.in_proj_weight": 5 * 192,
        "attention.out_proj": 5 * 64,
        "head": 8,
        None: 2 * 5 * 5 * 8,  # queries by keys, and what they weigh by values
    }
    apart = Attention(8, kdim=8, vdim=8)
    apart.attention = nn.MultiheadAttention(8, 2, kdim=4, vdim=2)
    assert list(sizes(apart).items())[:4] == [
        ("attention.q_proj_weight", 64),
        ("attention.k_proj_weight", 32),
        ("attention.v_proj_weight", 16),
        ("attention.out_proj", 64),
    ]
    assert list(sizes(nn.MultiheadAttention(2, 1))) == ["in_proj_weight", "out_proj"]


def test_what_was_prunable_keeps_its_order():
    names = list(sizes(user_code.attention(1, 4, (12, 12))))
    assert names == [
        "patches",
        "encoder.self_attn.in_proj_weight",
        *("encoder.self_attn.out_proj", "encoder.linear1", "encoder.linear2", "head"),
    ]


def test_what_is_never_pruned():
    layers = (nn.Embedding(3, 4), nn.LayerNorm(4), nn.GRU(4, 4), nn.LSTM(4, 4), nn.Linear(4, 2))
    assert sizes(nn.Sequential(*layers)) == {"4": 8}


def test_magnitudes_over_attention_and_layers_together():
    network = Attention(2)
    with torch.no_grad():
        # 12 weights from -6 to 5, 4 of 3.5 and 2 of 0.5.
        network.attention.in_proj_weight.copy_(torch.arange(-6.0, 6).view(6, 2))
        network.attention.out_proj.weight.fill_(3.5)
        network.head.weight.fill_(0.5)
    # ceil(0.5 x 18) = 9 go: 0, two of 0.5, two of 1, two of 2 and two of 3.
    mask = prune.global_magnitude(prunable_weights(network), dense(network), 0.5)
    left = [[1, 1], [1, 0], [0, 0], [0, 0], [0, 0], [1, 1]]
    assert mask["attention.in_proj_weight"].int().tolist() == left
    assert mask["attention.out_proj"].all()
    assert not mask["head"].any()
    again = unpack(pack(mask))
    assert all(torch.equal(again[name], layer) for name, layer in mask.items())


def test_paths_through_a_transposed_convolution():
    """Two values, two channels of them; each is written to two places of four, which are joined."""
    network = nn.Sequential(
        nn.Conv1d(1, 2, 1), nn.ConvTranspose1d(2, 1, 2, stride=2), nn.Flatten(), nn.Linear(4, 1)
    )
    mask = dense(network)
    mask["0"][1] = False  # so that what reads channel 1 reads nothing
    mask["3"][0, 1] = mask["3"][0, 3] = False  # the places that kernel position 1 writes
    through = LivePaths(network, (1, 2)).through(mask)
    assert through["0"].flatten().tolist() == [True, True]  # channel 1 would be on a path
    assert through["1"].tolist() == [[[True, False]], [[False, False]]]
    # Of the last layer, places 1 and 3 are written by kernel position 1, which is alive.
    assert through["3"].tolist() == [[True] * 4]
    assert LivePaths(network, (1, 2)).num_live(mask) == 1 + 1 + 2


@pytest.mark.parametrize(
    ("pruned", "live"),
    [
        (slice(4, 6), 0),  # no values: nothing reaches the output
        (slice(2, 4), 18 - 4 - 4),  # no keys: no query counts, but values are averaged
        (slice(0, 2), 18 - 4 - 4),  # and the reverse
        (slice(0, 4), 18 - 8),
    ],
)
def test_paths_through_attention(pruned, live):
    """12 weights of queries, keys and values, 4 of the projection and 2 of the head."""

    class ByHand(Attention):
        def forward(self, images):
            attention = self.attention
            projected = F.linear(images.squeeze(1), attention.in_proj_weight)
            query, key, value = (x.unsqueeze(1) for x in projected.chunk(3, -1))
            attended = F.scaled_dot_product_attention(query, key, value=value).squeeze(1)
            return self.head(attention.out_proj(attended).mean(1))

    for network in (Attention(2), ByHand(2)):
        mask = dense(network)
        mask["attention.in_proj_weight"][pruned] = False
        assert num_weights(mask) == 18
        assert LivePaths(network, (1, 3, 2)).num_live(mask) == live


def test_paths_where_keys_and_values_have_another_size():
    class Apart(Attention):
        def forward(self, images):
            x = images.squeeze(1)
            few = x[..., :1]
            return self.head(self.attention(x, few, few)[0].mean(1))

    network = Apart(2, heads=2, kdim=1, vdim=1)
    mask = dense(network)
    paths = LivePaths(network, (1, 3, 2))
    assert paths.num_live(mask) == 4 + 2 + 2 + 4 + 2
    mask["attention.v_proj_weight"][0] = False
    # The first head has no values: its 2 query weights, its key weight and 2 of the projection.
    assert paths.num_live(mask) == 14 - 1 - 2 - 1 - 2


def test_erk_of_a_transposed_convolution():
    # Densities in proportion (4 + 2 + 3) / 24 and (10 + 10) / 100: 9 and 20 of 29.
    assert erk_counts({"up": (4, 2, 3), "head": (10, 10)}, 29) == {"up": 9, "head": 20}


def test_a_chain_prunes_the_projections_by_a_score():
    images = user_code.four_kinds(None)
    recipe = Recipe(lr=0.05, batch_size=50, duration="1ep")
    pruning = Pruning(strategy="magnitude_increase", fraction=0.5)
    first, second = find("user_code:attention", images, recipe, pruning, rounds=1, seed=0)
    name = "encoder.self_attn.in_proj_weight"
    assert not first.next_mask[name].all()
    weight = prunable_weights(second.evaluation.model)[name]
    assert not weight[~second.mask[name]].any()
    assert weight[second.mask[name]].all()
    start = to_initialization("user_code:attention", images, seed=0).state_dict()[name]
    assert not torch.equal(weight, start)


@pytest.mark.parametrize(
    ("network", "shape", "what"),
    [
        (nn.Sequential(nn.Conv1d(1, 2, 3), nn.Flatten(), nn.Linear(4, 2)), (1, 4), "0 (Conv1d)"),
        (Attention(4), (3, 4), "attention (MultiheadAttention)"),
    ],
)
def test_whole_filters_of_them_are_refused(network, shape, what):
    with pytest.raises(ValueError, match="cannot follow the channels") as error:
        channel_groups(network, shape)
    assert str(error.value).endswith(f"{what} is not a layer it knows")
