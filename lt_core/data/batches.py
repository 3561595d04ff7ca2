"""Images, or other inputs, of a split on a device, as batches."""

import warnings
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from lt_core import seeds
from lt_core.data import DataSet, Split
from lt_core.data.augmentation import crop_and_mirror, draw


class Batches:
    """A split on a device: an index gives float32 images [B, C, H, W] and labels [B].

    They are normalized where the data set is. Other inputs are as they are, tokens int64 [B, L].

    An index is a tensor of positions or a slice.
    """

    def __init__(self, data: DataSet, split: Split, device: str) -> None:
        self.images, self.labels = _on(device, split)
        self.augments = data.augment
        self.mean_and_std = None
        if data.is_normalized:
            mean, std = (torch.from_numpy(value).to(device) for value in data.mean_and_std)
            self.mean_and_std = mean, std

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Tensor | slice) -> tuple[Tensor, Tensor]:
        return self._inputs(self.images[index]), self.labels[index]

    def draws(self, seed: int, steps: range, batch_size: int) -> Tensor | None:
        """What the batches of these steps are augmented by; None where the data set is not.

        Returns:
            int64 [steps, 3, batch_size] on the CPU; row by row `draws` of `for_training`.
        """
        if not self.augments:
            return None
        height, width = self.images.shape[2:]
        return torch.stack(
            [
                draw(batch_size, height, width, seeds.generator(seed, "augmentation", step))
                for step in steps
            ]
        )

    def for_training(self, index: Tensor, draws: Tensor | None) -> tuple[Tensor, Tensor]:
        """The batch at `index`, cropped and mirrored by `draws`, int64 [3, B], if there are any."""
        if draws is None:
            return self[index]
        top, left, mirrored = draws
        images = crop_and_mirror(self.images[index], top, left, mirrored.bool())
        return self._inputs(images), self.labels[index]

    def _inputs(self, images: Tensor) -> Tensor:
        if self.mean_and_std is not None:
            mean, std = self.mean_and_std
            images = images.to(torch.float32, memory_format=torch.channels_last)
            return images.sub_(mean).div_(std)
        # Copies: a slice is the memory of the data set, and a network may change what it is given.
        if not images.is_floating_point():
            return images.to(torch.int64, copy=True)
        is_image = images.dim() == 4
        return images.clone(
            memory_format=torch.channels_last if is_image else torch.preserve_format
        )


def _on(device: str, split: Split) -> tuple[Tensor, Tensor]:
    """Images and labels of a split on a device: sent once, and there for as long as the split."""
    if torch.device(device).type == "cpu":
        return _tensor(split.images), _tensor(split.labels)
    sent: dict[str, tuple[Tensor, Tensor]] = vars(split).setdefault("_sent", {})
    if device not in sent:
        sent[device] = _tensor(split.images).to(device), _tensor(split.labels).to(device)
    return sent[device]


def _tensor(array: NDArray[Any]) -> Tensor:
    """A tensor over the array's memory, which is read-only where it is Ray's; it is not written."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(array)
