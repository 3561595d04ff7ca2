"""What a round starts from."""

from torch import nn

from lt_core import models
from lt_core.config import ModelName
from lt_core.data import DataSet


def to_initialization(name: ModelName, data: DataSet, *, seed: int) -> nn.Module:
    """The network as it was initialized: every weight, bias and batch norm statistic.

    Optimizer momentum and the schedule start anew with the training. Frankle & Carbin 2019
    (arXiv:1803.03635), section 1: the winning ticket.
    """
    return models.build(
        name,
        channels=data.channels,
        classes=data.classes,
        image_size=data.image_size,
        seed=seed,
    )
