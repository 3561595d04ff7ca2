"""What masks of one network cost."""

import math
from collections.abc import Sequence

from torch import nn

from lt_core.cost import Cost
from lt_core.data.shapes import InputShape
from lt_core.live_paths import LivePaths
from lt_core.macs import macs_by_weight
from lt_core.mask import Mask, alive_by_layer, num_weights
from lt_core.structured.channels import Group
from lt_core.structured.filters import with_dependents


class Costing:
    """Counts what masks of one network cost; the network is looked at once."""

    def __init__(
        self,
        network: nn.Module,
        image_shape: InputShape,
        groups: Sequence[Group] | None = None,
    ) -> None:
        """Prepare.

        Args:
            network: dense; is kept, and left as it is.
            image_shape: of one image, or other input.
            groups: its `channel_groups`, where masks are of whole filters, which a smaller network
                is without.

        Raises:
            Exception: whatever the network raises for inputs of ones.
        """
        self.network = network
        self.groups = groups
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
        bitmask = others + 4 * num_alive + math.ceil(weights / 8)
        csr = others + 8 * num_alive + 4 * rows
        if self.groups is not None:
            bitmask = csr = 4 * self._num_left(self.groups, mask)
        return Cost(
            weights=weights,
            alive=num_alive,
            live=self.paths.num_live(mask),
            macs=dense_macs - pruned_macs,
            dense_macs=dense_macs,
            dense_bytes=4 * self.num_parameters,
            bitmask_bytes=bitmask,
            csr_bytes=csr,
        )

    def _num_left(self, groups: Sequence[Group], mask: Mask) -> int:
        """The number of parameters of the network without the filters that a mask prunes."""
        pruned = with_dependents(self.network, groups, mask)
        return self.num_parameters - sum(int((~part).sum()) for part in pruned.values())
