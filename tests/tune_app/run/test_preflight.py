"""What is said of data and network, and refused of data, before Ray starts."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from lt_core.data import DataSet, Split
from lt_core.mask import dense
from tune_app.run.about import data_in_words, pruned_in_words, shared_in_words
from tune_app.run.identity import Identified
from tune_app.run.preflight import load_fitting
from tune_app.store.store import Store
from tune_app.sweep.load import load_sweep
from tune_app.sweep.yaml_source import SpecError


def made(labels, classes, images=None) -> DataSet:
    """Images of 1x8x8, the same labels in each split."""
    labels = np.array(labels)
    if images is None:
        images = np.random.RandomState(0).randint(0, 256, (len(labels), 1, 8, 8)).astype(np.uint8)
    split = Split(images, labels)
    return DataSet("made", split, split, split, classes)


def test_data_are_told_with_the_classes_that_are_not_trained():
    assert data_in_words(made([0, 1, 1], 2)) == (
        "2 classes, 1x8x8: 3 images to train, 3 to validate, 3 to test"
    )
    noted = dataclasses.replace(made([0, 2, 2], 4), notes=("1 turned", "2 cut"))
    assert data_in_words(noted).endswith("; none to train of class 1, 3; 1 turned; 2 cut")
    assert data_in_words(made([0], 9)).endswith("of class 1, 2, 3, 4, 5 and 3 more")


def test_values_and_shapes_that_look_like_a_mistake_are_told():
    few = np.random.RandomState(0).randint(0, 2, (2, 1, 8, 8)).astype(np.uint8)
    assert "; no value above 1 of 255: were they cut off" in data_in_words(made([0, 1], 2, few))
    last = np.full((2, 12, 16, 3), 99, np.uint8)
    assert "; 12 channels of 16x3 pixels: if that is height" in data_in_words(made([0, 1], 2, last))


def test_images_that_are_trained_and_tested_on_are_told():
    images = np.random.RandomState(0).randint(0, 256, (9, 1, 8, 8)).astype(np.uint8)
    labels = np.arange(9) % 2
    parts = (slice(0, 4), slice(4, 6), slice(3, 9))
    data = DataSet("made", *(Split(images[part], labels[part]) for part in parts), classes=2)
    assert shared_in_words(data) == [
        "1 of 6 test images are training images too: accuracy on them is not that on others"
    ]
    assert len(shared_in_words(made([0, 1], 2))) == 2
    apart = (slice(0, 4), slice(4, 6), slice(6, 9))
    data = DataSet("made", *(Split(images[part], labels[part]) for part in apart), classes=2)
    assert shared_in_words(data) == []


def test_layers_that_are_skipped_or_of_another_kind_are_told_as_never_pruned():
    network = nn.Sequential(nn.Embedding(3, 8), nn.Linear(10, 5), nn.Linear(5, 2, bias=False))
    # 3 x 8, 10 x 5 + 5, 5 x 2
    assert pruned_in_words(network, dense(network, ["2"])) == (
        "50 of 89 parameters; never: 0.weight (24), 2.weight (10), biases and norms (5)"
    )
    bare = nn.Linear(5, 2, bias=False)
    assert pruned_in_words(bare, dense(bare)) == "10 of 10 parameters"


ALL_EQUAL = np.repeat(np.arange(64, dtype=np.uint8).reshape(1, 1, 8, 8), 300, axis=0)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (made([0, 1] * 150, 2, ALL_EQUAL), "of 300 training images all are equal"),
        (made([3] * 8, 10), "of 8 training images all are of class 3"),
        (made([0, 1], 2, np.full((2, 1, 8, 8), 7, np.uint8)), "channel 0 is 7 in every pixel"),
    ],
)
def test_data_from_which_nothing_is_learnt_are_refused(tiny, tmp_path, data, problem):
    sweep = load_sweep(tiny, ["train.batch_size=2"])
    with pytest.raises(SpecError, match=f"`dataset`: .*{problem}"):
        load_fitting(Identified(sweep, [data]), Store(str(tmp_path)), tiny)


def test_one_image_that_differs_is_enough(tiny, tmp_path):
    images = ALL_EQUAL.copy()
    images[299, 0, 0, 0] = 1
    sweep = load_sweep(tiny, ["train.batch_size=2"])
    data = made([0, 1] * 150, 2, images)
    fitting = load_fitting(Identified(sweep, [data]), Store(str(tmp_path)), tiny)
    assert fitting.data is data


def subtracts(channels, classes, image_size):
    """A network whose paths cannot be told, by import path."""
    return Subtracts()


class Subtracts(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(64, 10), nn.Linear(64, 10)

    def forward(self, images):
        return self.a(images.flatten(1)) - self.b(images.flatten(1))


def test_a_live_baseline_is_refused_where_paths_cannot_be_told(tiny, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parent)
    changes = ["model=test_preflight:subtracts", "baselines=[preserve_lpr_live]"]
    with pytest.raises(SpecError, match="`baselines`: preserve_lpr_live needs to tell which"):
        load_fitting(Identified(load_sweep(tiny, changes)), Store(str(tmp_path)), tiny)
    sweep = load_sweep(tiny, ["model=test_preflight:subtracts", "baselines=[preserve_lpr]"])
    load_fitting(Identified(sweep), Store(str(tmp_path)), tiny)
