"""Layerwise pruning ratios (LPR): the fraction pruned of each layer."""

from lt_core.mask import Mask


def layerwise_pruning_ratios(mask: Mask) -> dict[str, float]:
    """Layer name -> fraction of its weights that is pruned, in network order."""
    return {
        name: (layer.numel() - int(layer.sum())) / layer.numel() for name, layer in mask.items()
    }
