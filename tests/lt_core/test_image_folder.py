"""A user's own folder: which files, which classes, at which size, and what is said of them."""

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lt_core import data
from lt_core.data import image_folder


def write(path: Path, colour: tuple[int, ...] | int, size: tuple[int, int] = (8, 8)) -> Path:
    """An image of one colour, `size` being (width, height); a number makes it grey."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = "L" if isinstance(colour, int) else {3: "RGB", 4: "RGBA"}[len(colour)]
    Image.new(mode, size, colour).save(path)
    return path


def fill(folder: Path, image: Callable[[int, int], Image.Image], kind: str = "png") -> None:
    """Ten images of each of two classes to train, one of each to test."""
    for part, count in (("train", 10), ("test", 1)):
        for label, name in enumerate("ab"):
            (folder / part / name).mkdir(parents=True)
            for i in range(count):
                image(label, i).save(folder / part / name / f"{i}.{kind}")


def refused(folder: Path) -> str:
    with pytest.raises(ValueError) as told:
        data.load("image_folder", folder)
    assert "\n" not in str(told.value)
    return str(told.value)


@pytest.fixture
def folder(tmp_path):
    """Ten cats and ten dogs to train, a dog to test."""
    for i in range(10):
        write(tmp_path / "train" / "cat" / f"{i}.png", i, (20, 12))
        write(tmp_path / "train" / "dog" / f"{i}.jpg", 100 + i, (50, 100))
    write(tmp_path / "test" / "dog" / "a.png", 200, (6, 6))
    (tmp_path / "train" / "cat" / ".hidden").write_text("no image")
    return tmp_path


@pytest.fixture
def plain(tmp_path):
    """Grey images of 8x8, in which nothing is unusual."""
    fill(tmp_path, lambda label, i: Image.new("L", (8, 8), 100 * label + i))
    return tmp_path


def test_a_folder_is_read(folder):
    loaded = data.load("image_folder", folder)
    assert (loaded.name, loaded.classes, loaded.augment) == ("image_folder", 2, True)
    # Shorter sides of train/: ten times 12, ten times 50; of equally frequent ones the larger.
    assert loaded.train.images.shape == (18, 3, 50, 50)
    assert loaded.validation.images[:, 0, 0, 0].tolist() == [1, 108]  # see data.hold_out(20)
    assert loaded.validation.labels.tolist() == [0, 1]
    assert loaded.train.labels.tolist() == [0] * 9 + [1] * 9
    assert loaded.train.images[:, 0, 0, 0].tolist() == [
        *(i for i in range(10) if i != 1),
        *(100 + i for i in range(10) if i != 8),
    ]
    assert loaded.test.images.shape == (1, 3, 50, 50)
    assert loaded.test.images[0, 0, 0, 0] == 200
    assert loaded.test.labels.tolist() == [1]
    assert loaded.notes == (
        # 36, 240 and 5,000 pixels; cats and the dog to test are smaller; all but that one oblong
        "sizes from 6x6 to 100x50 made 50x50, 11 of them enlarged, "
        "20 cut to the square in the middle",
        "test/ has no images of cat: accuracy on test tells nothing of them",
    )


def test_of_a_plain_folder_nothing_is_to_be_said(plain):
    loaded = data.load("image_folder", plain)
    assert loaded.notes == () and loaded.image_size == (8, 8)


# ---- size


@pytest.mark.parametrize(
    ("sides", "size"),
    [
        ([16, 12, 12], 12),  # and not the first
        ([12, 16], 16),
        ([500, 400, 300, 32, 32], 64),  # three photos that count as 64, and two icons
        ([100, 32, 32], 32),
        ([64], 64),
    ],
)
def test_the_most_frequent_shorter_side_is_the_size(sides, size):
    assert image_folder._most_frequent(sides) == size


def test_only_training_images_decide_on_the_size(plain):
    for i in range(50):
        write(plain / "test" / "a" / f"{i}.png", 0, (16, 16))
    loaded = data.load("image_folder", plain)
    assert loaded.image_size == (8, 8)  # 20 images to train; to test 50 of 16x16 and one of 8x8
    assert loaded.notes == ("sizes from 8x8 to 16x16 made 8x8",)


@pytest.mark.parametrize(
    ("width", "height", "size", "notes"),
    [
        (128, 128, 64, ["128x128 reduced to 64x64"]),
        (160, 120, 64, ["120x160 cut and reduced to 64x64"]),
        (20, 12, 12, ["12x20 cut to 12x12"]),
        (64, 64, 64, []),
    ],
)
def test_images_of_one_size_are_told_height_first(tmp_path, width, height, size, notes):
    fill(tmp_path, lambda label, i: Image.new("L", (width, height), 100 * label + i))
    loaded = data.load("image_folder", tmp_path)
    assert loaded.image_size == (size, size) and list(loaded.notes) == notes


# ---- kinds of images


def test_images_of_16_bits_keep_their_differences(tmp_path):
    values = [8000, 50000]

    def image(label: int, i: int) -> Image.Image:
        return Image.fromarray(np.full((8, 8), values[label] + 100 * i, np.uint16))

    fill(tmp_path, image)
    loaded = data.load("image_folder", tmp_path)
    assert loaded.notes == ("22 of 16 bits scaled to 8",)
    # Held out are 1 of a and 8 of b: 8100 // 256 = 31 (31 x 256 = 7936), 50800 // 256 = 198 (50688)
    assert loaded.validation.images[:, 0, 0, 0].tolist() == [31, 198]
    # 8000 // 256 = 31 (7936), 50000 // 256 = 195 (49920)
    assert loaded.test.images[:, 2, 7, 7].tolist() == [31, 195]


def test_pictures_in_the_alpha_channel_are_told_with_their_number(tmp_path):
    def image(label: int, i: int) -> Image.Image:
        pixels = np.zeros((8, 8, 4), np.uint8)
        pixels[2:6, 2:6, 3] = 255 * label
        return Image.fromarray(pixels)

    fill(tmp_path, image)
    loaded = data.load("image_folder", tmp_path)
    assert loaded.notes == ("22 read from the alpha channel, since the visible colour is one",)
    assert loaded.test.images[:, :, 3, 3].tolist() == [[0] * 3, [255] * 3]
    assert loaded.test.images[:, :, 0, 0].tolist() == [[0] * 3, [0] * 3]


def test_each_kind_is_told_with_its_number(plain):
    two_colours = Image.new("RGBA", (8, 8), (10, 20, 30, 255))
    two_colours.putpixel((0, 0), (1, 2, 3, 128))
    two_colours.save(plain / "train" / "a" / "3.png")
    turned = Image.Exif()
    turned[0x0112] = 3
    for i in (4, 5):
        Image.new("L", (8, 8), 7).save(plain / "train" / "a" / f"{i}.png", exif=turned)
    Image.new("F", (8, 8), 0.5).save(plain / "test" / "a" / "1.tif")
    assert data.load("image_folder", plain).notes == (
        "1 of floats scaled by 255",
        "2 turned as EXIF says",
        "1 with transparent pixels put on white",
    )


@pytest.mark.parametrize("kind", ["16 bits", "floats"])
def test_deep_images_that_use_little_of_their_range_are_refused(tmp_path, kind):
    def image(label: int, i: int) -> Image.Image:  # of 12 bits, in files of 16; or as little of 1
        if kind == "floats":
            return Image.fromarray(np.full((8, 8), 0.006 * i, np.float32))
        return Image.fromarray(np.full((8, 8), 455 * i, np.uint16))  # 455 x 9 = 4095

    fill(tmp_path, image, "tif")
    first = ", ".join(str(tmp_path / "train" / "a" / f"{i}.tif") for i in (0, 2, 3))  # 1 held out
    told = refused(tmp_path)
    assert told.startswith(f"{first}, and 19 more: no image of 16 bits or floats has a value above")
    assert "16 levels of grey at most; scale them to the whole range" in told


def test_one_bright_deep_image_is_enough(plain):
    for i, value in ((3, 100), (4, 4096)):  # 4096 // 256 = 16
        Image.fromarray(np.full((8, 8), value, np.uint16)).save(plain / f"train/a/{i}.png")
    loaded = data.load("image_folder", plain)
    assert loaded.train.images[2:4, 0, 0, 0].tolist() == [0, 16]  # 1 is held out
    assert loaded.notes == ("2 of 16 bits scaled to 8",)


# ---- which files, which classes


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_missing_folder_is_named(plain, part):
    shutil.rmtree(plain / part)
    assert f"image_folder: {plain / part} is missing; `data_dir` must hold" in refused(plain)


def test_a_class_only_in_test_is_named(folder):
    write(folder / "test" / "cow" / "a.png", 0)
    assert refused(folder) == f"{folder}/test/cow: no class of {folder}/train has this name"


def test_a_class_without_images_is_named(plain):
    (plain / "train" / "c").mkdir()
    (plain / "train" / "c" / ".DS_Store").write_text("")
    told = f"{plain}/train/c: a class without images; put some in, or remove the folder"
    assert refused(plain) == told


@pytest.mark.parametrize("made", [True, False])
def test_classes_without_test_images_are_told(plain, made):
    for name in "cdefg":
        write(plain / "train" / name / "0.png", 0)
        write(plain / "train" / name / "1.png", 0)
        if made:
            (plain / "test" / name).mkdir()
    (note,) = (n for n in data.load("image_folder", plain).notes if "test/" in n)
    told = "test/ has no images of c, d, e, and 2 more: accuracy on test tells nothing of them"
    assert note == told


def test_a_class_that_is_held_out_as_a_whole_is_told(folder):
    # data.hold_out(20) holds out 1 and 18: of classes of 1, 1 and 18 images the second, and one.
    shutil.rmtree(folder / "train")
    for name, count in (("a", 1), ("b", 1), ("dog", 18)):
        for i in range(count):
            write(folder / "train" / name / f"{i}.png", i, (6, 6))
    assert data.load("image_folder", folder).notes == (
        "all images of b are held out to validate: nothing is trained on them",
        "test/ has no images of a, b: accuracy on test tells nothing of them",
    )


def test_a_single_class_is_refused(plain):
    shutil.rmtree(plain / "train" / "b")
    shutil.rmtree(plain / "test" / "b")
    assert refused(plain) == f"{plain}/train/a: the only class; it takes two to tell apart"


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_file_beside_the_classes_is_refused(plain, part):
    write(plain / part / "x.png", 0)
    told = f"{plain}/{part}/x.png: a file beside the class folders; move it into one, or away"
    assert refused(plain) == told


def test_images_at_another_depth_are_refused(plain):
    for name in "ab":
        (plain / "train" / name).rename(plain / "train" / "images")
        (plain / "train" / name).mkdir()
        (plain / "train" / "images").rename(plain / "train" / name / "images")
    a, b = plain / "train" / "a", plain / "train" / "b"
    assert refused(plain) == (
        f"{a}/images: a folder within a class; move its images up into {a}, or away; "
        f"{b}/images: a folder within a class; move its images up into {b}, or away; "
        f"{plain}/train: no images in <class>/ folders"
    )


def test_what_is_no_file_is_refused_and_not_opened(plain, monkeypatch):
    """To open a FIFO waits for ever."""
    a, b = plain / "train" / "a", plain / "test" / "b"
    os.mkfifo(a / "fifo.png")
    (b / "broken.png").symlink_to(plain / "nowhere")
    monkeypatch.chdir(b)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("socket.png")
    told = "neither a file nor a folder, but a FIFO, a socket, a device or a broken link; remove it"
    odd = (a / "fifo.png", b / "broken.png", b / "socket.png")
    assert refused(plain) == "; ".join(f"{path}: {told}" for path in odd)


def test_a_link_to_an_image_is_an_image(plain):
    before = data.load("image_folder", plain)
    file = plain / "train" / "a" / "0.png"
    file.rename(plain / "elsewhere.png")
    file.symlink_to(plain / "elsewhere.png")
    assert np.array_equal(data.load("image_folder", plain).train.images, before.train.images)


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_file_that_is_no_image_is_refused(plain, part):
    (plain / part / "a" / "Thumbs.db").write_bytes(b"x")
    told = "not a readable image (in no format that Pillow knows); replace or remove it"
    assert refused(plain) == f"{plain}/{part}/a/Thumbs.db: {told}"


def test_files_of_both_parts_that_are_no_images_are_told_at_once(plain):
    files = [plain / "train" / "b" / "Thumbs.db", plain / "test" / "a" / "Thumbs.db"]
    for file in files:
        file.write_bytes(b"x")
    told = "not a readable image (in no format that Pillow knows); replace or remove it"
    assert refused(plain) == f"{files[0]}: {told}; {files[1]}: {told}"


def test_all_that_is_wrong_with_a_folder_is_told_at_once(plain):
    (plain / "train" / "c").mkdir()
    (plain / "train" / "a" / "more").mkdir()
    for i in range(5):
        (plain / "test" / "b" / f"{i}.txt").write_text("x")
    assert refused(plain) == (
        f"{plain}/train/a/more: a folder within a class; move its images up into {plain}/train/a, "
        f"or away; {plain}/train/c: a class without images; put some in, or remove the folder; "
        f"{plain}/test/b/0.txt: not a readable image (in no format that Pillow knows); "
        "replace or remove it; and 4 more"
    )


def test_a_folder_that_is_not_read_is_told(plain):
    (plain / "val" / "a").mkdir(parents=True)
    (plain / "README.txt").write_text("")
    assert data.load("image_folder", plain).notes == ("val/ not read, only train/ and test/ are",)


@pytest.mark.parametrize("file", ["train/cat/0.png", "train/dog/7.jpg", "test/dog/a.png"])
def test_a_garbled_image_of_a_folder_is_named(folder, file):
    (folder / file).write_bytes(b"no image")
    assert refused(folder).startswith(f"{folder}/{file}: not a readable image")


@pytest.mark.parametrize("file", ["train/cat/0.png", "train/dog/7.jpg", "test/dog/a.png"])
def test_an_image_with_a_header_alone_is_named(folder, file):
    (folder / file).write_bytes((folder / file).read_bytes()[:-30])
    assert refused(folder).startswith(f"{folder}/{file}: not a readable image")


def test_a_folder_without_images_is_told(folder):
    (folder / "test" / "dog" / "a.png").unlink()
    assert refused(folder) == f"{folder}/test: no images in <class>/ folders"
