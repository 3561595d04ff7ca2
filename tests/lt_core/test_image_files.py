from pathlib import Path

import pytest
from PIL import Image

from lt_core import data
from lt_core.data import tiny_imagenet


def write(path: Path, colour: tuple[int, int, int] | int, size: tuple[int, int] = (64, 64)) -> Path:
    """An image of one colour; a number makes it grey."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L" if isinstance(colour, int) else "RGB", size, colour).save(path)
    return path


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
    assert loaded.notes == ()


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
    assert loaded.notes == ("128x128 reduced to 64x64",)


@pytest.mark.parametrize("line", ["val/1.jpg 100", "val/1.jpg -1", "val/1.jpg", "val/1.jpg abbey"])
def test_a_label_out_of_range_is_told_with_its_line(places, line):
    (places / "val.txt").write_text(f"val/0.jpg 99\n{line}\n")
    with pytest.raises(ValueError, match=rf"val.txt:2: .* 0 to 99, got '{line}'"):
        data.load("miniplaces", places.parent)


def test_a_listed_image_that_is_missing_is_named(places):
    (places / "images" / "train" / "a" / "abbey" / "3.jpg").unlink()
    with pytest.raises(ValueError, match=r"train/a/abbey/3.jpg: no such file"):
        data.load("miniplaces", places.parent)
