"""Any folder of images: train/<class>/*.png and test/<class>/*.png."""

from pathlib import Path

from PIL import Image

from lt_core.data import DataSet, images

MAX_SIZE = 64


def load(data_dir: Path) -> DataSet:
    """Nine tenths of train/ to train, a tenth held out to validate; test/ to test.

    All images become RGB squares of one size: the shorter side of the first training image, by
    name, at most 64 pixels.

    Args:
        data_dir: holds `train/` and `test/`, with a folder of images for each class. Files
            whose name begins with a dot are left out.

    Raises:
        ValueError: for a missing folder, a class without images, or a file that is no image.
    """
    for part in ("train", "test"):
        if not (data_dir / part).is_dir():
            raise ValueError(
                f"image_folder: {data_dir / part} is missing; `data_dir` must hold "
                "train/<class>/ and test/<class>/ with images"
            )
    names = sorted(path.name for path in _visible(data_dir / "train") if path.is_dir())
    for path in _visible(data_dir / "test"):
        if path.name not in names:
            raise ValueError(f"{path}: no class of {data_dir / 'train'} has this name")
    official, test = (_labelled(data_dir / part, names) for part in ("train", "test"))
    first = official[0][0]
    return images.read_data_set(
        "image_folder", official, test, size=_size(first), classes=len(names)
    )


def _labelled(folder: Path, names: list[str]) -> tuple[list[Path], list[int]]:
    pairs = [
        (path, label)
        for label, name in enumerate(names)
        if (folder / name).is_dir()
        for path in _visible(folder / name)
    ]
    if not pairs:
        raise ValueError(f"{folder}: no images in <class>/ folders")
    paths, labels = zip(*pairs, strict=True)
    return list(paths), list(labels)


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _size(path: Path) -> int:
    try:
        with Image.open(path) as image:
            return min(*image.size, MAX_SIZE)
    except OSError as error:
        raise ValueError(f"{path}: not a readable image ({error})") from error
