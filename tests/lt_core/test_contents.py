"""What a data set is by its content."""

import hashlib

import numpy as np
import pytest

from lt_core import data
from lt_core.data import DataSet, Split
from lt_core.data.contents import PUBLISHED, SHAPES, fingerprint
from lt_core.names import DATA_SETS, NUM_TRAINING_IMAGES


def made(**changes) -> DataSet:
    """Six images of 1x2x2, two in each split; `changes` are of the test split or the whole."""
    images = np.arange(24, dtype=np.uint8).reshape(6, 1, 2, 2)
    labels = np.array([0, 1, 0, 1, 0, 1])
    train, validation = (Split(images[i : i + 2], labels[i : i + 2]) for i in (0, 2))
    test = Split(changes.pop("images", images[4:]), changes.pop("labels", labels[4:]))
    return DataSet(changes.pop("name", "made"), train, validation, test, **{"classes": 2} | changes)


def test_it_is_a_hash_of_the_shapes_and_hashes_of_the_arrays():
    def of(*values, dtype) -> str:
        return hashlib.sha256(np.array(values, dtype).tobytes()).hexdigest()

    text = repr(
        [
            [
                part
                for first in (0, 8, 16)
                for part in (
                    [(2, 1, 2, 2), [of(*range(first, first + 8), dtype=np.uint8)]],
                    [(2,), [of(0, 1, dtype=np.int64)]],
                )
            ],
            2,
            False,
        ]
    )
    assert fingerprint(made()) == hashlib.sha256(text.encode()).hexdigest()[:20]


PIXEL = np.arange(16, 24, dtype=np.uint8).reshape(2, 1, 2, 2).copy()
PIXEL[1, 0, 1, 1] += 1


@pytest.mark.parametrize(
    "change",
    [{"images": PIXEL}, {"labels": np.array([1, 1])}, {"classes": 3}, {"augment": True}],
    ids=lambda change: next(iter(change)),
)
def test_whatever_a_training_sees_changes_it(change):
    assert fingerprint(made(**change)) != fingerprint(made())


def test_name_notes_and_memory_layout_do_not():
    images = np.arange(16, 24, dtype=np.uint8).reshape(2, 1, 2, 2)
    turned = images[:, :, ::-1].copy()[:, :, ::-1]
    assert not turned.flags.c_contiguous
    other = made(name="other", notes=("read",), images=turned)
    assert fingerprint(other) == fingerprint(made())


def test_images_that_are_split_otherwise_are_others():
    whole = made()
    swapped = DataSet("made", whole.train, whole.test, whole.validation, classes=2)
    assert fingerprint(swapped) != fingerprint(whole)


def test_large_arrays_are_hashed_in_parts(monkeypatch):
    monkeypatch.setattr("lt_core.data.contents._CHUNK", 3)
    assert fingerprint(made()) == fingerprint(made()) != fingerprint(made(images=PIXEL))


def test_every_data_set_but_a_users_own_has_a_shape():
    assert {*SHAPES, "image_folder"} == set(DATA_SETS)
    assert SHAPES.keys() == NUM_TRAINING_IMAGES.keys()
    for name in PUBLISHED:
        assert len(data.load(name).train) == NUM_TRAINING_IMAGES[name]
    assert set(PUBLISHED) <= set(SHAPES)


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_shape_is_that_of_the_images(name):
    assert data.load(name).shape == SHAPES[name]


@pytest.mark.parametrize("name", PUBLISHED)
def test_another_content_than_the_published_one_is_refused(name, monkeypatch):
    data.load(name)
    monkeypatch.setitem(PUBLISHED, name, "0" * 20)
    with pytest.raises(ValueError, match=f"{name}: the images of this installation are others"):
        data.load(name)
