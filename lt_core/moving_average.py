"""The exponential moving average of a network's weights over the steps of a training."""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn


class MovingAverage:
    """The average over the steps so far; where the recipe asks for none, nothing at all.

    After the first step it is the weights, then `decay` * average + (1 - `decay`) * weights, as
    `torch.optim.swa_utils.AveragedModel` has it. A weight that is always 0 has an average of 0.
    """

    def __init__(
        self, network: nn.Module, optimizer: torch.optim.Optimizer, decay: float | None
    ) -> None:
        """Prepare.

        Args:
            network: whose weights are averaged.
            optimizer: takes the steps; the weights after each of them count.
            decay: share of the old average that a step keeps; None: no average.
        """
        self.network = network
        self.weights: dict[str, Tensor] = {}
        """By parameter name, as the parameters lie in memory; empty before the first step."""

        if decay is not None:
            share = 1 - decay
            optimizer.register_step_post_hook(lambda *_: self._take_in(share))

    def _take_in(self, share: float) -> None:
        weights = {name: weight.detach() for name, weight in self.network.named_parameters()}
        if not self.weights:
            self.weights = {name: weight.clone() for name, weight in weights.items()}
        else:
            averages = [self.weights[name] for name in weights]  # a checkpoint has another order
            torch._foreach_lerp_(averages, list(weights.values()), share)

    def exchange(self) -> None:
        """Give the network the average, and keep its weights in place of that; or take it back."""
        for name, parameter in self.network.named_parameters():
            if name in self.weights:
                parameter.data, self.weights[name] = self.weights[name], parameter.data

    @contextlib.contextmanager
    def in_network(self) -> Iterator[None]:
        """The network has the average meanwhile."""
        self.exchange()
        try:
            yield
        finally:
            self.exchange()
