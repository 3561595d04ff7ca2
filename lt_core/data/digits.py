"""scikit-learn's handwritten digits: 1,797 real 8x8 images that come with the package."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from lt_core.data import DataSet, draw_splits

NUM_TRAIN, NUM_VALIDATION = 1000, 297  # the remaining 500 are the test set


def load(data_dir: Path) -> DataSet:
    """1,000 images to train, 297 to validate, 500 to test, by one fixed permutation.

    Args:
        data_dir: unused.
    """
    package = find_spec("sklearn")  # to import it takes more than a second
    assert package is not None and package.origin is not None
    file = Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"
    lines = np.loadtxt(file, delimiter=",")
    images, labels = lines[:, :-1].reshape(-1, 1, 8, 8), lines[:, -1]
    # The file is in order of the writers, so its tail alone would be another distribution.
    splits = draw_splits(
        images.astype(np.uint8), labels.astype(np.int64), NUM_TRAIN, NUM_VALIDATION
    )
    return DataSet("digits", *splits, classes=10)
