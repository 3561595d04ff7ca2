"""What was read of a data set, and what of a network is pruned, in words."""

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tune_app.words import first_few, plural

if TYPE_CHECKING:
    from torch import nn

    from lt_core.data import DataSet, Split
    from lt_core.mask import Mask

# torch is loaded where a network is looked at: a data set alone needs none.


FEW = 16
"""Levels of an image that may have had more; the digits of scikit-learn have 17."""


def data_in_words(data: "DataSet") -> str:
    """`4 classes, 3x16x16: 400 images to train, 100 to validate, 200 to test; 3 enlarged`."""
    sizes = data.train.images.shape[1:]
    size = "x".join(map(str, sizes))
    if data.vocabulary is not None:
        size += f" of {plural(data.vocabulary, 'token')}"
    text = (
        f"{plural(data.classes, 'class')}, {size}: {plural(len(data.train), data.shape.noun)} to "
        f"train, {len(data.validation):,} to validate, {len(data.test):,} to test"
    )
    if len(sizes) == 3 and sizes[0] > 4 and sizes[2] in (1, 3, 4):
        channels, height, width = sizes
        text += (
            f"; {channels} channels of {height}x{width} pixels: if that is height, width and "
            "channels, images.transpose(0, 3, 1, 2) puts these first"
        )
    if data.is_normalized and (most := int(data.train.images.max())) < FEW:
        text += f"; no value above {most} of 255: were they cut off, as of floats from 0 to 1?"
    there = set(data.train.labels.tolist())
    if absent := [str(c) for c in range(data.classes) if c not in there]:
        text += f"; none to train of class {first_few(absent, 5)}"
    return "; ".join((text, *data.notes))


def shared_in_words(data: "DataSet") -> list[str]:
    """One sentence for each split that has images of the training set; else none."""

    def content(split: "Split") -> list[bytes]:
        return [hashlib.sha1(image, usedforsecurity=False).digest() for image in split.images]

    trained, sentences = set(content(data.train)), []
    for name, split in (("validation", data.validation), ("test", data.test)):
        same = sum(image in trained for image in content(split))
        if same:
            noun = data.shape.noun
            of = plural(len(split), f"{name} {noun}")
            sentences.append(
                f"{same:,} of {of} are training {noun}s too: accuracy on them is not that on others"
            )
    return sentences


def pruned_in_words(network: "nn.Module", everything: "Mask") -> str:
    """`10,688 of 18,154 parameters; never: positions (3,072), ...`."""
    from lt_core.mask import never_pruned, num_weights

    total = sum(parameter.numel() for parameter in network.parameters())
    others = never_pruned(network, everything)
    dimensions = {name: parameter.dim() for name, parameter in network.named_parameters()}
    weights = [f"{name} ({n:,})" for name, n in others.items() if dimensions[name] > 1]
    if vectors := sum(n for name, n in others.items() if dimensions[name] <= 1):
        weights.append(f"biases and norms ({vectors:,})")
    never = f"; never: {', '.join(weights)}" if weights else ""
    return f"{num_weights(everything):,} of {total:,} parameters{never}"


def about_in_words(about: Mapping[str, str]) -> list[str]:
    """What was read and what is pruned, a line each."""
    names = {"data": "data", "pruned": "prunes"}
    return [f"{names[key]:<16}{text}" for key, text in about.items()]
