"""Every kind of image file: the right pixels, or a refusal that names the file."""

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lt_core.data import images

ORIENTATION = 0x0112


def write(path: Path, colour: tuple[int, int, int] | int, size: tuple[int, int] = (64, 64)) -> Path:
    """An image of one colour; a number makes it grey."""
    Image.new("L" if isinstance(colour, int) else "RGB", size, colour).save(path)
    return path


def read_one(path: Path, size: int = 2) -> tuple[list[list[list[int]]], tuple[str, ...]]:
    """Pixels [3][size][size], and what was done to read them."""
    split, (reading,) = images.read([path], [0], size)
    return split.images[0].tolist(), reading.treatments


def grey(pixels: list[list[int]]) -> list[list[list[int]]]:
    return [pixels] * 3


def mode_of(path: Path) -> str:
    with Image.open(path) as image:
        return image.mode


def chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def png_of_16_bits(path: Path, colour_type: int, rows: list[list[int]], extra: bytes = b"") -> Path:
    """A PNG of 16 bits a channel, two pixels wide, which Pillow cannot write in colour."""
    header = struct.pack(">IIBBBBB", 2, len(rows), 16, colour_type, 0, 0, 0)
    raw = b"".join(b"\0" + struct.pack(f">{len(row)}H", *row) for row in rows)
    chunks = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(raw))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks + chunk(b"IEND", b""))
    return path


# ---- 8 bits


def test_images_are_rgb_with_the_channels_first(tmp_path):
    paths = [write(tmp_path / "a.png", (10, 20, 30), (8, 8)), write(tmp_path / "b.png", 40, (8, 8))]
    split, readings = images.read(paths, [1, 0], size=8)
    assert split.images.shape == (2, 3, 8, 8) and split.images.dtype == np.uint8
    assert split.images[0, :, 3, 3].tolist() == [10, 20, 30]
    assert (split.images[1] == 40).all()
    assert split.labels.tolist() == [1, 0]
    assert [(r.path, r.shape, r.treatments) for r in readings] == [(p, (8, 8), ()) for p in paths]


def test_an_image_of_that_size_keeps_its_pixels(tmp_path):
    pixels = np.random.RandomState(0).randint(0, 256, (8, 8, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    split, _ = images.read([tmp_path / "a.png"], [0], size=8)
    assert np.array_equal(split.images[0], pixels.transpose(2, 0, 1))


def test_of_a_wide_image_the_middle_is_kept(tmp_path):
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:, 8:24] = 200  # the square in the middle; black beside it
    Image.fromarray(pixels).save(tmp_path / "a.png")
    split, (reading,) = images.read([tmp_path / "a.png"], [0], size=16)
    assert (split.images == 200).all() and reading.shape == (16, 32)
    assert (images.read([tmp_path / "a.png"], [0], size=8)[0].images[..., 2:6] == 200).all()


def test_many_images_stay_in_order(tmp_path):
    paths = [write(tmp_path / f"{i}.png", i, (2, 2)) for i in range(100)]
    split, readings = images.read(paths, range(100), size=2)
    assert split.images[:, 0, 0, 0].tolist() == list(range(100)) == split.labels.tolist()
    assert [reading.path for reading in readings] == paths


def test_bilevel_images_are_black_and_white(tmp_path):
    Image.fromarray(np.array([[True, False], [False, True]])).save(tmp_path / "a.png")
    assert mode_of(tmp_path / "a.png") == "1"
    assert read_one(tmp_path / "a.png") == (grey([[255, 0], [0, 255]]), ())


def test_palette_images_are_their_colours(tmp_path):
    image = Image.new("P", (2, 2))
    image.putpalette([10, 20, 30, 200, 100, 0, 5, 6, 7])
    image.putdata([0, 1, 1, 2])
    image.save(tmp_path / "a.png")
    # red, green and blue of colours 0, 1, 1, 2
    pixels = [[[10, 200], [200, 5]], [[20, 100], [100, 6]], [[30, 0], [0, 7]]]
    assert read_one(tmp_path / "a.png") == (pixels, ())


@pytest.mark.parametrize(
    ("cmyk", "rgb"),  # (255 - C) * (255 - K) / 255, of C, M and Y
    [
        ((0, 255, 255, 0), (255, 0, 0)),
        ((51, 0, 0, 0), (204, 255, 255)),
        ((0, 0, 0, 102), (153, 153, 153)),
    ],
)
def test_cmyk_becomes_rgb(tmp_path, cmyk, rgb):
    Image.new("CMYK", (2, 2), cmyk).save(tmp_path / "a.tif")
    pixels, treatments = read_one(tmp_path / "a.tif")
    assert (pixels, treatments) == ([[[c, c], [c, c]] for c in rgb], ())


def test_lab_becomes_rgb(tmp_path):
    image = Image.new("LAB", (2, 2), (0, 128, 128))  # lightness 0 is black
    image.putpixel((1, 0), (255, 128, 128))  # all lightness, 128 being no colour, is white
    image.save(tmp_path / "a.tif")
    pixels, treatments = read_one(tmp_path / "a.tif")
    # Within 3: neither the table of the conversion nor 8 bits of lightness are exact.
    assert np.abs(np.array(pixels) - grey([[0, 255], [0, 0]])).max() <= 3 and treatments == ()


def test_a_mode_that_has_no_way_to_rgb_is_named(tmp_path, monkeypatch):
    def convert(image: Image.Image, mode: str) -> None:
        raise ValueError(f"conversion from {image.mode} to {mode} not supported")

    monkeypatch.setattr(Image.Image, "convert", convert)
    Image.new("CMYK", (2, 2)).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match=r"a.tif: not a readable image \(.* from CMYK to RGB not"):
        read_one(tmp_path / "a.tif")


