"""Image files, as arrays."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from lt_core.data import DataSet, Split, hold_out

Labelled = tuple[Sequence[Path], Sequence[int]]
"""Image files and their classes."""


def read_data_set(
    name: str, official: Labelled, test: Labelled, *, size: int, classes: int
) -> DataSet:
    """A data set of image files, augmented; a tenth of `official` is held out to validate.

    Raises:
        ValueError: for a file that is missing or no image, with its name.
    """
    paths, labels = official
    train, validation = (
        read([paths[i] for i in part], [labels[i] for i in part], size)
        for part in hold_out(len(paths))
    )
    return DataSet(name, train, validation, read(*test, size), classes, augment=True)


def read(paths: Sequence[Path], labels: Sequence[int], size: int) -> Split:
    """Decode image files in threads, as RGB squares: [N, 3, size, size].

    An image of another shape is cut to the square in its middle, then resized (bicubic).

    Raises:
        ValueError: for a file that is missing or no image, with its name.
    """
    images = np.empty((len(paths), 3, size, size), np.uint8)

    def decode(i: int) -> None:
        images[i] = _decoded(paths[i], size)

    with ThreadPoolExecutor() as threads:
        list(threads.map(decode, range(len(paths))))
    return Split(images, np.array(labels, np.int64))


def _decoded(path: Path, size: int) -> NDArray[np.uint8]:
    try:
        with Image.open(path) as image:
            square = ImageOps.fit(image.convert("RGB"), (size, size))
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except (OSError, SyntaxError, ValueError) as error:  # what PIL raises for damaged files
        raise ValueError(f"{path}: not a readable image ({error})") from error
    return np.asarray(square).transpose(2, 0, 1)
