"""LeNet-300-100: LeCun et al. 1998, as pruned by Frankle & Carbin 2019 (arXiv:1803.03635)."""

import math
from collections import OrderedDict

from torch import nn


def lenet_300_100(channels: int, classes: int, image_size: tuple[int, ...]) -> nn.Module:
    """Two hidden layers of 300 and 100. [B, channels, H, W] -> [B, classes] logits.

    The paper's has 784 inputs, for MNIST; here any `image_size` fixes them.
    """
    layers = [
        ("flatten", nn.Flatten()),
        ("fc1", nn.Linear(channels * math.prod(image_size), 300)),
        ("relu1", nn.ReLU()),
        ("fc2", nn.Linear(300, 100)),
        ("relu2", nn.ReLU()),
        ("fc", nn.Linear(100, classes)),
    ]
    return nn.Sequential(OrderedDict(layers))