# ---- more than 8 bits: the upper 8 of 16, value // 256

DEEP = [[0, 255], [32768, 65535]]
EIGHT = [[0, 0], [128, 255]]  # 0, 255/256 < 1, 32768/256 = 128, 65535/256 = 255.99


@pytest.mark.parametrize(
    ("file", "dtype", "mode"),
    [
        ("a.png", "<u2", "I;16"),
        ("a.tif", "<u2", "I;16"),
        ("b.tif", ">u2", "I;16B"),
        ("c.tif", "<i4", "I"),
        ("a.pgm", "<i4", "I"),
    ],
)
def test_grey_of_16_bits_is_scaled(tmp_path, file, dtype, mode):
    Image.fromarray(np.array(DEEP, dtype)).save(tmp_path / file)
    assert mode_of(tmp_path / file) in (mode, "I")  # PNG is I in older Pillow
    assert read_one(tmp_path / file) == (grey(EIGHT), (images.FROM_16_BITS,))


def test_colour_of_16_bits_is_scaled_like_grey(tmp_path):
    rows = [[value for value in row for _ in range(3)] for row in DEEP]
    path = png_of_16_bits(tmp_path / "a.png", 2, rows)
    assert read_one(path) == (grey(EIGHT), (images.FROM_16_BITS,))


def test_a_transparent_colour_of_16_bits_is_refused(tmp_path):
    # Pillow would find it in all values with the same 8 bits.
    path = png_of_16_bits(tmp_path / "a.png", 0, DEEP, chunk(b"tRNS", struct.pack(">H", 255)))
    with pytest.raises(ValueError, match=r"a.png: 16 bits with a transparent colour; save it"):
        read_one(path)


def test_16_bits_whose_0_is_white_are_refused(tmp_path):
    Image.fromarray(np.array(DEEP, "<u2")).save(tmp_path / "a.tif")
    content = (tmp_path / "a.tif").read_bytes()
    photometric = [struct.pack("<HHIHH", 262, 3, 1, value, 0) for value in (1, 0)]
    assert content.count(photometric[0]) == 1
    (tmp_path / "a.tif").write_bytes(content.replace(*photometric))
    with pytest.raises(ValueError, match=r"a.tif: more than 8 bits, of which 0 is white; save it"):
        read_one(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("values", "told"), [([-1, 5], "-1 to 5"), ([3, 65536], "3 to 65,536"), ([-9, 70000], "-9 to")]
)
def test_integers_beyond_16_bits_are_refused_with_their_range(tmp_path, values, told):
    Image.fromarray(np.array([values, values], np.int32)).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match=rf"a.tif: values from {told}.*scale them to 0 to 65,535"):
        read_one(tmp_path / "a.tif")


def test_floats_from_0_to_1_are_scaled(tmp_path):
    Image.fromarray(np.array([[0, 0.2], [0.5, 1]], np.float32)).save(tmp_path / "a.tif")
    # 0.2 x 255 = 51; 0.5 x 255 = 127.5, rounded up
    assert read_one(tmp_path / "a.tif") == (grey([[0, 51], [128, 255]]), (images.FROM_FLOATS,))


