"""Data sets by name, whole in memory as uint8 images."""

import operator
import pkgutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lt_core import import_path
from lt_core.config import DataSetName, data_set_name


@dataclass(frozen=True)
class Split:
    """Images and their classes.

    Raises:
        ValueError: for arrays of another type or shape.
    """

    images: NDArray[np.uint8]
    """uint8 [N, C, H, W]."""

    labels: NDArray[np.int64]
    """int64 [N], in [0, classes)."""

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        for name, array in (("images", images), ("labels", labels)):
            if not isinstance(array, np.ndarray):
                kind = f"{type(array).__module__}.{type(array).__name__}"
                raise ValueError(f"{name} must be a NumPy array, got {kind}: np.asarray makes one")
        if images.dtype != np.uint8 or images.ndim != 4 or images.size == 0:
            raise ValueError(
                f"images must be uint8 [N, C, H, W], got {images.dtype} {list(images.shape)}"
            )
        _, channels, height, width = images.shape
        if channels == height > 4 and width in (3, 4):
            raise ValueError(
                f"images must be uint8 [N, C, H, W], got {list(images.shape)}, which looks like "
                "height, width, channels: images.transpose(0, 3, 1, 2) puts the channels first"
            )
        if labels.dtype != np.int64 or labels.shape != images.shape[:1]:
            raise ValueError(
                f"labels must be int64 [{len(images)}], one for each image, "
                f"got {labels.dtype} {list(labels.shape)}"
            )
        # Arrays that were turned (`images[:, ::-1]`) are none that torch takes.
        object.__setattr__(self, "images", np.ascontiguousarray(images))
        object.__setattr__(self, "labels", np.ascontiguousarray(labels))

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Shape:
    """What a network must know of a data set to be built for it."""

    channels: int
    image_size: tuple[int, int]
    """(height, width)."""

    classes: int


@dataclass(frozen=True)
class DataSet:
    """Train to fit, validation to choose, test to report.

    Arrays and not tensors, so that Ray hands all trials of a node one copy in shared memory.

    Raises:
        ValueError: for labels out of range or images of several shapes.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    classes: int
    augment: bool = False
    """Whether training images are cropped and flipped at random (`lt_core.data.augmentation`)."""

    notes: tuple[str, ...] = ()
    """What was done to read them, for people: `3 of 16 bits scaled`."""

    def __post_init__(self) -> None:
        # As plain values, whatever NumPy made them: they are hashed, and written as JSON.
        try:
            object.__setattr__(self, "classes", operator.index(self.classes))
        except TypeError:
            raise ValueError(f"classes must be a whole number, got {self.classes!r}") from None
        object.__setattr__(self, "augment", bool(self.augment))
        notes = (self.notes,) if isinstance(self.notes, str) else tuple(self.notes)
        object.__setattr__(self, "notes", notes)
        for part in ("train", "validation", "test"):
            split = getattr(self, part)
            if split.labels.min() < 0 or split.labels.max() >= self.classes:
                raise ValueError(
                    f"labels must be 0 to {self.classes - 1}, one of {part} is "
                    f"{split.labels[(split.labels < 0) | (split.labels >= self.classes)][0]}"
                )
            if split.images.shape[1:] != self.train.images.shape[1:]:
                raise ValueError(
                    f"images of train are {list(self.train.images.shape[1:])}, "
                    f"of {part} {list(split.images.shape[1:])}"
                )

    @property
    def shape(self) -> Shape:
        return Shape(self.channels, self.image_size, self.classes)

    @property
    def channels(self) -> int:
        return self.image_shape[0]

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.image_shape[1:]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        return self.train.images.shape[1:]

    @cached_property
    def mean_and_std(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mean and standard deviation of the training images per channel; float32 [C, 1, 1].

        Raises:
            ValueError: for a channel that has one value everywhere, which cannot be normalized.
        """
        sums = squares = np.zeros(self.channels, np.int64)
        # In parts: numpy's own std makes floats of all pixels at once, eight times their memory.
        for i in range(0, len(self.train), 1000):
            pixels = self.train.images[i : i + 1000].astype(np.int64)
            sums = sums + pixels.sum((0, 2, 3))
            squares = squares + (pixels * pixels).sum((0, 2, 3))
        count = self.train.images[:, 0].size
        mean = sums / count
        std = np.sqrt(squares / count - mean**2)
        # In whole numbers: what rounding leaves of a deviation is not 0.
        sizes = zip(sums.tolist(), squares.tolist(), strict=True)
        constant = [c for c, (total, square) in enumerate(sizes) if count * square == total**2]
        if constant:
            which = ", ".join(f"channel {c} is {mean[c]:g}" for c in constant)
            raise ValueError(
                f"counted from 0, {which} in every pixel of the training images: there is nothing "
                "to learn from it, and it cannot be normalized; leave it out"
            )
        return mean.astype(np.float32)[:, None, None], std.astype(np.float32)[:, None, None]


