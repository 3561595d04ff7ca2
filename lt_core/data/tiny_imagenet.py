"""Tiny ImageNet (Stanford CS231n): 200 classes, 64x64 colour."""

from pathlib import Path

from lt_core.data import DataSet, images

NUM_TRAIN, NUM_TEST = 100_000, 10_000
FOLDER = "tiny-imagenet-200"


def load(data_dir: Path) -> DataSet:
    """90,000 images to train, 10,000 held out to validate; the official validation set to test.

    (The labels of the official test set are not public.)

    Args:
        data_dir: holds the unpacked archive: `tiny-imagenet-200/train/<class>/images/*.JPEG`,
            `tiny-imagenet-200/val/images/*.JPEG` and `val/val_annotations.txt`.

    Raises:
        ValueError: for missing or damaged files.
    """
    folder = data_dir / FOLDER
    annotations = folder / "val" / "val_annotations.txt"
    if not (folder / "train").is_dir() or not annotations.is_file():
        raise ValueError(
            f"tiny_imagenet: {folder} must hold train/ and val/val_annotations.txt; download "
            f"http://cs231n.stanford.edu/tiny-imagenet-200.zip and unpack it in {data_dir}"
        )
    names = sorted(path.name for path in (folder / "train").iterdir() if path.is_dir())
    label = {name: i for i, name in enumerate(names)}
    paths = [path for n in names for path in sorted((folder / "train" / n).glob("images/*.JPEG"))]
    labels = [label[path.parent.parent.name] for path in paths]
    _check_number(folder / "train", len(paths), NUM_TRAIN)

    test_paths, test_labels = [], []
    for number, line in enumerate(annotations.read_text().splitlines(), start=1):
        file, name, *_ = [*line.split("\t"), ""]
        if name not in label:
            raise ValueError(f"{annotations}:{number}: {name!r} is no folder of train/")
        test_paths.append(folder / "val" / "images" / file)
        test_labels.append(label[name])
    _check_number(annotations, len(test_paths), NUM_TEST)

    return images.read_data_set(
        "tiny_imagenet",
        (paths, labels),
        (test_paths, test_labels),
        size=64,
        classes=len(names),
    )


def _check_number(path: Path, number: int, rule: int) -> None:
    """Refuse a half-unpacked archive, which would be another data set under the same name."""
    if number != rule:
        raise ValueError(f"{path}: must have {rule:,} images, has {number:,}; unpack it again")
