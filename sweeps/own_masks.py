"""Masks found by searches of one's own, for given_masks.yaml."""

import torch
from torch.nn import functional as F

from lt_core import prune
from lt_core.given_masks import ToFind
from lt_core.mask import Mask, prunable_weights


def largest_at_initialization(of: ToFind) -> Mask:
    """The weights that are initialized largest: the magnitude pruning at initialization of Frankle
    et al. 2021 (arXiv:2009.08576)."""
    return prune.highest(_magnitudes(of), of.mask, of.num_left)


def early_bird(of: ToFind, epochs: int = 2, batch_size: int = 64) -> Mask:
    """The largest weights after a few epochs, in place of a chain: after You et al. 2020
    (arXiv:1909.11957), who prune channels so."""
    network = of.network.to(of.device)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    for _ in range(epochs):
        for positions in torch.randperm(len(of.train)).split(batch_size):
            images, labels = of.train[positions]
            optimizer.zero_grad()
            F.cross_entropy(network(images.to(of.device)), labels.to(of.device)).backward()
            optimizer.step()
    return prune.highest(_magnitudes(of), of.mask, of.num_left)


def _magnitudes(of: ToFind) -> dict[str, torch.Tensor]:
    weights = prunable_weights(of.network)
    return {name: weights[name].detach().abs().cpu() for name in of.mask}
