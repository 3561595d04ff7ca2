import torch

from lt_core.lpr import layerwise_pruning_ratios


def test_the_fraction_pruned_of_each_layer_in_network_order_to_the_last_bit():
    mask = {
        "stem": torch.tensor([[True, False], [True, True]]),
        "conv": torch.tensor([True] * 7 + [False] * 3),
        "dense": torch.ones(2, 3, dtype=torch.bool),
        "a_head": torch.zeros(5, dtype=torch.bool),
    }
    ratios = layerwise_pruning_ratios(mask)
    assert ratios == {"stem": 0.25, "conv": 0.3, "dense": 0.0, "a_head": 1.0}
    assert list(ratios) == ["stem", "conv", "dense", "a_head"]
    assert all(type(ratio) is float for ratio in ratios.values())
