import json
import struct

import numpy as np
import pytest
import safetensors.numpy
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import nn

from lt_core import models
from lt_core.mask import (
    PackedMask,
    alive_by_layer,
    dense,
    flatten,
    num_alive,
    num_weights,
    pack,
    prunable_weights,
    sparsity,
    unflatten,
    unpack,
)

YES, NO = True, False
MASK = {  # deliberately not in alphabetical order
    "stem": torch.tensor([[YES, NO, YES], [NO, NO, YES]]),
    "body.0.conv": torch.tensor([YES, YES, YES, YES]),
}
"""Ten weights, seven alive: 101001 1111."""


def assert_same(mask, expected):
    assert list(mask) == list(expected)
    for name, layer in expected.items():
        assert mask[name].dtype == torch.bool
        assert mask[name].shape == layer.shape
        assert torch.equal(mask[name], layer), name


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 2, 3)
        self.bn = nn.BatchNorm2d(2)
        self.body = nn.Sequential(nn.Conv2d(2, 3, 1, bias=False), nn.ReLU(), nn.LayerNorm(4))
        self.a_head = nn.Linear(3, 5)


def test_prunable_are_the_weights_of_convolutions_and_linear_layers_in_network_order():
    network = Network()
    weights = prunable_weights(network)
    assert list(weights) == ["stem", "body.0", "a_head"]
    assert weights["stem"] is network.stem.weight
    assert weights["body.0"] is network.body[0].weight
    assert weights["a_head"] is network.a_head.weight


def test_dense_is_all_of_them():
    mask = dense(Network())
    ones = {"stem": (2, 1, 3, 3), "body.0": (3, 2, 1, 1), "a_head": (5, 3)}
    assert_same(mask, {name: torch.ones(shape) == 1 for name, shape in ones.items()})
    assert num_weights(mask) == num_alive(mask) == 39  # 18 + 6 + 15
    assert sparsity(mask) == 0


def test_sparsity_is_the_fraction_pruned_to_the_last_bit():
    assert num_weights(MASK) == 10
    assert num_alive(MASK) == 7
    assert sparsity(MASK) == 0.3
    assert sparsity({"all gone": torch.zeros(3, dtype=torch.bool)}) == 1


def test_flatten_puts_layers_end_to_end_in_row_major_order_whatever_lies_in_memory():
    image = torch.arange(24.0).view(2, 3, 2, 2)
    for memory_format in (torch.contiguous_format, torch.channels_last):
        layers = {
            "b": image.contiguous(memory_format=memory_format),
            "a": torch.tensor([[24.0, 25.0], [26.0, 27.0]]).t().contiguous().t(),
        }
        flat = flatten(layers)
        assert flat.tolist() == list(range(28))
        back = unflatten(flat, like=layers)
        assert list(back) == ["b", "a"]
        assert torch.equal(back["b"], image)
        assert back["a"].tolist() == [[24, 25], [26, 27]]


def test_packed_is_one_bit_a_weight_first_weight_highest():
    packed = pack(MASK)
    assert packed.bits.dtype == np.uint8
    assert packed.bits.tolist() == [0b10100111, 0b11000000]
    assert packed.shapes == {"stem": (2, 3), "body.0.conv": (4,)}
    assert packed.num_weights == 10


def test_a_real_network_packs_into_an_eighth_of_its_weights():
    packed = pack(
        dense(models.build("small_resnet", channels=1, classes=10, image_size=(8, 8), seed=0))
    )
    assert packed.num_weights == 19_464
    assert packed.bits.size == 2_433
    assert len(packed.to_bytes()) < 4_000


def test_channels_last_packs_like_row_major():
    layer = torch.arange(48).view(2, 3, 4, 2) % 5 == 0
    usual = pack({"conv": layer})
    other = pack({"conv": layer.contiguous(memory_format=torch.channels_last)})
    assert other.bits.tolist() == usual.bits.tolist()
    assert_same(unpack(other), {"conv": layer})


shapes = st.dictionaries(
    st.text(max_size=8),
    st.lists(st.integers(1, 5), max_size=4).map(tuple),
    min_size=1,
    max_size=4,
)


@pytest.mark.fuzz
@given(shapes, st.randoms(use_true_random=False))
def test_packing_loses_nothing_at_any_size(shapes, random):
    mask = {
        name: torch.tensor([random.random() < 0.5 for _ in range(int(np.prod(shape)))]).view(shape)
        for name, shape in shapes.items()
    }
    assert_same(unpack(pack(mask)), mask)
    assert_same(unpack(PackedMask.from_bytes(pack(mask).to_bytes())), mask)


