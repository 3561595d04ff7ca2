"""Rows of a table, sequences, volumes and texts: checked, trained and pruned as images are."""

import numpy as np
import other_inputs
import pytest
import torch
from torch import nn

from lt_core import at_initialization, evaluate, find, models
from lt_core.config import Pruning, Recipe
from lt_core.data import DataSet, Split
from lt_core.data.batches import Batches
from lt_core.data.contents import fingerprint
from lt_core.data.shapes import Series, Shape, Table, Text, Tokens
from lt_core.live_paths import LivePaths
from lt_core.macs import macs_by_weight
from lt_core.mask import dense, num_alive, num_weights
from lt_core.own_network import content
from lt_core.rehearsal import rehearse
from lt_core.rewind import to_initialization

LABELS = np.array([0, 1], np.int64)
TOKENS = np.array([[0, 2, 1], [1, 1, 0]], np.int64)
NOT_A_NUMBER = np.array([[0, 1], [np.nan, np.inf]], np.float32)


@pytest.mark.parametrize(
    ("inputs", "problem"),
    [
        (np.zeros((2, 3)), r"got float64 \[2, 3\]; .astype\(np.float32\) makes it one$"),
        (np.zeros(2, np.float32), r"got float32 \[2\]$"),
        (np.zeros((2, 3), np.uint8), r"got uint8 \[2, 3\]; .astype\(np.int64\) makes tokens of it"),
        (np.zeros((2, 3, 4), np.int64), r"got int64 \[2, 3, 4\]$"),
        (np.zeros((2, 0), np.float32), r"got float32 \[2, 0\]$"),
        (NOT_A_NUMBER, r"finite, 2 of 4 numbers are nan or infinite, the first at \[1, 0\]$"),
        (-TOKENS, "^tokens must be 0 or more, got -2$"),
        (TOKENS[:1], r"labels must be int64 \[1\], one for each"),
    ],
)
def test_what_no_network_can_take_is_refused(inputs, problem):
    with pytest.raises(ValueError, match=problem):
        Split(inputs, LABELS)


def made(*inputs, **named) -> DataSet:
    first, *others = [Split(each, LABELS) for each in inputs]
    validation, test = others or (first, first)
    return DataSet("made", first, validation, test, classes=2, **named)


def test_splits_that_do_not_go_together_are_refused():
    floats = TOKENS.astype(np.float32)
    with pytest.raises(ValueError, match=r"^images of train are int64, of test float32$"):
        made(TOKENS, TOKENS, floats)
    with pytest.raises(ValueError, match=r"^images of train are \[3\], of validation \[2\]$"):
        made(floats, floats[:, :2], floats)
    with pytest.raises(ValueError, match=r"^augment=True goes with uint8 images"):
        made(floats, augment=True)
    with pytest.raises(ValueError, match=r"^vocabulary goes with tokens"):
        made(floats, vocabulary=3)
    with pytest.raises(ValueError, match=r"^tokens must be 0 to 1 \(vocabulary=2\), one is 2$"):
        made(TOKENS, vocabulary=2)


def test_the_shape_is_what_a_network_is_made_from():
    assert vars(other_inputs.table(None).shape) == {"features": 6, "classes": 2}
    assert other_inputs.series(None).shape == Series(channels=2, length=12, classes=2)
    assert other_inputs.volumes(None).shape == Shape(1, (4, 4, 4), 2)
    assert made(np.zeros((2, 1, 3, 4), np.float32)).shape == Shape(1, (3, 4), 2)
    assert other_inputs.text(None).shape == Text(vocabulary=9, length=10, classes=2)
    # A token that only the test set has is one too.
    assert made(TOKENS, TOKENS, TOKENS + 5).shape == Text(vocabulary=8, length=3, classes=2)
    assert made(TOKENS, vocabulary=50).shape == Text(vocabulary=50, length=3, classes=2)


def test_batches_are_what_the_data_set_has():
    floats = np.random.RandomState(0).standard_normal((2, 3)).astype(np.float32)
    for inputs, dtype in (
        (floats, torch.float32),
        (TOKENS, torch.int64),
        (TOKENS.astype(np.int32), torch.int64),
    ):
        data = made(inputs)
        taken, labels = Batches(data, data.train, "cpu")[torch.tensor([1, 0])]
        assert taken.dtype == dtype
        assert taken.tolist() == inputs[::-1].tolist()
        assert labels.tolist() == [1, 0]
        whole, _ = Batches(data, data.train, "cpu")[:]
        whole.add_(1)  # as a network may that changes what it is given
        assert np.array_equal(data.train.images, inputs) and not np.shares_memory(whole, inputs)


