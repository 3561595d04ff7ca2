"""Rows of a table as own data, and a network for them: see `sweeps/tabular.yaml`."""

from pathlib import Path

import numpy as np
import sklearn.datasets
from torch import nn

from lt_core.data import DataSet, Split, draw_splits


def load(data_dir: Path) -> DataSet:
    """569 biopsies of the breast, 30 measures of cell nuclei each: malignant (0) or benign (1).

    Wolberg, Street & Mangasarian 1995, UCI Machine Learning Repository; comes with scikit-learn.
    Each measure is scaled by its mean and deviation over the 300 training rows.

    Args:
        data_dir: unused.
    """
    table = sklearn.datasets.load_breast_cancer()
    splits = draw_splits(table.data.astype(np.float32), table.target.astype(np.int64), 300, 100)
    train = splits[0].images
    mean, std = train.mean(0), train.std(0)
    scaled = (Split((split.images - mean) / std, split.labels) for split in splits)
    return DataSet("breast_cancer", *scaled, classes=2)


def make_net(features: int, classes: int) -> nn.Module:
    """30 x 64 + 64 x 64 + 64 x 2 = 6,144 weights to prune."""
    return nn.Sequential(
        nn.Linear(features, 64),
        nn.ReLU(),
        nn.Linear(64, 64),
        nn.ReLU(),
        nn.Linear(64, classes),
    )
