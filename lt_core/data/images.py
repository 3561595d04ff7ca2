"""Image files, as arrays: the right pixels of every kind of file, or a refusal that names it."""

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, TiffImagePlugin, UnidentifiedImageError

from lt_core.data import DataSet, Split, hold_out

Item = TypeVar("Item")
Result = TypeVar("Result")

Labelled = tuple[Sequence[Path], Sequence[int]]
"""Image files and their classes."""

# Notes, after a number of images.
FROM_16_BITS = "of 16 bits scaled to 8"
FROM_FLOATS = "of floats scaled by 255"
FROM_ALPHA = "read from the alpha channel, since the visible colour is one"
ON_WHITE = "with transparent pixels put on white"
TURNED = "turned as EXIF says"
FIRST_FRAME = "of several frames read from the first"

_FEW_LEVELS = 16
"""Of 256: images of 12 bits in files of 16 keep only so many levels of grey."""


@dataclass(frozen=True)
class Reading:
    """An image that was read."""

    path: Path
    shape: tuple[int, int]
    """(height, width) of the upright image, before it was cut and resized."""

    treatments: tuple[str, ...]
    """Its part in the notes, such as `TURNED`."""

    deep_peak: int | None
    """Highest value, of 255, of an image that has more than 8 bits; None for others."""


class _Refused(ValueError):
    """Why an image is not read, and what to do; without its name."""


def read_data_set(
    name: str, official: Labelled, test: Labelled, *, size: int, classes: int
) -> DataSet:
    """A data set of image files, augmented; a tenth of `official` is held out to validate.

    Its notes count the images that were changed by more than decoding.

    Raises:
        ValueError: for files that are missing or cannot be read right, with their names.
    """
    paths, labels = official
    train_and_validation: list[Labelled] = [
        ([paths[i] for i in part], [labels[i] for i in part]) for part in hold_out(len(paths))
    ]
    splits: list[Split] = []
    readings: list[Reading] = []
    for part in (*train_and_validation, test):
        split, of_part = read(*part, size)
        splits.append(split)
        readings += of_part
    _check_levels(readings)
    train, validation, tested = splits
    notes = (*_size_notes(readings, size), *_treatment_notes(readings))
    return DataSet(name, train, validation, tested, classes, augment=True, notes=notes)


def read(
    paths: Sequence[Path], labels: Sequence[int], size: int
) -> tuple[Split, Sequence[Reading]]:
    """Decode image files in threads, as RGB squares: [N, 3, size, size].

    An image of another shape is cut to the square in its middle, then resized (bicubic).

    - EXIF orientation is applied. Of several frames or pages the first is read.
    - 16 bits become the upper 8 of them (65535 is 255, 32768 is 128, 255 is 0): Pillow reads 16-bit
      colour like this, and grey of the same depth must come out alike.
    - Floats in [0, 1] are scaled by 255 and rounded.
    - An image with transparency and one visible colour is read from its alpha channel, as grey.
      Other transparent images are put on white, the page that drawings, logos and photos of
      products are cut out for: their dark lines would vanish on black.

    Raises:
        ValueError: for files that are missing or cannot be read right, with their names.
    """
    images = np.empty((len(paths), 3, size, size), np.uint8)

    def decode(i: int) -> Reading:
        square, reading = _decoded(paths[i], size)
        images[i] = square
        return reading

    readings, problems = attempt(decode, range(len(paths)))
    if problems:
        raise ValueError(first_few(problems, "; "))
    return Split(images, np.array(labels, np.int64)), readings


def shorter_side(path: Path) -> int:
    """Pixels of an image file's shorter side, from its header.

    Raises:
        ValueError: for a file that is missing or no image, with its name.
    """
    with _opened(path) as image:
        return min(image.size)


def attempt(
    function: Callable[[Item], Result], items: Sequence[Item]
) -> tuple[list[Result], list[str]]:
    """Call `function` for each item in threads, without Pillow's warnings.

    Returns:
        Its results and the messages of its ValueErrors, each in order of the items.
    """

    def tried(item: Item) -> Result | ValueError:
        try:
            return function(item)
        except ValueError as error:
            return error

    with warnings.catch_warnings(), ThreadPoolExecutor() as threads:
        # Of large images, and of metadata that is damaged; damaged pixels are an error.
        warnings.filterwarnings("ignore", module="PIL")
        done = list(threads.map(tried, items))
    results = [result for result in done if not isinstance(result, ValueError)]
    return results, [str(error) for error in done if isinstance(error, ValueError)]


def first_few(texts: Sequence[str], separator: str = ", ") -> str:
    """`a, b, c, and 12 more`."""
    more = [f"and {len(texts) - 3:,} more"] if len(texts) > 3 else []
    return separator.join([*texts[:3], *more])


