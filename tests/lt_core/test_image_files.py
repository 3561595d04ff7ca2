from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lt_core import data
from lt_core.data import images, tiny_imagenet


def write(path: Path, colour: tuple[int, int, int] | int, size: tuple[int, int] = (64, 64)) -> Path:
    """An image of one colour; a number makes it grey."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L" if isinstance(colour, int) else "RGB", size, colour).save(path)
    return path


# ---- decoding


def test_images_are_rgb_with_the_channels_first(tmp_path):
    paths = [write(tmp_path / "a.png", (10, 20, 30), (8, 8)), write(tmp_path / "b.png", 40, (8, 8))]
    split = images.read(paths, [1, 0], size=8)
    assert split.images.shape == (2, 3, 8, 8) and split.images.dtype == np.uint8
    assert split.images[0, :, 3, 3].tolist() == [10, 20, 30]
    assert (split.images[1] == 40).all()
    assert split.labels.tolist() == [1, 0]


def test_an_image_of_that_size_keeps_its_pixels(tmp_path):
    pixels = np.random.RandomState(0).randint(0, 256, (8, 8, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    split = images.read([tmp_path / "a.png"], [0], size=8)
    assert np.array_equal(split.images[0], pixels.transpose(2, 0, 1))


def test_of_a_wide_image_the_middle_is_kept(tmp_path):
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:, 8:24] = 200  # the square in the middle; black beside it
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert (images.read([tmp_path / "a.png"], [0], size=16).images == 200).all()
    assert (images.read([tmp_path / "a.png"], [0], size=8).images[..., 2:6] == 200).all()


def test_many_images_stay_in_order(tmp_path):
    paths = [write(tmp_path / f"{i}.png", i, (2, 2)) for i in range(100)]
    split = images.read(paths, range(100), size=2)
    assert split.images[:, 0, 0, 0].tolist() == list(range(100)) == split.labels.tolist()


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n" + b"x" * 50])
def test_a_file_that_is_no_image_is_named(tmp_path, content):
    good = write(tmp_path / "good.png", 0)
    (tmp_path / "bad.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"bad.png: not a readable image"):
        images.read([good, tmp_path / "bad.png", good], [0, 0, 0], size=8)


@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_an_image_that_was_cut_off_is_named(tmp_path, kind):
    path = write(tmp_path / f"bad.{kind}", 0, (200, 200))
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(ValueError, match=f"bad.{kind}: not a readable image"):
        images.read([path], [0], size=8)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"gone.png: no such file"):
        images.read([tmp_path / "gone.png"], [0], size=8)


# ---- tiny_imagenet


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """Two classes of ten images, grey 0 to 9 and 100 to 109; three to test."""
    monkeypatch.setattr(tiny_imagenet, "NUM_TRAIN", 20)
    monkeypatch.setattr(tiny_imagenet, "NUM_TEST", 3)
    folder = tmp_path / "tiny-imagenet-200"
    for name, grey in [("n02", 100), ("n01", 0)]:
        for i in range(10):
            write(folder / "train" / name / "images" / f"{name}_{i}.JPEG", grey + i)
        (folder / "train" / name / f"{name}_boxes.txt").write_text("")
    lines = []
    for i, name in enumerate(["n02", "n01", "n02"]):
        write(folder / "val" / "images" / f"val_{i}.JPEG", 200 + i)
        lines.append(f"val_{i}.JPEG\t{name}\t0\t32\t44\t62\n")
    (folder / "val" / "val_annotations.txt").write_text("".join(lines))
    return folder


def test_tiny_imagenet_is_read_from_its_folders(tiny):
    loaded = data.load("tiny_imagenet", tiny.parent)
    assert (loaded.name, loaded.classes, loaded.augment) == ("tiny_imagenet", 2, True)
    assert loaded.train.images.shape == (18, 3, 64, 64)
    # data.hold_out(20): images 1 and 18 of the classes in order of their names
    assert loaded.validation.images[:, 0, 0, 0].tolist() == [1, 108]
    assert loaded.validation.labels.tolist() == [0, 1]
    greys = [*(i for i in range(10) if i != 1), *(100 + i for i in range(10) if i != 8)]
    assert loaded.train.images[:, 2, 5, 5].tolist() == greys
    assert loaded.train.labels.tolist() == [0] * 9 + [1] * 9
    assert loaded.test.images[:, 0, 0, 0].tolist() == [200, 201, 202]
    assert loaded.test.labels.tolist() == [1, 0, 1]


def test_half_an_archive_is_refused(tiny):
    (tiny / "train" / "n01" / "images" / "n01_3.JPEG").unlink()
    with pytest.raises(ValueError, match="train: must have 20 images, has 19; unpack it again"):
        data.load("tiny_imagenet", tiny.parent)


def test_a_list_that_was_cut_off_is_refused(tiny):
    annotations = tiny / "val" / "val_annotations.txt"
    annotations.write_text(annotations.read_text().splitlines()[0])
    with pytest.raises(ValueError, match=r"val_annotations.txt: must have 3 images, has 1"):
        data.load("tiny_imagenet", tiny.parent)


@pytest.mark.parametrize(("line", "got"), [("val_2.JPEG\tn03\t0", "'n03'"), ("val_2.JPEG", "''")])
def test_a_class_that_is_not_there_is_named_with_its_line(tiny, line, got):
    annotations = tiny / "val" / "val_annotations.txt"
    lines = annotations.read_text().splitlines()
    annotations.write_text("\n".join([*lines[:2], line]))
    with pytest.raises(ValueError, match=rf"val_annotations.txt:3: {got} is no folder of train/"):
        data.load("tiny_imagenet", tiny.parent)


def test_a_test_image_that_is_missing_is_named(tiny):
    (tiny / "val" / "images" / "val_1.JPEG").unlink()
    with pytest.raises(ValueError, match=r"val_1.JPEG: no such file"):
        data.load("tiny_imagenet", tiny.parent)


# ---- miniplaces


@pytest.fixture
def places(tmp_path):
    """Ten images to train, of classes 0 and 99; two to test."""
    folder = tmp_path / "miniplaces"
    lines = []
    for i in range(10):
        file, label = (f"train/a/abbey/{i}.jpg", 0) if i < 5 else (f"train/z/zoo/{i}.jpg", 99)
        write(folder / "images" / file, 10 * i, (128, 128))
        lines.append(f"{file} {label}\n")
    (folder / "train.txt").write_text("".join(lines))
    for i in range(2):
        write(folder / "images" / "val" / f"{i}.jpg", 200 + i, (128, 128))
    (folder / "val.txt").write_text("val/0.jpg 99\nval/1.jpg 0\n")
    return folder


def test_miniplaces_is_read_from_its_lists(places):
    loaded = data.load("miniplaces", places.parent)
    assert (loaded.name, loaded.classes, loaded.augment) == ("miniplaces", 100, True)
    assert loaded.train.images.shape == (9, 3, 64, 64)
    (held_out,) = data.hold_out(10)[1].tolist()
    assert held_out == 2
    assert loaded.validation.images[:, 0, 0, 0].tolist() == [20]
    assert loaded.validation.labels.tolist() == [0]
    greys = [0, 10, 30, 40, 50, 60, 70, 80, 90]
    assert loaded.train.images[:, 0, 9, 9].tolist() == greys
    assert loaded.train.labels.tolist() == [0] * 4 + [99] * 5
    assert loaded.test.images[:, 0, 0, 0].tolist() == [200, 201]
    assert loaded.test.labels.tolist() == [99, 0]


@pytest.mark.parametrize("line", ["val/1.jpg 100", "val/1.jpg -1", "val/1.jpg", "val/1.jpg abbey"])
def test_a_label_out_of_range_is_told_with_its_line(places, line):
    (places / "val.txt").write_text(f"val/0.jpg 99\n{line}\n")
    with pytest.raises(ValueError, match=rf"val.txt:2: .* 0 to 99, got '{line}'"):
        data.load("miniplaces", places.parent)


def test_a_listed_image_that_is_missing_is_named(places):
    (places / "images" / "train" / "a" / "abbey" / "3.jpg").unlink()
    with pytest.raises(ValueError, match=r"train/a/abbey/3.jpg: no such file"):
        data.load("miniplaces", places.parent)


# ---- image_folder


@pytest.fixture
def folder(tmp_path):
    """Ten cats and ten dogs to train, a dog to test."""
    for i in range(10):
        write(tmp_path / "train" / "cat" / f"{i}.png", i, (20, 12))
        write(tmp_path / "train" / "dog" / f"{i}.jpg", 100 + i, (50, 100))
    write(tmp_path / "test" / "dog" / "a.png", 200, (6, 6))
    (tmp_path / "train" / "cat" / ".hidden").write_text("no image")
    return tmp_path


def test_a_folder_is_read_at_the_size_of_its_first_image(folder):
    loaded = data.load("image_folder", folder)
    assert (loaded.name, loaded.classes, loaded.augment) == ("image_folder", 2, True)
    assert loaded.train.images.shape == (18, 3, 12, 12)  # train/cat/0.png is 20 x 12
    assert loaded.validation.images[:, 0, 0, 0].tolist() == [1, 108]
    assert loaded.validation.labels.tolist() == [0, 1]
    assert loaded.train.labels.tolist() == [0] * 9 + [1] * 9
    assert loaded.test.images.shape == (1, 3, 12, 12)
    assert loaded.test.images[0, 0, 0, 0] == 200
    assert loaded.test.labels.tolist() == [1]


def test_large_images_are_reduced_to_64_pixels(folder):
    write(folder / "train" / "cat" / "0.png", 0, (300, 200))
    assert data.load("image_folder", folder).image_size == (64, 64)


def test_a_class_only_in_test_is_named(folder):
    write(folder / "test" / "cow" / "a.png", 0)
    with pytest.raises(ValueError, match=r"test/cow: no class of .*train has this name"):
        data.load("image_folder", folder)


@pytest.mark.parametrize("file", ["train/cat/0.png", "train/dog/7.jpg", "test/dog/a.png"])
def test_a_garbled_image_of_a_folder_is_named(folder, file):
    (folder / file).write_bytes(b"no image")
    with pytest.raises(ValueError, match=f"{file}: not a readable image"):
        data.load("image_folder", folder)


def test_a_folder_without_images_is_told(folder):
    (folder / "test" / "dog" / "a.png").unlink()
    with pytest.raises(ValueError, match="test: no images in <class>/ folders"):
        data.load("image_folder", folder)
