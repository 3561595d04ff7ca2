"""Any folder of images: train/<class>/*.png and test/<class>/*.png."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lt_core.data import DataSet, Split, images

MAX_SIZE = 64

Classes = dict[str, list[Path]]
"""Image files by class, in order of their names."""


def load(data_dir: Path) -> DataSet:
    """Nine tenths of train/ to train, a tenth held out to validate; test/ to test.

    All images become RGB squares of one size (`images.read` says how): the most frequent shorter
    side in train/, where more than 64 pixels count as 64; of equally frequent ones the largest.

    Args:
        data_dir: holds `train/` and `test/`, with a folder of images for each class. Files
            whose name begins with a dot are left out.

    Raises:
        ValueError: for a missing folder, a class without images, images at another depth than
            <class>/, what is no file at all, and files that cannot be read right; with their names.
    """
    train, test = data_dir / "train", data_dir / "test"
    for folder in (train, test):
        if not folder.is_dir():
            raise ValueError(
                f"image_folder: {folder} is missing; `data_dir` must hold "
                "train/<class>/ and test/<class>/ with images"
            )
    (to_train, problems), (to_test, others) = _classes(train), _classes(test)
    problems += others + _class_problems(train, to_train, test, to_test)
    names = list(to_train)
    official, tested = _labelled(to_train, names), _labelled(to_test, names)
    sides, unreadable = images.attempt(images.shorter_side, [*official[0], *tested[0]])
    if problems or unreadable:
        raise ValueError(images.first_few([*problems, *unreadable], "; "))

    size = _most_frequent(sides[: len(official[0])])
    loaded = images.read_data_set("image_folder", official, tested, size=size, classes=len(names))
    return replace(loaded, notes=(*loaded.notes, *_class_notes(data_dir, loaded, names)))


def _classes(folder: Path) -> tuple[Classes, list[str]]:
    """The classes of train/ or test/, and what lies there at another depth than <class>/."""
    classes: Classes = {}
    problems = []
    for path in _visible(folder):
        if not path.is_dir():
            problems.append(f"{path}: a file beside the class folders; move it into one, or away")
            continue
        inside = _visible(path)
        classes[path.name] = [file for file in inside if file.is_file()]
        problems += [
            f"{file}: a folder within a class; move its images up into {path}, or away"
            for file in inside
            if file.is_dir()
        ]
        # To open a FIFO waits for someone who writes into it: for ever.
        problems += [
            f"{file}: neither a file nor a folder, but a FIFO, a socket, a device or a broken "
            "link; remove it"
            for file in inside
            if not (file.is_file() or file.is_dir())
        ]
    return classes, problems


def _class_problems(train: Path, to_train: Classes, test: Path, to_test: Classes) -> list[str]:
    """What is wrong with the classes themselves, a sentence each."""
    problems = [
        f"{train / name}: a class without images; put some in, or remove the folder"
        for name in to_train
        if not _visible(train / name)
    ]
    problems += [
        f"{test / name}: no class of {train} has this name"
        for name in to_test
        if name not in to_train
    ]
    for folder, classes in ((train, to_train), (test, to_test)):
        if not any(classes.values()):
            problems.append(f"{folder}: no images in <class>/ folders")
    if len(to_train) == 1:
        problems.append(
            f"{train / next(iter(to_train))}: the only class; it takes two to tell apart"
        )
    return problems


def _labelled(classes: Classes, names: Sequence[str]) -> tuple[list[Path], list[int]]:
    """Files and labels, in order of the classes in train/."""
    pairs = [(path, label) for label, name in enumerate(names) for path in classes.get(name, [])]
    return [path for path, _ in pairs], [label for _, label in pairs]


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _most_frequent(sides: Sequence[int]) -> int:
    """The size to read images at. Photos of any size count as 64, or a few icons outvote them."""
    counts = Counter(min(side, MAX_SIZE) for side in sides)
    return max(counts, key=lambda side: (counts[side], side))


def _class_notes(data_dir: Path, loaded: DataSet, names: Sequence[str]) -> list[str]:
    """Classes, by name, that were not trained or are not tested, and folders that were not read."""
    notes = []
    if untrained := _without_images(names, loaded.train):
        notes.append(
            f"all images of {untrained} are held out to validate: nothing is trained on them"
        )
    if untested := _without_images(names, loaded.test):
        notes.append(f"test/ has no images of {untested}: accuracy on test tells nothing of them")
    others = [
        f"{path.name}/"
        for path in _visible(data_dir)
        if path.is_dir() and path.name not in ("train", "test")
    ]
    if others:
        notes.append(f"{images.first_few(others)} not read, only train/ and test/ are")
    return notes


def _without_images(names: Sequence[str], split: Split) -> str:
    present = set(split.labels.tolist())
    return images.first_few([name for label, name in enumerate(names) if label not in present])
