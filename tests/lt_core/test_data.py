import hashlib
from typing import get_args

import numpy as np
import pytest
import sklearn.datasets
import torch

from lt_core import data
from lt_core.config import DataSetName
from lt_core.data import DataSet, Split
from lt_core.data.batches import Batches

SPLITS = ["train", "validation", "test"]
CHECKSUMS = {
    "train": "7f7ca5f2bf64e8941f55c14c98b30dd58b75825debb0918a67231c7ab849d6e7",
    "validation": "3829058e65450fb02855bb977d4499c6d4703c07ea8c39582db438c8262d9470",
    "test": "4133fc12c1c9462728c3638bff7bae848483624750559b0ae0ecca9e2329feaf",
}


def checksum(split: Split) -> str:
    return hashlib.sha256(split.images.tobytes() + split.labels.tobytes()).hexdigest()


# ---- digits


def test_every_name_that_a_sweep_may_say_is_loaded():
    for name in get_args(DataSetName):
        assert data.load(name).name == name


def test_sizes_types_and_range(digits):
    assert digits.name == "digits"
    assert digits.classes == 10
    assert digits.channels == 1
    for name, size in [("train", 1000), ("validation", 297), ("test", 500)]:
        split = getattr(digits, name)
        assert len(split) == size
        assert split.images.shape == (size, 1, 8, 8)
        assert split.images.dtype == np.uint8
        assert split.images.min() == 0 and split.images.max() == 16
        assert split.labels.shape == (size,)
        assert split.labels.dtype == np.int64


def test_every_image_is_in_exactly_one_split_with_its_own_label(digits):
    whole = sklearn.datasets.load_digits()
    bundled = [
        (image.astype(np.uint8).tobytes(), int(label))
        for image, label in zip(whole.images, whole.target, strict=True)
    ]
    split_up = [
        (image.tobytes(), int(label))
        for name in SPLITS
        for image, label in zip(
            getattr(digits, name).images, getattr(digits, name).labels, strict=True
        )
    ]
    assert len(split_up) == 1797
    assert len(set(bundled)) == 1797  # no image twice, so the next line is about single images
    assert sorted(split_up) == sorted(bundled)


def test_every_class_is_in_every_split_about_as_often(digits):
    for name in SPLITS:
        labels = getattr(digits, name).labels
        counts = np.bincount(labels)
        assert len(counts) == 10
        assert counts.min() > 0.07 * len(labels) and counts.max() < 0.13 * len(labels)


def test_the_splits_never_change(digits, in_another_process):
    assert {name: checksum(getattr(digits, name)) for name in SPLITS} == CHECKSUMS
    np.random.seed(1)
    again = data.load("digits")
    assert {name: checksum(getattr(again, name)) for name in SPLITS} == CHECKSUMS
    code = (
        "import test_data as t; d = t.data.load('digits');"
        "print({name: t.checksum(getattr(d, name)) for name in t.SPLITS})"
    )
    assert in_another_process(code) == str(CHECKSUMS)


def test_loading_does_not_move_the_global_generator_of_numpy():
    np.random.seed(0)
    data.load("digits")
    assert np.random.randint(1000) == 684  # the first number after seed 0


# ---- normalization and batches


def tiny() -> DataSet:
    """Two channels: 0, 2, 4, 6 and 10, 10, 20, 20 in two images of 1x2 pixels."""
    train = np.array([[[[0, 2]], [[10, 10]]], [[[4, 6]], [[20, 20]]]], np.uint8)
    test = np.array([[[[3, 3]], [[15, 25]]]] * 3, np.uint8)
    return DataSet(
        "tiny",
        Split(train, np.array([0, 1])),
        Split(np.full((1, 2, 1, 2), 255, np.uint8), np.array([1])),
        Split(test, np.array([1, 0, 1])),
        classes=2,
    )


def test_mean_and_std_are_of_the_training_images_per_channel():
    assert tiny().channels == 2
    mean, std = tiny().mean_and_std
    assert mean.shape == std.shape == (2, 1, 1)
    assert mean.dtype == std.dtype == np.float32
    assert mean.ravel().tolist() == [3, 15]
    assert std.ravel() == pytest.approx([5**0.5, 5])  # (9 + 1 + 1 + 9) / 4 = 5


def test_mean_and_std_of_the_digits(digits):
    pixels = digits.train.images.astype(np.float64)
    mean = pixels.sum() / 64_000
    std = (((pixels - mean) ** 2).sum() / 64_000) ** 0.5
    assert mean == pytest.approx(4.881422, abs=1e-6)
    assert std == pytest.approx(6.004299, abs=1e-6)
    assert [float(value.item()) for value in digits.mean_and_std] == pytest.approx([mean, std])


def test_batches_are_normalized_with_the_numbers_of_the_training_images():
    batches = Batches(tiny(), tiny().test, "cpu")
    assert len(batches) == 3
    images, labels = batches[torch.tensor([1])]
    assert images.shape == (1, 2, 1, 2)
    assert images.dtype == torch.float32
    assert images.flatten().tolist() == [0, 0, 0, 2]  # (3 - 3) / sqrt(5), (25 - 15) / 5
    assert labels.tolist() == [0]


@pytest.mark.parametrize("index", [slice(7, 20), torch.tensor([999, 0, 3, 3, 500])])
def test_batches_of_the_digits_against_the_formula(digits, index):
    images, labels = Batches(digits, digits.train, "cpu")[index]
    positions = np.arange(1000)[index if isinstance(index, slice) else index.numpy()]
    expected = (digits.train.images[positions].astype(np.float64) - 4.881422) / 6.004299
    assert np.allclose(images.numpy(), expected, atol=1e-6)
    assert labels.dtype == torch.int64
    assert labels.tolist() == digits.train.labels[positions].tolist()


def test_batches_lie_channels_last_whatever_the_index(digits):
    batches = Batches(tiny(), tiny().test, "cpu")
    for index in (slice(0, 2), torch.tensor([2, 0])):
        images, _ = batches[index]
        assert images.is_contiguous(memory_format=torch.channels_last)


def test_read_only_arrays_are_shared_without_a_warning_and_never_written_to(digits):
    split = Split(digits.train.images.copy(), digits.train.labels.copy())
    split.images.flags.writeable = split.labels.flags.writeable = False
    batches = Batches(digits, split, "cpu")
    assert batches.images.data_ptr() == split.images.ctypes.data
    assert batches.labels.data_ptr() == split.labels.ctypes.data
    first, _ = batches[0:100]
    again, _ = batches[0:100]
    assert torch.equal(first, again)
    batches[torch.randperm(1000)]
    assert checksum(split) == CHECKSUMS["train"]
    assert not split.images.flags.writeable
