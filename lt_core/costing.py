"""What masks of one network cost."""

import math

from torch import nn

from lt_core.cost import Cost
from lt_core.live_paths import LivePaths
from lt_core.macs import macs_by_weight
from lt_core.mask import Mask, alive_by_layer, num_weights


class Costing:
    """Counts what masks of one network cost; the network is looked at once."""

    def __init__(self, network: nn.Module, image_shape: tuple[int, int, int]) -> None:
        """Prepare.

        Args:
            network: dense, left as it is.
            image_shape: [channels, height, width].
        """
        self.macs = macs_by_weight(network, image_shape)
        self.num_parameters = sum(parameter.numel() for parameter in network.parameters())
        self.paths = LivePaths(network, image_shape)

    def cost(self, mask: Mask) -> Cost:
        """What the network costs under `mask`; layers that it lacks are whole."""
        alive = alive_by_layer(mask)
        dense_macs = sum(self.macs.values())
        pruned_macs = sum(
            self.macs[name] * (layer.numel() - alive[name]) // layer.numel()
            for name, layer in mask.items()
        )
        weights, num_alive = num_weights(mask), sum(alive.values())
        rows = sum(len(layer) + 1 for layer in mask.values())
        others = 4 * (self.num_parameters - weights)
        return Cost(
            weights=weights,
            alive=num_alive,
            live=self.paths.num_live(mask),
            macs=dense_macs - pruned_macs,
            dense_macs=dense_macs,
            dense_bytes=4 * self.num_parameters,
            bitmask_bytes=others + 4 * num_alive + math.ceil(weights / 8),
            csr_bytes=others + 8 * num_alive + 4 * rows,
        )
