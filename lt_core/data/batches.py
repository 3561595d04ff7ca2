"""Images of a split on a device, as normalized batches."""

import warnings

import numpy as np
import torch
from torch import Tensor

from lt_core.data import DataSet, Split


class Batches:
    """Indexed by positions or a slice, gives float32 images [B, C, H, W] and labels [B]."""

    def __init__(self, data: DataSet, split: Split, device: str) -> None:
        self.images = _tensor(split.images).to(device)
        self.labels = _tensor(split.labels).to(device)
        self.mean, self.std = (torch.from_numpy(value).to(device) for value in data.mean_and_std)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Tensor | slice) -> tuple[Tensor, Tensor]:
        images = self.images[index].to(torch.float32, memory_format=torch.channels_last)
        return images.sub_(self.mean).div_(self.std), self.labels[index]


def _tensor(array: np.ndarray) -> Tensor:
    """Without a copy: what Ray shares with every trial of a node is read-only, and stays so."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(array)
