"""MNIST, Fashion-MNIST, CIFAR-10 and CIFAR-100 through torchvision, which also downloads them."""

import contextlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
from torchvision import datasets
from torchvision.datasets.mnist import read_sn3_pascalvincent_tensor
from torchvision.datasets.utils import check_integrity

from lt_core.data import DataSet, Split, hold_out


def load_mnist(data_dir: Path) -> DataSet:
    """LeCun et al. 1998: 54,000 images to train, 6,000 held out to validate, 10,000 to test."""
    return _load("mnist", datasets.MNIST, data_dir, "MNIST/raw", classes=10, augment=False)


def load_fashion_mnist(data_dir: Path) -> DataSet:
    """Xiao et al. 2017 (arXiv:1708.07747): split as MNIST."""
    where = "FashionMNIST/raw"
    return _load("fashion_mnist", datasets.FashionMNIST, data_dir, where, classes=10, augment=False)


def load_cifar10(data_dir: Path) -> DataSet:
    """Krizhevsky 2009: 45,000 images to train, 5,000 held out to validate, 10,000 to test."""
    where = "cifar-10-batches-py"
    return _load("cifar10", datasets.CIFAR10, data_dir, where, classes=10, augment=True)


def load_cifar100(data_dir: Path) -> DataSet:
    """Krizhevsky 2009: split as CIFAR-10."""
    where = "cifar-100-python"
    return _load("cifar100", datasets.CIFAR100, data_dir, where, classes=100, augment=True)


def _load(
    name: str, source: Any, data_dir: Path, where: str, *, classes: int, augment: bool
) -> DataSet:
    """Read an official training and test set, downloaded if they are not in `data_dir`.

    Raises:
        ValueError: for files that are damaged, or missing where they cannot be downloaded.
    """
    try:
        with contextlib.redirect_stdout(sys.stderr):  # torchvision prints as it downloads
            official, test = (source(data_dir, train=part, download=True) for part in (True, False))
    except Exception as error:  # damaged files raise errors of many types
        if damaged := _damaged(source, data_dir / where):
            raise ValueError(
                f"{name}: damaged: {', '.join(map(str, damaged))}; remove what is named here, to "
                "have it downloaded again, or put whole files in its place"
            ) from error
        if not isinstance(error, OSError | RuntimeError):
            raise
        raise ValueError(
            f"{name}: is not in {data_dir / where}, and cannot be downloaded "
            f"({' '.join(str(error).split())}). Where there is a network, "
            f"torchvision.datasets.{source.__name__}(FOLDER, download=True) does it: put what it "
            f"makes, {where}, into {data_dir}"
        ) from error
    official, test = as_split(official.data, official.targets), as_split(test.data, test.targets)
    train, validation = (
        Split(official.images[part], official.labels[part]) for part in hold_out(len(official))
    )
    return DataSet(name, train, validation, test, classes, augment)


def _damaged(source: Any, folder: Path) -> list[Path]:
    """Files of a data set that are in `folder`, but cut short or changed."""
    if issubclass(source, datasets.MNIST):
        # torchvision has no checksum of the unpacked files; each begins with its own size.
        names = [name.removesuffix(".gz") for name, _ in source.resources]
        return [folder / name for name in names if _is_cut(folder / name)]
    meta = (source.meta["filename"], source.meta["md5"])
    return [
        folder / name
        for name, checksum in (*source.train_list, *source.test_list, meta)
        if (folder / name).is_file() and not check_integrity(folder / name, checksum)
    ]


def _is_cut(file: Path) -> bool:
    """Whether a file of MNIST's format is there, and is not as long as its first bytes say."""
    if not file.is_file():
        return False
    try:
        read_sn3_pascalvincent_tensor(str(file))
    except (AssertionError, KeyError, RuntimeError, ValueError):
        return True
    return False


def as_split(images: Any, labels: Any) -> Split:
    """torchvision's images and labels as a `Split`.

    Args:
        images: grey [N, H, W] (MNIST's tensor) or colour [N, H, W, 3] (CIFAR's array), uint8.
        labels: [N], a tensor or a list.
    """
    images = np.asarray(images)
    images = images[:, None] if images.ndim == 3 else images.transpose(0, 3, 1, 2)
    return Split(np.ascontiguousarray(images), np.asarray(labels, np.int64))
