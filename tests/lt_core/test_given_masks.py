"""Given masks: read from files, or found by a function, or refused with all that is wrong."""

import sys

import numpy as np
import pytest
import safetensors.numpy
import torch
from torch import nn

from lt_core import data
from lt_core.data.batches import Batches
from lt_core.given_masks import ToFind, find_given, fitted
from lt_core.mask import dense, unpack
from lt_core.mask_file import read_mask


@pytest.fixture
def of():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2))
    digits = data.load("digits")
    return ToFind(network, dense(network), 5, Batches(digits, digits.train, "cpu"), 0, "cpu")


def written(path, **layers):
    path.write_bytes(safetensors.numpy.save(layers))
    return str(path)


def test_a_file_of_bools_integers_or_floats_is_a_mask(tmp_path):
    first = np.array([[1, 0], [0, 1], [1, 1]])
    second = np.array([[0, 0, 1], [1, 0, 0]])
    found = [
        read_mask(
            written(
                tmp_path / "mask.safetensors", **{"2": second.astype(dtype), "0": first.astype(one)}
            )
        )
        for one, dtype in ((bool, bool), (np.uint8, np.int64), (np.float16, np.float32))
    ]
    assert len({mask.fingerprint() for mask in found}) == 1
    mask = unpack(found[0])
    assert list(mask) == ["0", "2"]
    assert mask["0"].tolist() == [[True, False], [False, True], [True, True]]
    assert mask["2"].tolist() == [[False, False, True], [True, False, False]]
    other = read_mask(written(tmp_path / "other.safetensors", **{"0": first, "2": 1 - second}))
    assert other.fingerprint() != found[0].fingerprint()


def test_a_file_that_is_no_mask_is_refused_with_all_that_is_wrong(tmp_path):
    def refused(path) -> str:
        with pytest.raises(ValueError) as error:
            read_mask(str(path))
        return str(error.value).replace(str(path), "PATH")

    path = tmp_path / "mask.safetensors"
    assert refused(path) == "PATH: No such file or directory"
    path.write_bytes(b"no such thing")
    assert refused(path).startswith("PATH: no safetensors file of a mask: ")
    written(path, a=np.array([0.0, 0.5]), b=np.array([1, 2]), c=np.ones(2), d=np.ones((0, 2)))
    assert refused(path) == (
        "PATH: layer a must hold 0 and 1, got 0.5; PATH: layer b must hold 0 and 1, got 2; "
        "PATH: layer d is empty"
    )
    written(path, a=np.zeros(2), b=np.zeros(1, bool))
    assert refused(path) == "PATH: it keeps no weight"


def test_a_mask_takes_the_order_of_the_network(of):
    mask = fitted("mine", {"2": torch.ones(2, 3), "0": torch.eye(3)[:, :2]}, of.mask)
    assert list(mask) == ["0", "2"]
    assert mask["0"].tolist() == [[True, False], [False, True], [False, False]]
    assert mask["2"].all() and mask["2"].dtype == torch.bool


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        (
            {"0": torch.ones(2, 3), "fc": torch.ones(1)},
            "mine: it has no layer 2; one that is not pruned is all 1; mine: it has layer fc, "
            "which cannot be pruned: the layers are 0, 2; mine: layer 0 must be [3, 2], as its "
            "weight is, got [2, 3]",
        ),
        ({"0": torch.ones(3, 2), "2": [1]}, "mine: layer 2 must be a tensor, got list"),
        (
            {"0": torch.full((3, 2), 0.5), "2": torch.ones(2, 3)},
            "mine: layer 0 must be bool, or hold 0 and 1",
        ),
        ({"0": torch.zeros(3, 2), "2": torch.zeros(2, 3)}, "mine: it keeps no weight"),
    ],
)
def test_what_is_no_mask_of_the_network_is_refused(of, found, problem):
    with pytest.raises(ValueError) as error:
        fitted("mine", found, of.mask)
    assert str(error.value) == problem


def test_a_search_is_given_all_and_must_keep_the_number_of_weights(of, monkeypatch):
    def search(given):
        assert given is of and len(given.train) == 1000
        images, labels = given.train[torch.tensor([3, 5])]
        assert images.shape == (2, 1, 8, 8) and images.dtype == torch.float32 and len(labels) == 2
        kept = torch.zeros(12)
        kept[torch.randperm(12)[: number[0]]] = 1
        return {"0": kept[:6].view(3, 2), "2": kept[6:].view(2, 3)}

    number = [5]
    monkeypatch.setattr(sys.modules[__name__], "search", search, raising=False)
    path = f"{__name__}:search"
    first, again = find_given(path, of), find_given(path, of)
    assert all(torch.equal(first[name], again[name]) for name in first)  # its draws are seeded
    assert sum(int(layer.sum()) for layer in first.values()) == 5
    number = [4]
    with pytest.raises(ValueError, match="must keep the 5 weights of `num_left`, kept 4; a mask"):
        find_given(path, of)
    monkeypatch.setattr(sys.modules[__name__], "search", lambda given: 1 / 0)
    with pytest.raises(ValueError, match=f"{path} fails: ZeroDivisionError: division by zero"):
        find_given(path, of)
