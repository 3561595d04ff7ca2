"""Data sets by name, whole in memory: images, rows of a table, sequences or texts."""

import operator
import pkgutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lt_core import import_path
from lt_core.data.shapes import AnyShape, InputShape, Series, Shape, Table, Text
from lt_core.names import DataSetName, data_set_name


@dataclass(frozen=True)
class Split:
    """Images, or other inputs, and their classes.

    Raises:
        ValueError: for arrays of another type or shape, and for numbers that are not finite.
    """

    images: NDArray[Any]
    """Images are uint8 [N, C, H, W], and are normalized. All others are taken as they are: rows of
    a table float32 [N, F], sequences [N, C, L], images that are scaled already [N, C, H, W],
    volumes [N, C, D, H, W]; and texts int64 or int32 tokens [N, L]."""

    labels: NDArray[np.int64]
    """int64 [N], in [0, classes)."""

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        for name, array in (("images", images), ("labels", labels)):
            if not isinstance(array, np.ndarray):
                kind = f"{type(array).__module__}.{type(array).__name__}"
                raise ValueError(f"{name} must be a NumPy array, got {kind}: np.asarray makes one")
        if images.ndim not in _DIMENSIONS.get(str(images.dtype), ()) or images.size == 0:
            raise ValueError(
                "images must be uint8 [N, C, H, W], or other inputs: float32 [N, features], "
                "[N, C, length] or [N, C, H, W], or int64 tokens [N, length], "
                f"got {images.dtype} {list(images.shape)}{_hint(images)}"
            )
        _check_values(images)
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


_DIMENSIONS = {"uint8": (4,), "float32": (2, 3, 4, 5), "int64": (2,), "int32": (2,)}
"""Of the arrays of inputs, with that of their number."""


def _hint(images: NDArray[Any]) -> str:
    if images.dtype == np.float64 and images.ndim in _DIMENSIONS["float32"]:
        return "; .astype(np.float32) makes it one"
    if images.dtype.kind in "iu" and images.ndim == 2:
        return "; .astype(np.int64) makes tokens of it, .astype(np.float32) numbers"
    return ""


def _check_values(images: NDArray[Any]) -> None:
    """Refuse numbers that no network can take, and images whose channels are not in front."""
    if images.dtype.kind == "f" and not (finite := np.isfinite(images)).all():
        first = np.argwhere(~finite)[0].tolist()
        raise ValueError(
            f"images must be finite, {np.count_nonzero(~finite):,} of {images.size:,} numbers are "
            f"nan or infinite, the first at {first}"
        )
    if images.dtype.kind == "i" and (least := int(images.min())) < 0:
        raise ValueError(f"tokens must be 0 or more, got {least}")
    if images.dtype == np.uint8:
        _, channels, height, width = images.shape
        if channels == height > 4 and width in (3, 4):
            raise ValueError(
                f"images must be uint8 [N, C, H, W], got {list(images.shape)}, which looks like "
                "height, width, channels: images.transpose(0, 3, 1, 2) puts the channels first"
            )


@dataclass(frozen=True)
class DataSet:
    """Train to fit, validation to choose, test to report.

    Arrays and not tensors, so that Ray hands all trials of a node one copy in shared memory.

    Raises:
        ValueError: for labels or tokens out of range, images of several shapes or types, and for
            `augment` of what is no uint8 image.
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

    vocabulary: int | None = None
    """Number of tokens of texts; if not given, one more than the highest of all splits. None for
    all else."""

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
            if split.images.dtype != self.train.images.dtype:
                raise ValueError(
                    f"images of train are {self.train.images.dtype}, of {part} {split.images.dtype}"
                )
        if self.augment and not self.is_normalized:
            raise ValueError("augment=True goes with uint8 images, which are cropped and mirrored")
        self._count_tokens()

    def _count_tokens(self) -> None:
        if self.train.images.dtype.kind != "i":
            if self.vocabulary is not None:
                raise ValueError("vocabulary goes with tokens, int64 or int32 [N, length]")
            return
        most = max(int(split.images.max()) for split in (self.train, self.validation, self.test))
        given = most + 1 if self.vocabulary is None else operator.index(self.vocabulary)
        if most >= given:
            raise ValueError(f"tokens must be 0 to {given - 1} (vocabulary={given}), one is {most}")
        object.__setattr__(self, "vocabulary", given)

    @property
    def shape(self) -> AnyShape:
        first, *others = sizes = self.train.images.shape[1:]
        if self.vocabulary is not None:
            return Text(self.vocabulary, first, self.classes)
        if len(sizes) == 1:
            return Table(first, self.classes)
        if len(sizes) == 2:
            return Series(*sizes, self.classes)
        return Shape(first, tuple(others), self.classes)

    @property
    def is_normalized(self) -> bool:
        """Whether networks are given the images less their mean, by their standard deviation."""
        return self.train.images.dtype == np.uint8

    @property
    def channels(self) -> int:
        """Of images."""
        number: int = self.train.images.shape[1]
        return number

    @property
    def image_size(self) -> tuple[int, ...]:
        """(height, width) of images."""
        return self.train.images.shape[2:]

    @property
    def image_shape(self) -> InputShape:
        """(channels, height, width) of images; what it is of one input of another kind."""
        return self.shape.inputs

    @cached_property
    def mean_and_std(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mean and standard deviation of the training images per channel, where `is_normalized`;
        float32 [C, 1, 1].

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
    images: NDArray[Any], labels: NDArray[np.int64], num_train: int, num_validation: int
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
