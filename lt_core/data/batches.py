"""Images of a split on a device, as normalized batches."""

import warnings

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lt_core import seeds
from lt_core.data import DataSet, Split
from lt_core.data.augmentation import augment


class Batches:
    """A split on a device: an index gives float32 images [B, C, H, W] and labels [B].

    An index is a tensor of positions or a slice.
    """

    def __init__(self, data: DataSet, split: Split, device: str) -> None:
        self.images = _tensor(split.images).to(device)
        self.labels = _tensor(split.labels).to(device)
        self.augments = data.augment
        self.mean, self.std = (torch.from_numpy(value).to(device) for value in data.mean_and_std)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Tensor | slice) -> tuple[Tensor, Tensor]:
        return self._normalized(self.images[index]), self.labels[index]

    def for_training(self, index: Tensor, seed: int, step: int) -> tuple[Tensor, Tensor]:
        """The batch at `index`, augmented if the data set is, with draws for this seed and step."""
        if not self.augments:
            return self[index]
        images = augment(self.images[index], seeds.generator(seed, "augmentation", step))
        return self._normalized(images), self.labels[index]

    def _normalized(self, images: Tensor) -> Tensor:
        images = images.to(torch.float32, memory_format=torch.channels_last)
        return images.sub_(self.mean).div_(self.std)


def _tensor(array: NDArray[np.uint8] | NDArray[np.int64]) -> Tensor:
    """A tensor over the array's memory, which is read-only where it is Ray's; it is not written."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(array)