def test_the_fingerprint_tells_types_and_vocabularies_apart():
    numbers = TOKENS.astype(np.int32)
    alike = [
        made(TOKENS),
        made(numbers),
        made(numbers.view(np.float32)),
        made(numbers, vocabulary=4),
    ]
    assert len({fingerprint(data) for data in alike}) == 4


RECIPE = Recipe(lr=0.1, batch_size=20, duration="6ep")
KINDS = ["table", "series", "volumes", "text"]


@pytest.mark.parametrize("kind", KINDS)
def test_they_are_rehearsed_found_and_evaluated(kind):
    data, network = getattr(other_inputs, kind)(None), f"other_inputs:of_{kind}"
    in_bf16 = RECIPE.model_copy(update={"precision": "bf16"})
    assert rehearse(network, data, [RECIPE, in_bf16], Pruning()) == []
    first, second = find(network, data, RECIPE, Pruning(fraction=0.5), rounds=1, seed=0)
    assert first.evaluation.val_accuracy > 0.9
    whole = num_weights(first.mask)
    assert num_alive(second.mask) == whole - -(-whole // 2)
    assert evaluate(network, data, second.mask, in_bf16, seed=0).test_accuracy > 0.9
    assert content(network, data.shape).is_like(content(network, data.shape))
    images, labels = Batches(data, data.train, "cpu")[:8]
    built = to_initialization(network, data, seed=0)
    for baseline in ("snip", "grasp", "synflow"):
        left = at_initialization.found(baseline, built, dense(built), 20, images, labels, 2)
        assert num_alive(left) == 20


@pytest.mark.parametrize("name", ["deep", "one_hot"])
def test_activations_of_tokens_are_not_taken_for_weights(name):
    recipe = RECIPE.model_copy(update={"batch_size": 16})
    assert rehearse(f"other_inputs:{name}", other_inputs.text(None), [recipe], Pruning()) == []


def test_a_weight_that_is_not_0_where_it_is_pruned_is_seen_with_tokens_too():
    [problem] = rehearse("other_inputs:centred", other_inputs.text(None), [RECIPE], Pruning())
    assert problem.startswith("layer second computes with another weight than its own")


@pytest.mark.parametrize(
    ("network", "data", "problem"),
    [
        ("takes_floats", "text", r"the network fails on texts \[2, 10\]: RuntimeError: "),
        ("numbers_in_place_of_tokens", "table", r"the network fails on rows \[2, 6\]: RuntimeErro"),
        ("of_table", "series", r"of_table\(channels=2, classes=2, length=12\) fails: TypeError"),
    ],
)
def test_a_network_for_other_inputs_is_refused(network, data, problem):
    shape = getattr(other_inputs, data)(None).shape
    with pytest.raises(ValueError, match=problem):
        models.build(f"other_inputs:{network}", **vars(shape), seed=0)


def test_networks_of_images_refuse_what_is_none():
    with pytest.raises(ValueError, match=r"^small_resnet takes images, not a row Table\(features="):
        models.build("small_resnet", features=3, classes=2, seed=0)
    with pytest.raises(ValueError, match=r"^lenet_300_100 takes images, not a text"):
        models.build("lenet_300_100", vocabulary=3, length=4, classes=2, seed=0)
    for sizes in ({"features": 6}, {"channels": 2, "length": 3}):
        network = models.build("lenet_300_100", **sizes, classes=2, seed=0)
        assert num_weights(dense(network)) == 6 * 300 + 300 * 100 + 100 * 2
    assert models.build("lenet_300_100", **vars(Table(6, 2)), seed=0)(torch.ones(5, 6)).shape == (
        5,
        2,
    )


class Bag(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(5, 2, padding_idx=0)
        self.hidden, self.head = nn.Linear(2, 3), nn.Linear(3, 4)

    def forward(self, tokens):
        return self.head(self.hidden(self.embedding(tokens)).mean(1))


def test_costs_and_paths_of_texts():
    network, shape = Bag(), Tokens(length=7, vocabulary=5)
    # At each of 7 tokens 2 x 3, then once 3 x 4; the embedding is looked up.
    assert macs_by_weight(network, shape) == {"hidden": 7 * 6, "head": 12, None: 0}
    mask = dense(network)
    mask["head"][:, 0] = False
    assert LivePaths(network, shape).num_live(mask) == 4 + 8