@pytest.mark.parametrize(
    ("low", "high", "told"),
    [(-0.5, 1, "-0.5 to 1"), (0, 1.5, "0 to 1.5"), (0, 255, "0 to 255"), (0, np.nan, "nan to nan")],
)
def test_other_floats_are_refused_with_their_range(tmp_path, low, high, told):
    Image.fromarray(np.array([[low, high]] * 2, np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match=rf"a.tif: floats from {told}; scale them to 0 to 1, or"):
        read_one(tmp_path / "a.tif")


# ---- transparency


def test_an_opaque_image_is_its_colours(tmp_path):
    pixels = [[[10, 20, 30, 255], [40, 50, 60, 255]], [[7, 8, 9, 255], [1, 2, 3, 255]]]
    Image.fromarray(np.array(pixels, np.uint8)).save(tmp_path / "a.png")
    rgb = [[[10, 40], [7, 1]], [[20, 50], [8, 2]], [[30, 60], [9, 3]]]
    assert read_one(tmp_path / "a.png") == (rgb, ())
    Image.new("RGBA", (2, 2), (10, 20, 30, 255)).save(tmp_path / "b.png")
    assert read_one(tmp_path / "b.png") == ([[[c, c], [c, c]] for c in (10, 20, 30)], ())


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (200, 0, 7)])
def test_a_picture_in_the_alpha_channel_alone_is_read_from_it(tmp_path, colour):
    pixels = [[[*colour, 0], [*colour, 51]], [[*colour, 128], [*colour, 255]]]
    pixels[0][0][:3] = [1, 2, 3]  # beneath a transparent pixel: it is not seen
    Image.fromarray(np.array(pixels, np.uint8)).save(tmp_path / "a.png")
    assert read_one(tmp_path / "a.png") == (grey([[0, 51], [128, 255]]), (images.FROM_ALPHA,))


def test_an_empty_picture_of_one_colour_is_empty(tmp_path):
    Image.new("RGBA", (2, 2), (9, 9, 9, 0)).save(tmp_path / "a.png")
    assert read_one(tmp_path / "a.png") == (grey([[0, 0], [0, 0]]), (images.FROM_ALPHA,))


def test_a_picture_beneath_transparent_pixels_alone_is_refused(tmp_path):
    pixels = np.zeros((2, 2, 4), np.uint8)
    pixels[0, 0, :3] = 200
    Image.fromarray(pixels).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"a.png: every pixel is transparent, with a picture ben"):
        read_one(tmp_path / "a.png")


def test_transparent_pixels_are_put_on_white(tmp_path):
    pixels = [
        [[200, 100, 0, 255], [200, 100, 0, 51]],  # 51/255 = 0.2: of 0.8 x 255 = 204 and
        [[0, 0, 0, 128], [90, 80, 70, 0]],  # 40, 20, 0; of 255 x (1 - 128/255) = 127; of 255
    ]
    Image.fromarray(np.array(pixels, np.uint8)).save(tmp_path / "a.png")
    rgb = [[[200, 244], [127, 255]], [[100, 224], [127, 255]], [[0, 204], [127, 255]]]
    assert read_one(tmp_path / "a.png") == (rgb, (images.ON_WHITE,))


def test_transparent_grey_is_put_on_white(tmp_path):
    pixels = [[[100, 255], [0, 0]], [[50, 51], [0, 255]]]  # 50 x 0.2 + 204 = 214
    Image.fromarray(np.array(pixels, np.uint8)).save(tmp_path / "a.png")
    assert mode_of(tmp_path / "a.png") == "LA"
    assert read_one(tmp_path / "a.png") == (grey([[100, 255], [214, 0]]), (images.ON_WHITE,))


@pytest.mark.parametrize("kind", ["png", "gif"])
def test_a_transparent_palette_colour_is_put_on_white(tmp_path, kind):
    image = Image.new("P", (2, 2))
    image.putpalette([10, 20, 30, 200, 100, 0, 5, 6, 7])
    image.putdata([0, 1, 1, 2])
    image.save(tmp_path / f"a.{kind}", transparency=0)
    pixels = [[[255, 200], [200, 5]], [[255, 100], [100, 6]], [[255, 0], [0, 7]]]
    assert read_one(tmp_path / f"a.{kind}") == (pixels, (images.ON_WHITE,))