def test_read_only_bits_unpack_into_a_mask_of_its_own():
    packed = pack(MASK)
    packed.bits.flags.writeable = False
    mask = unpack(packed)
    mask["stem"][0, 0] = False
    assert_same(unpack(packed), MASK)


def test_the_bytes_are_a_safetensors_file():
    assert safetensors.numpy.load(pack(MASK).to_bytes())["bits"].tolist() == [167, 192]


def file(shapes: str | None, **tensors: np.ndarray) -> bytes:
    metadata = None if shapes is None else {"shapes": shapes}
    return safetensors.numpy.save(tensors, metadata)


def header(text: bytes, body: bytes = b"\0") -> bytes:
    return struct.pack("<Q", len(text)) + text + body


BYTE = np.zeros(1, np.uint8)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 7,
        b"\0" * 8,
        b"\xff" * 100,
        b"\x80\x04N.",  # a pickle
        header(b""),
        header(b"[]"),
        header(b"{}"),
        header(b"\xff\xff"),
        header(b"[" * 100_000),
        header(
            b'{"__metadata__":null,"bits":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
        ),
        header(
            b'{"__metadata__":{"shapes":"{\\"a\\":[8]}"},'
            b'"bits":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]}}',
            b"\0\0",
        ),
        file(None, bits=BYTE),
        file('{"a":[8]}'),
        file('{"a":[8]}', other=BYTE),
        file('{"a":[8]}', bits=BYTE.astype(np.int8)),
        file('{"a":[8]}', bits=np.zeros(1, np.float32)),
        file('{"a":[8]}', bits=np.zeros(2, np.uint8)),
        file('{"a":[9]}', bits=BYTE),
        file('{"a":[8],"b":[1]}', bits=BYTE),
        file("{}", bits=BYTE),
        file("", bits=BYTE),
        file("not json", bits=BYTE),
        file("null", bits=BYTE),
        file("8", bits=BYTE),
        file("[8]", bits=BYTE),
        file('"a"', bits=BYTE),
        file('{"a":8}', bits=BYTE),
        file('{"a":"8"}', bits=BYTE),
        file('{"a":null}', bits=BYTE),
        file('{"a":["8"]}', bits=BYTE),
        file('{"a":[[8]]}', bits=BYTE),
        file('{"a":[8.0]}', bits=BYTE),
        file('{"a":[true]}', bits=BYTE),
        file('{"a":[NaN]}', bits=BYTE),
        file('{"a":[1e400]}', bits=BYTE),
        file('{"a":[-2,-4]}', bits=BYTE),
        file('{"a":[9223372036854775807]}', bits=BYTE),
        file('{"a":[0,9223372036854775807]}', bits=np.zeros(0, np.uint8)),
        file("[" * 100_000, bits=BYTE),
    ],
)
def test_anything_but_a_packed_mask_is_refused(data):
    with pytest.raises(ValueError, match=r"^not a packed mask: "):
        PackedMask.from_bytes(data)


def test_a_truncated_file_is_refused_wherever_it_ends():
    data = pack(MASK).to_bytes()
    for length in range(len(data)):
        with pytest.raises(ValueError, match=r"^not a packed mask: "):
            PackedMask.from_bytes(data[:length])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-10, 20) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=6,
)
WHOLE = pack(MASK).to_bytes()
damaged = st.builds(
    lambda at, byte: WHOLE[:at] + bytes([byte]) + WHOLE[at + 1 :],
    st.integers(0, len(WHOLE) - 1),
    st.integers(0, 255),
)
foreign = st.builds(
    lambda shapes, size: file(json.dumps(shapes), bits=np.zeros(size, np.uint8)),
    json_values | st.dictionaries(st.text(max_size=2), json_values),
    st.integers(0, 3),
)


@pytest.mark.fuzz
@given(st.binary(max_size=200) | damaged | foreign)
@example(WHOLE)
def test_whatever_the_bytes_they_are_refused_or_unpack(data):
    try:
        packed = PackedMask.from_bytes(data)
    except ValueError:
        return
    mask = unpack(packed)
    assert {name: tuple(layer.shape) for name, layer in mask.items()} == packed.shapes


def test_skipped_layers_are_not_in_the_mask():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Linear(4, 3))
    assert list(dense(network, skip=["0"])) == ["2"]
    with pytest.raises(ValueError, match="cannot skip 1, fc: the layers are 0, 2"):
        dense(network, skip=["1", "0", "fc"])
    with pytest.raises(ValueError, match="cannot skip every layer"):
        dense(network, skip=["2", "0"])


def test_alive_by_layer():
    mask = {"b": torch.tensor([[True, False], [True, True]]), "a": torch.zeros(2, dtype=bool)}
    assert list(alive_by_layer(mask).items()) == [("b", 3), ("a", 0)]
