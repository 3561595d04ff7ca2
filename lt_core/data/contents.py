"""What a data set is by its content, whatever its name."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lt_core.data import DataSet
from lt_core.data.shapes import Shape

PUBLISHED = {
    "digits": "8963c58c5aa0d4ac83e7",
    "mnist_5000": "9cf464640d9ef8dd22a1",
    "synthetic": "135f50b23075305939c4",
}
"""Fingerprints of the data sets that come with a package."""

SHAPES = {
    "digits": Shape(1, (8, 8), 10),
    "mnist_5000": Shape(1, (28, 28), 10),
    "mnist": Shape(1, (28, 28), 10),
    "fashion_mnist": Shape(1, (28, 28), 10),
    "cifar10": Shape(3, (32, 32), 10),
    "cifar100": Shape(3, (32, 32), 100),
    "tiny_imagenet": Shape(3, (64, 64), 200),
    "miniplaces": Shape(3, (64, 64), 100),
    "synthetic": Shape(3, (16, 16), 4),
}
"""Of all data sets with a published content: known without their files."""

_CHUNK = 1 << 24


def fingerprint(data: DataSet) -> str:
    """A hash of everything of a data set that trainings see: 20 hexadecimal digits.

    That is pixels, labels and shapes of its splits, the number of classes, and whether images are
    augmented; of other inputs their type, and of texts the number of tokens. Not its name.
    """
    with ThreadPoolExecutor() as threads:  # hashlib lets go of the GIL
        splits = [
            [array.shape, list(threads.map(_digest, _chunks(array)))]
            for split in (data.train, data.validation, data.test)
            for array in (split.images, split.labels)
        ]
    others = [] if data.is_normalized else [str(data.train.images.dtype), data.vocabulary]
    text = repr([splits, data.classes, data.augment, *others])
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def _chunks(array: NDArray[Any]) -> list[memoryview]:
    content = memoryview(array.reshape(-1).view(np.uint8))  # type: ignore[arg-type]  # numpy's stubs
    return [content[i : i + _CHUNK] for i in range(0, len(content), _CHUNK)]


def _digest(chunk: memoryview) -> str:
    return hashlib.sha256(chunk).hexdigest()
