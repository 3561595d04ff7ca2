"""Data sets by name, whole in memory as uint8 images."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lt_core.config import DataSetName


@dataclass(frozen=True)
class Split:
    """Images and their classes."""

    images: np.ndarray
    """uint8 [N, C, H, W]."""

    labels: np.ndarray
    """int64 [N], in [0, classes)."""

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class DataSet:
    """Train to fit, validation to choose, test to report.

    Arrays and not tensors, so that Ray hands all trials of a node one copy in shared memory.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    classes: int

    @property
    def channels(self) -> int:
        return self.train.images.shape[1]

    @cached_property
    def mean_and_std(self) -> tuple[np.ndarray, np.ndarray]:
        """Of the training images, per channel; float32 [C, 1, 1] each."""
        pixels = self.train.images
        mean, std = pixels.mean((0, 2, 3)), pixels.std((0, 2, 3))
        return tuple(value.astype(np.float32)[:, None, None] for value in (mean, std))


def load(name: DataSetName) -> DataSet:
    """Load a data set; its splits depend on no seed."""
    from lt_core.data import digits  # here: it imports this module, and scikit-learn is slow

    return {"digits": digits.load}[name]()
