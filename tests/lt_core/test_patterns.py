"""N:M patterns, of matrices written by hand."""

import pytest
import torch
from torch import nn

from lt_core import data
from lt_core.chain import find, prune_trained
from lt_core.config import Pruning, Recipe
from lt_core.mask import dense
from lt_core.patterns import broken, keep_highest


def test_of_each_four_in_a_row_the_two_of_largest_magnitude_stay():
    network = nn.Sequential(nn.Linear(8, 2, bias=False))
    with torch.no_grad():
        network[0].weight.copy_(
            torch.tensor(
                [
                    [0.1, -4.0, 3.0, 0.2, 9.0, 8.0, 7.0, -6.0],
                    [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 2.0, -1.0],  # of equal ones the earlier go
                ]
            )
        )
    digits = data.load("digits")
    mask = prune_trained(network, digits, dense(network), Pruning(pattern="2:4"))
    assert mask["0"].int().tolist() == [[0, 1, 1, 0, 1, 1, 0, 0], [0, 0, 1, 1, 0, 0, 1, 1]]
    # 1 of 8: 9 and 2.
    eighth = prune_trained(network, digits, dense(network), Pruning(pattern="1:8"))
    assert eighth["0"].int().tolist() == [[0, 0, 0, 0, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0, 1, 0]]


def test_inputs_of_a_convolution_are_its_channels():
    # One output, four input channels, a kernel of one row and two columns: a group per column.
    weight = torch.tensor([[[[1.0, 8.0]], [[-2.0, 7.0]], [[3.0, 6.0]], [[-4.0, 5.0]]]])
    everything = {"conv": torch.ones(1, 4, 1, 2, dtype=torch.bool)}
    mask = keep_highest({"conv": weight.abs()}, everything, "2:4")
    assert mask["conv"][0, :, 0].int().tolist() == [[0, 1], [0, 1], [1, 0], [1, 0]]
    assert broken(mask, "2:4") == [] and broken(mask, "1:4") == ["conv"]
    assert broken(everything, "2:4") == ["conv"]


def test_a_transposed_layer_is_refused_with_the_way_out(digits):
    network = nn.Sequential(nn.ConvTranspose2d(8, 4, 2), nn.Conv2d(4, 4, 1))
    mask = dense(network)
    with pytest.raises(ValueError, match=r"0 are transposed; `prune.skip: \[0\]` leaves them out"):
        prune_trained(network, digits, mask, Pruning(pattern="2:4"))
    left = prune_trained(network, digits, {"1": mask["1"]}, Pruning(pattern="2:4"))
    assert left["1"].sum() == 8  # of 4 inputs 2, at each of 4 outputs


def test_what_is_pruned_stays_so_whatever_its_score():
    mask = {"fc": torch.tensor([[False, True, True, True]])}
    kept = keep_highest({"fc": torch.tensor([[9.0, -3.0, -2.0, -1.0]])}, mask, "2:4")
    assert kept["fc"].tolist() == [[False, False, True, True]]


def test_a_layer_that_cannot_have_the_pattern_is_named_with_the_way_out():
    everything = {"a": torch.ones(2, 3, 3, 3).bool(), "b": torch.ones(2, 8).bool()}
    everything["c"] = torch.ones(4, 6).bool()
    with pytest.raises(ValueError) as error:
        keep_highest(
            {name: torch.ones(m.shape) for name, m in everything.items()}, everything, "2:4"
        )
    assert str(error.value) == (
        "pattern 2:4 needs layers whose number of inputs is a multiple of 4, not a (3), c (6); "
        "`prune.skip: [a, c]` leaves out what is none"
    )
    with pytest.raises(ValueError, match="cannot prune to 2:4: some weights or scores are not fin"):
        keep_highest({"b": torch.full((2, 8), torch.nan)}, {"b": everything["b"]}, "2:4")


@pytest.mark.parametrize("text", ["4:2", "2:2", "0:4", "2", "2:4:8", "a:b", "-1:4"])
def test_a_pattern_keeps_fewer_than_it_has(text):
    with pytest.raises(ValueError, match="must be how many weights stay of how many"):
        Pruning(pattern=text)


def test_weights_that_a_pattern_prunes_stay_zero_by_a_score_too():
    recipe = Recipe(lr=0.1, batch_size=64, duration="2it")
    pruning = Pruning(pattern="1:4", strategy="taylor", skip=("conv",))
    rounds = list(find("small_resnet", data.load("digits"), recipe, pruning, rounds=1, seed=0))
    assert rounds[1].evaluation.sparsity == 0.75
    weights = rounds[1].evaluation.model.state_dict()
    for name in rounds[1].mask:
        groups = weights[f"{name}.weight"].movedim(1, -1).reshape(-1, 4)
        assert int((groups != 0).sum(1).max()) == 1
    assert "conv" not in rounds[1].mask