# ---- one file


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """An image file; whatever Pillow raises for it is one line that names the file."""
    try:
        if path.exists() and not path.is_file():
            # To open a FIFO waits for someone who writes into it: for ever.
            raise _Refused("no file, but a FIFO, a socket, a device or a folder; remove it")
        with Image.open(path) as image:
            yield image
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except _Refused as refused:
        raise ValueError(f"{path}: {refused}") from None
    except UnidentifiedImageError:
        raise ValueError(
            f"{path}: not a readable image (in no format that Pillow knows); replace or remove it"
        ) from None
    except Image.DecompressionBombError as error:
        size, *_ = _in_one_line(error).split(",")  # and not what attack it could be
        raise ValueError(f"{path}: too large ({size}); reduce it") from error
    except Exception as error:  # damaged files raise errors of many types
        raise ValueError(
            f"{path}: not a readable image ({_in_one_line(error)}); replace or remove it"
        ) from error


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _decoded(path: Path, size: int) -> tuple[NDArray[np.uint8], Reading]:
    """An image as [3, size, size], and how it was read."""
    treatments = []
    with _opened(path) as image:
        # Asked before it is loaded: afterwards Pillow has no tiles, and a TIFF is turned.
        is_deep = ";16" in str(getattr(image, "tile", "")) or image.mode[0] in "IF"
        if getattr(image, "is_animated", False):
            treatments.append(FIRST_FRAME)
        if image.getexif().get(ExifTags.Base.Orientation, 1) in range(2, 9):
            treatments.append(TURNED)
        ImageOps.exif_transpose(image, in_place=True)
        if is_deep:
            treatments.append(FROM_FLOATS if image.mode == "F" else FROM_16_BITS)
            _check_deep(image)
        rgb, of_alpha = _rgb(image)
        square = ImageOps.fit(rgb, (size, size))
    peak = int(np.asarray(rgb).max()) if is_deep else None
    reading = Reading(path, (rgb.height, rgb.width), (*treatments, *of_alpha), peak)
    return np.asarray(square).transpose(2, 0, 1), reading


def _check_deep(image: Image.Image) -> None:
    """Refuse what Pillow reads wrongly, without an error, where there are more than 8 bits."""
    if "transparency" in image.info:  # it is compared with the upper 8 bits
        raise _Refused("16 bits with a transparent colour; save it with an alpha channel instead")
    if getattr(image, "tag_v2", {}).get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0:
        raise _Refused("more than 8 bits, of which 0 is white; save it so that 0 is black")


def _rgb(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """An image as 8-bit RGB without transparency, and what became of its alpha channel."""
    if image.mode[0] == "I":
        return _from_16_bits(image).convert("RGB"), ()
    if image.mode == "F":
        return _from_floats(image).convert("RGB"), ()
    if image.mode in ("LA", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        return _without_alpha(image.convert("RGBA"))
    return image.convert("RGB"), ()


def _from_16_bits(image: Image.Image) -> Image.Image:
    """Grey of 16 bits, in any of Pillow's modes, as its upper 8."""
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 65535:
        raise _Refused(
            f"values from {values.min():,} to {values.max():,}, which are not of 16 bits; "
            "scale them to 0 to 65,535, or save it with 8 bits"
        )
    return Image.fromarray((values >> 8).astype(np.uint8))


def _from_floats(image: Image.Image) -> Image.Image:
    values: NDArray[Any] = np.asarray(image)
    if not (values.min() >= 0 and values.max() <= 1):  # so that nan is refused too
        raise _Refused(
            f"floats from {values.min():g} to {values.max():g}; scale them to 0 to 1, "
            "or save it with 8 bits"
        )
    return Image.fromarray(np.floor(values * 255 + 0.5).astype(np.uint8))


def _without_alpha(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """An RGBA image as RGB, and what became of its alpha channel."""
    pixels = np.asarray(image)
    colour, alpha = pixels[..., :3].reshape(-1, 3), pixels[..., 3].reshape(-1)
    if (alpha == 255).all():
        return image.convert("RGB"), ()
    visible = colour[alpha > 0]
    if not len(visible) and (colour != colour[0]).any():
        raise _Refused(
            "every pixel is transparent, with a picture beneath; remove it or its alpha channel"
        )
    if (visible == visible[:1]).all():
        return image.getchannel("A").convert("RGB"), (FROM_ALPHA,)
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB"), (ON_WHITE,)


# ---- all files


def _check_levels(readings: Sequence[Reading]) -> None:
    """Refuse images of more than 8 bits that use so little of their range that 8 bits lose them."""
    peaks = {r.path: r.deep_peak for r in readings if r.deep_peak is not None}
    if peaks and max(peaks.values()) < _FEW_LEVELS:
        raise ValueError(
            f"{first_few([str(path) for path in peaks])}: no image of 16 bits or floats has a "
            "value above a sixteenth of its range (4,095 of 65,535, or 0.06 of 1), so 8 bits would "
            f"keep {_FEW_LEVELS} levels of grey at most; scale them to the whole range, or save "
            "them with 8 bits"
        )


def _treatment_notes(readings: Sequence[Reading]) -> list[str]:
    counts = Counter(treatment for reading in readings for treatment in reading.treatments)
    return [f"{count:,} {treatment}" for treatment, count in sorted(counts.items())]


def _size_notes(readings: Sequence[Reading], size: int) -> list[str]:
    """`480x640 cut and reduced to 64x64`: height first, as in [C, H, W]; nothing if all fit."""
    shapes = Counter(reading.shape for reading in readings)
    ordered = sorted(shapes, key=lambda shape: (shape[0] * shape[1], shape))
    smallest, largest, made = ordered[0], ordered[-1], (size, size)
    cut = sum(count for (height, width), count in shapes.items() if height != width)
    enlarged = sum(count for shape, count in shapes.items() if min(shape) < size)
    if len(shapes) == 1:
        resized = [] if min(smallest) == size else ["enlarged" if enlarged else "reduced"]
        done = " and ".join([*(["cut"] if cut else []), *resized])
        return [f"{_by(smallest)} {done} to {_by(made)}"] if done else []
    note = f"sizes from {_by(smallest)} to {_by(largest)} made {_by(made)}"
    note += f", {enlarged:,} of them enlarged" if enlarged else ""
    note += f", {cut:,} cut to the square in the middle" if cut else ""
    return [note]


def _by(shape: tuple[int, int]) -> str:
    return f"{shape[0]}x{shape[1]}"
