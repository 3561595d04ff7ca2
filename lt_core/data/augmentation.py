"""Random crops and mirror images of a whole batch at once, on the device of the images.

He et al. 2016 (arXiv:1512.03385), section 4.2: images are padded with zeros, by 4 pixels a side
where they have 32, and a crop of the old size is taken from the padded image or its mirror image.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def draw(count: int, height: int, width: int, generator: torch.Generator) -> Tensor:
    """Random arguments of `crop_and_mirror`, independent from image to image.

    Args:
        count: number of images.
        height: of the images; they are padded by an eighth of it on both sides.
        width: likewise.
        generator: on the CPU, so that the draws are the same for every device.

    Returns:
        int64 [3, count]: top, left, and 1 for an image that is mirrored.
    """
    return torch.stack(
        [
            torch.randint(most + 1, (count,), generator=generator)
            for most in (2 * (height // 8), 2 * (width // 8), 1)
        ]
    )


def crop_and_mirror(images: Tensor, top: Tensor, left: Tensor, mirrored: Tensor) -> Tensor:
    """The crop of each padded image that begins at its `top` and `left`.

    Args:
        images: [B, C, H, W].
        top: int64 [B], in 0 to 2 * (H // 8); the image itself begins at H // 8.
        left: int64 [B], in 0 to 2 * (W // 8).
        mirrored: bool [B], whether the crop is turned left to right.

    Returns:
        [B, C, H, W], channels last.
    """
    count, _, height, width = images.shape
    vertical, horizontal = height // 8, width // 8
    padded = F.pad(images, (horizontal, horizontal, vertical, vertical))
    rows = top[:, None] + torch.arange(height, device=images.device)
    columns = torch.arange(width, device=images.device).expand(count, width)
    columns = left[:, None] + torch.where(mirrored[:, None], columns.flip(1), columns)
    image = torch.arange(count, device=images.device)[:, None, None]
    return padded[image, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
