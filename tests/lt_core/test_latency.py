import torch
from torch import nn

from lt_core.latency import latencies


class Counted(nn.Module):
    def __init__(self):
        super().__init__()
        self.shapes = []
        self.modes = set()

    def forward(self, image):
        self.shapes.append(tuple(image.shape))
        self.modes.add((self.training, torch.is_inference_mode_enabled()))
        return image


def test_each_network_is_timed_as_often_on_one_image():
    networks = [Counted(), Counted()]
    found = latencies(networks, (1, 4, 6), repeats=10)
    for network, latency in zip(networks, found, strict=True):
        assert network.shapes == [(1, 1, 4, 6)] * 15  # the first five are not counted
        assert network.modes == {(False, True)}
        assert 0 < latency.low <= latency.median <= latency.high
