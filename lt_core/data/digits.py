"""scikit-learn's handwritten digits: 1,797 real 8x8 images that come with the package."""

from pathlib import Path

import numpy as np
import sklearn.datasets

from lt_core.data import DataSet, draw_splits

NUM_TRAIN, NUM_VALIDATION = 1000, 297  # the remaining 500 are the test set


def load(data_dir: Path) -> DataSet:
    """1,000 images to train, 297 to validate, 500 to test, by one fixed permutation.

    Args:
        data_dir: unused.
    """
    digits = sklearn.datasets.load_digits()
    images, labels = digits.images.astype(np.uint8)[:, None], digits.target.astype(np.int64)
    # The file is in order of the writers, so its tail alone would be another distribution.
    splits = draw_splits(images, labels, NUM_TRAIN, NUM_VALIDATION)
    return DataSet("digits", *splits, classes=10)
