"""MiniPlaces (github.com/CSAILVision/miniplaces): 100 classes of scenes, 128x128 colour."""

from pathlib import Path

from lt_core.data import DataSet, images

NUM_CLASSES = 100
SIZE = 64
"""The images are halved, to the size of Tiny ImageNet's: the same networks fit, at a quarter of
the computation."""


def load(data_dir: Path) -> DataSet:
    """90,000 images to train, 10,000 held out to validate; the official validation set to test.

    (The labels of the official test set are not public.)

    Args:
        data_dir: holds `miniplaces/images/train/a/abbey/*.jpg`, `miniplaces/images/val/*.jpg`
            and the lists `miniplaces/train.txt` and `val.txt`, whose lines are
            `train/a/abbey/00000001.jpg 0`.

    Raises:
        ValueError: for missing or damaged files.
    """
    folder = data_dir / "miniplaces"
    lists = [folder / "train.txt", folder / "val.txt"]
    if not (folder / "images").is_dir() or not all(path.is_file() for path in lists):
        raise ValueError(
            f"miniplaces: {folder} must hold images/, train.txt and val.txt; download "
            f"http://miniplaces.csail.mit.edu/data/data.tar.gz, unpack it there, and put beside "
            "it data/train.txt and data/val.txt of https://github.com/CSAILVision/miniplaces"
        )
    official, test = map(_listed, lists)
    return images.read_data_set("miniplaces", official, test, size=SIZE, classes=NUM_CLASSES)


def _listed(path: Path) -> tuple[list[Path], list[int]]:
    """The images and labels of a list."""
    paths, labels = [], []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        file, _, label = line.partition(" ")
        if not label.isdecimal() or int(label) >= NUM_CLASSES:
            raise ValueError(
                f"{path}:{number}: must be an image and its class, 0 to {NUM_CLASSES - 1}, "
                f"got {line!r}"
            )
        paths.append(path.parent / "images" / file)
        labels.append(int(label))
    return paths, labels