def test_a_transparent_grey_value_is_put_on_white(tmp_path):
    image = Image.fromarray(np.array([[7, 8], [9, 7]], np.uint8))
    image.save(tmp_path / "a.png", transparency=7)
    assert read_one(tmp_path / "a.png") == (grey([[255, 8], [9, 255]]), (images.ON_WHITE,))


# ---- orientation and frames


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, [[10, 20], [30, 40]]),
        (2, [[20, 10], [40, 30]]),  # mirrored
        (3, [[40, 30], [20, 10]]),  # upside down
        (6, [[30, 10], [40, 20]]),  # to be turned clockwise: the left column becomes the top row
        (8, [[20, 40], [10, 30]]),  # to be turned the other way
    ],
)
@pytest.mark.parametrize("kind", ["png", "tif"])
@pytest.mark.parametrize("deep", [False, True])
def test_images_are_turned_upright(tmp_path, orientation, upright, kind, deep):
    pixels = np.array([[10, 20], [30, 40]], np.uint8)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    image = Image.fromarray(pixels.astype(np.uint16) * 256 if deep else pixels)
    image.save(tmp_path / f"a.{kind}", exif=exif)
    treatments = [images.TURNED] * (orientation != 1) + [images.FROM_16_BITS] * deep
    assert read_one(tmp_path / f"a.{kind}") == (grey(upright), tuple(treatments))


def test_a_turned_photo_is_as_high_as_it_is_seen(tmp_path):
    pixels = np.zeros((16, 32), np.uint8)
    pixels[:, 16:] = 255  # right in the file, at the bottom when turned clockwise
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    Image.fromarray(pixels).save(tmp_path / "a.jpg", exif=exif)
    split, (reading,) = images.read([tmp_path / "a.jpg"], [0], size=16)
    assert reading.shape == (32, 16)
    # The 16 rows in the middle: the last 8 dark ones, the first 8 bright ones.
    assert split.images[0, 0, :, 5].tolist() == [0] * 8 + [255] * 8


@pytest.mark.parametrize("kind", ["gif", "tif", "png"])
def test_of_several_frames_the_first_is_read(tmp_path, kind):
    frames = [Image.new("L", (2, 2), value) for value in (10, 200)]
    frames[0].save(tmp_path / f"a.{kind}", save_all=True, append_images=frames[1:])
    assert read_one(tmp_path / f"a.{kind}") == (grey([[10, 10]] * 2), (images.FIRST_FRAME,))


# ---- files that are not read


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n" + b"x" * 50])
def test_a_file_that_is_no_image_is_named(tmp_path, content):
    good = write(tmp_path / "good.png", 0)
    (tmp_path / "bad.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"bad.png: not a readable image \(.*\); replace or rem"):
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


def test_all_bad_files_are_told_at_once_in_one_line(tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(15)]
    with pytest.raises(ValueError) as told:
        images.read(paths, [0] * 15, size=8)
    first = "; ".join(f"{path}: no such file" for path in paths[:3])
    assert str(told.value) == f"{first}; and 12 more"


@pytest.mark.parametrize("error", [MemoryError(), KeyError(3), struct.error("two\nlines")])
def test_whatever_pillow_raises_is_one_line(tmp_path, monkeypatch, error):
    def load(_: Image.Image) -> None:
        raise error

    path = write(tmp_path / "a.bmp", 0)
    monkeypatch.setattr("PIL.BmpImagePlugin.BmpImageFile.load", load)
    with pytest.raises(ValueError, match=r"a.bmp: not a readable image \((MemoryE|3|two lines)"):
        images.read([path], [0], size=8)


def test_an_image_of_too_many_pixels_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # Pillow's own error is at twice as many
    path = write(tmp_path / "a.png", 7, (16, 16))
    with pytest.raises(ValueError, match=r"a.png: too large \(Image size \(256 pixels\) exceeds l"):
        images.read([path], [0], size=8)
    with pytest.raises(ValueError, match=r"a.png: too large"):
        images.shorter_side(path)


def test_pillow_does_not_warn_of_large_images(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # from here on a warning: an error in tests
    path = write(tmp_path / "a.png", 7, (12, 12))
    split, _ = images.read([path], [0], size=8)
    assert (split.images == 7).all()
    assert images.attempt(images.shorter_side, [path]) == ([12], [])


def test_what_is_no_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"a.png: no file, but a FIFO"):
        images.read([tmp_path / "a.png"], [0], size=8)
