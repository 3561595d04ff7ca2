import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from lt_core import data
from lt_core.data.torchvision_sets import as_split


def pixels(count: int, *shape: int) -> np.ndarray:
    return np.random.RandomState(0).randint(0, 256, (count, *shape)).astype(np.uint8)


def write_idx(path: Path, array: np.ndarray) -> None:
    """As on http://yann.lecun.com/exdb/mnist: 0, 0, 8 (bytes), dimensions, sizes, values."""
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes()
    path.write_bytes(header + array.tobytes())


def write_mnist(raw: Path, images: np.ndarray, labels: np.ndarray) -> None:
    """All images to train, the first three to test."""
    raw.mkdir(parents=True)
    write_idx(raw / "train-images-idx3-ubyte", images)
    write_idx(raw / "train-labels-idx1-ubyte", labels)
    write_idx(raw / "t10k-images-idx3-ubyte", images[:3])
    write_idx(raw / "t10k-labels-idx1-ubyte", labels[:3])


def refused(name: str, folder: Path) -> str:
    with pytest.raises(ValueError) as told:
        data.load(name, folder)
    assert "\n" not in str(told.value)
    return str(told.value)


@pytest.mark.parametrize(
    ("name", "folder"), [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST")]
)
def test_mnist_is_read_from_its_files_and_a_tenth_held_out(tmp_path, name, folder):
    images, labels = pixels(20, 28, 28), (np.arange(20) % 10).astype(np.uint8)
    write_mnist(tmp_path / folder / "raw", images, labels)

    mnist = data.load(name, tmp_path)
    assert (mnist.name, mnist.classes, mnist.augment) == (name, 10, False)
    # data.hold_out(20) takes images 1 and 18 to validate on
    rest = [i for i in range(20) if i not in (1, 18)]
    for split, at in [(mnist.train, rest), (mnist.validation, [1, 18]), (mnist.test, [0, 1, 2])]:
        assert np.array_equal(split.images, images[at][:, None])
        assert split.labels.tolist() == [i % 10 for i in at]


def test_grey_images_get_a_channel():
    images = torch.from_numpy(pixels(2, 28, 28))
    split = as_split(images, torch.tensor([3, 4]))
    assert split.images.shape == (2, 1, 28, 28)
    assert split.images[1, 0, 5, 7] == images[1, 5, 7]
    assert split.labels.dtype == np.int64 and split.labels.tolist() == [3, 4]


def test_the_channels_of_colour_images_come_first():
    images = pixels(2, 32, 32, 3)
    split = as_split(images, [3, 99])
    assert split.images.shape == (2, 3, 32, 32)
    assert split.images.flags.c_contiguous
    assert split.images[1, 2, 5, 7] == images[1, 5, 7, 2]
    assert split.labels.dtype == np.int64 and split.labels.tolist() == [3, 99]


@pytest.mark.parametrize(("name", "classes"), [("cifar10", 10), ("cifar100", 100)])
def test_cifar_is_read_from_its_batches(tmp_path, monkeypatch, name, classes):
    """Without torchvision's checksums, which only the real files have."""
    source = f"torchvision.datasets.{name.upper()}"
    key, folder = ("labels", "cifar-10-batches-py")
    if name == "cifar100":
        key, folder = ("fine_labels", "cifar-100-python")
    monkeypatch.setattr(f"{source}.train_list", [["some", None]])
    monkeypatch.setattr(f"{source}.test_list", [["others", None]])
    meta = {"filename": "names", "key": "names", "md5": None}
    monkeypatch.setattr(f"{source}.meta", meta)
    rows, labels = pixels(20, 3072), [(7 * i) % classes for i in range(20)]
    files = {
        "some": {"data": rows, key: labels},
        "others": {"data": rows[:2], key: labels[:2]},
        "names": {"names": [str(i) for i in range(classes)]},
    }
    (tmp_path / folder).mkdir()
    for file, content in files.items():
        (tmp_path / folder / file).write_bytes(pickle.dumps(content))

    cifar = data.load(name, tmp_path)
    assert (cifar.name, cifar.classes, cifar.augment) == (name, classes, True)
    assert cifar.train.images.shape == (18, 3, 32, 32)
    # A row is 1,024 red, then 1,024 green, then 1,024 blue values.
    assert cifar.validation.images[1, 2, 3, 4] == rows[18, 2048 + 3 * 32 + 4]
    assert cifar.validation.labels.tolist() == [7 % classes, 126 % classes]
    assert len(cifar.test) == 2


# ---- damaged files

REMEDY = "remove what is named here, to have it downloaded again, or put whole files in its place"


@pytest.mark.parametrize(
    "file", ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte"]
)
@pytest.mark.parametrize("length", [0, 3, 6, 16, -1])
def test_a_cut_file_of_mnist_is_named(tmp_path, file, length):
    raw = tmp_path / "MNIST" / "raw"
    write_mnist(raw, pixels(20, 28, 28), np.zeros(20, np.uint8))
    (raw / file).write_bytes((raw / file).read_bytes()[:length])
    assert refused("mnist", tmp_path) == f"mnist: damaged: {raw / file}; {REMEDY}"


def without_network(*_, **__):
    raise OSError("Network is unreachable")


def test_damaged_files_of_cifar_are_named_and_not_said_to_be_missing(tmp_path, monkeypatch):
    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", without_network)
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name in ("data_batch_2", "batches.meta"):
        (folder / name).write_bytes(b"cut")
    damaged = f"{folder}/data_batch_2, {folder}/batches.meta"
    assert refused("cifar10", tmp_path) == f"cifar10: damaged: {damaged}; {REMEDY}"


def test_missing_files_of_cifar_are_said_to_be_missing(tmp_path, monkeypatch):
    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", without_network)
    told = refused("cifar100", tmp_path)
    assert told.startswith(f"cifar100: is not in {tmp_path}/cifar-100-python, and cannot be down")
