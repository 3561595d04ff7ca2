"""scikit-learn's handwritten digits: 1,797 real 8x8 images that come with the package."""

from pathlib import Path

import numpy as np
import sklearn.datasets

from lt_core.data import DataSet, Split

NUM_TRAIN, NUM_VALIDATION = 1000, 297  # the remaining 500 are the test set


def load(data_dir: Path) -> DataSet:
    """1,000 images to train, 297 to validate, 500 to test, drawn once and for all.

    Args:
        data_dir: not read.
    """
    digits = sklearn.datasets.load_digits()
    # The file is in order of the writers, so its tail alone would be another distribution.
    # RandomState: unlike Generator's, its numbers are promised never to change.
    order = np.random.RandomState(0).permutation(len(digits.target))
    images = digits.images.astype(np.uint8)[order, None]
    labels = digits.target.astype(np.int64)[order]
    parts = np.split(np.arange(len(labels)), [NUM_TRAIN, NUM_TRAIN + NUM_VALIDATION])
    train, validation, test = (Split(images[part], labels[part]) for part in parts)
    return DataSet("digits", train, validation, test, classes=10)
