"""Synthetic images, for tests: a pattern for each class, under noise."""

from pathlib import Path

import numpy as np

from lt_core.data import DataSet, Split

SIZES = (400, 100, 200)  # train, validation, test


def load(data_dir: Path) -> DataSet:
    """Four classes of 3x16x16 images: 400 to train, 100 to validate, 200 to test; fixed.

    Args:
        data_dir: unused.
    """
    # RandomState: unlike Generator's, its numbers are promised never to change.
    random = np.random.RandomState(0)
    patterns = random.randint(64, 192, (4, 3, 16, 16))

    def draw(size: int) -> Split:
        labels = random.randint(4, size=size).astype(np.int64)
        noise = random.randint(-64, 64, (size, 3, 16, 16))
        return Split((patterns[labels] + noise).astype(np.uint8), labels)

    train, validation, test = map(draw, SIZES)
    return DataSet("synthetic", train, validation, test, classes=4)