LOADERS = {
    "digits": "lt_core.data.digits:load",
    "mnist_5000": "lt_core.data.mnist_5000:load",
    "mnist": "lt_core.data.torchvision_sets:load_mnist",
    "fashion_mnist": "lt_core.data.torchvision_sets:load_fashion_mnist",
    "cifar10": "lt_core.data.torchvision_sets:load_cifar10",
    "cifar100": "lt_core.data.torchvision_sets:load_cifar100",
    "tiny_imagenet": "lt_core.data.tiny_imagenet:load",
    "miniplaces": "lt_core.data.miniplaces:load",
    "image_folder": "lt_core.data.image_folder:load",
    "synthetic": "lt_core.data.synthetic:load",
}
"""Import paths, since the packages behind them are slow to import."""


def load(name: DataSetName, data_dir: str | Path = "data") -> DataSet:
    """Load a data set; its splits depend on no seed.

    Args:
        name: one of `LOADERS`, or the import path of a function that is called with `data_dir`
            (a `Path`) and returns a `DataSet`.
        data_dir: folder of its files, or for their download; some data sets have no files.

    Raises:
        ValueError: for an unknown name, for missing or damaged files, with what to put where, for
            files with another content than the published one, and for whatever a loader raises.
    """
    data_dir = Path(data_dir).expanduser()
    if ":" not in data_set_name(name):
        return _load_built_in(name, data_dir)
    import torch  # a user's loader may well draw from it

    from lt_core import seeds

    with seeds.seeded(torch.device("cpu"), 0, "data set"):
        loaded = import_path.call(name, data_dir=data_dir)
    if not isinstance(loaded, DataSet):
        raise ValueError(
            f"{name}: must return an lt_core.data.DataSet, returned {type(loaded).__name__}"
        )
    return loaded


def _load_built_in(name: DataSetName, data_dir: Path) -> DataSet:
    from lt_core.data.contents import PUBLISHED, fingerprint

    try:
        loaded: DataSet = pkgutil.resolve_name(LOADERS[name])(data_dir)
    except ValueError:
        raise  # it says what is wrong
    except Exception as error:
        raise ValueError(f"{name}: {import_path.told(error)}; {data_dir} may be damaged") from error
    if name in PUBLISHED and fingerprint(loaded) != PUBLISHED[name]:
        raise ValueError(
            f"{name}: the images of this installation are others than those that all results of "
            "this name are of; another version of the package may have them"
        )
    return loaded


def draw_splits(
    images: NDArray[np.uint8], labels: NDArray[np.int64], num_train: int, num_validation: int
) -> tuple[Split, Split, Split]:
    """Split by one fixed permutation: `num_train`, `num_validation`, the rest for test."""
    # RandomState: unlike Generator's, its numbers are promised never to change.
    order = np.random.RandomState(0).permutation(len(labels))
    parts = np.split(order, [num_train, num_train + num_validation])
    train, validation, test = (Split(images[part], labels[part]) for part in parts)
    return train, validation, test


def hold_out(num_images: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split an official training set by one fixed permutation, whatever the seed.

    Returns:
        Positions in rising order: nine tenths to train on, one tenth to validate on.
    """
    order = np.random.RandomState(0).permutation(num_images)  # see draw_splits
    num_validation = -(-num_images // 10)
    return np.sort(order[num_validation:]), np.sort(order[:num_validation])
