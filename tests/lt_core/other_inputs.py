"""A user's data that are no images, and networks for them; each class is easy to tell."""

import numpy as np
from torch import nn

from lt_core.data import DataSet, Split

LABELS = np.arange(200) % 2


def _split(inputs, **named) -> DataSet:
    parts = (slice(0, 100), slice(100, 150), slice(150, None))
    labels = LABELS.astype(np.int64)
    return DataSet("made", *(Split(inputs[p], labels[p]) for p in parts), classes=2, **named)


def _noise(*shape):
    return np.random.RandomState(0).standard_normal((200, *shape)).astype(np.float32)


def table(data_dir) -> DataSet:
    return _split(_noise(6) + 2 * LABELS[:, None].astype(np.float32))


def series(data_dir) -> DataSet:
    return _split(_noise(2, 12) + 2 * LABELS[:, None, None].astype(np.float32))


def volumes(data_dir) -> DataSet:
    return _split(_noise(1, 4, 4, 4) + 2 * LABELS[:, None, None, None, None].astype(np.float32))


def text(data_dir) -> DataSet:
    """Tokens 1 to 4 for one class, 5 to 8 for the other; the last two are padding."""
    tokens = np.random.RandomState(0).randint(1, 5, (200, 10)) + 4 * LABELS[:, None]
    tokens[:, 8:] = 0
    return _split(tokens.astype(np.int32))


def of_table(features, classes):
    return nn.Sequential(nn.Linear(features, 16), nn.ReLU(), nn.Linear(16, classes))


def of_series(channels, length, classes):
    return nn.Sequential(
        nn.Conv1d(channels, 8, 3, padding=1),
        nn.BatchNorm1d(8),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8 * length, classes),
    )


def of_volumes(channels, classes, image_size):
    depth, height, width = image_size
    return nn.Sequential(
        nn.Conv3d(channels, 4, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4 * depth * height * width, classes),
    )


class OfText(nn.Module):
    """Attention without padding."""

    def __init__(self, vocabulary, length, classes):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, 16, padding_idx=0)
        self.encoder = nn.TransformerEncoderLayer(16, 2, 32, 0.1, batch_first=True)
        self.head = nn.Linear(16, classes)

    def forward(self, tokens):
        is_padding = tokens == 0
        x = self.encoder(self.embedding(tokens), src_key_padding_mask=is_padding)
        return self.head(x.masked_fill(is_padding[..., None], 0).mean(1))


def of_text(**sizes):
    return OfText(**sizes)


class Deep(nn.Module):
    """Whose activations are of the size of its weights in a batch of 16."""

    def __init__(self, vocabulary, classes, layer=nn.Linear):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, 16)
        self.first, self.second = nn.Linear(16, 16, bias=False), layer(16, 16, bias=False)
        self.head = nn.Linear(16, classes)

    def forward(self, tokens):
        return self.head(self.second(self.first(self.embedding(tokens).mean(1))).relu())


def deep(vocabulary, length, classes):
    return Deep(vocabulary, classes)


class OneHot(Deep):
    def forward(self, tokens):
        x = nn.functional.one_hot(tokens, 16).float().mean(1)
        return self.head(self.second(self.first(x)).relu())


def one_hot(vocabulary, length, classes):
    return OneHot(vocabulary, classes)


class Centred(nn.Linear):
    def forward(self, x):
        return nn.functional.linear(x, self.weight - self.weight.mean(), self.bias)


def centred(vocabulary, length, classes):
    return Deep(vocabulary, classes, Centred)


def takes_floats(vocabulary, length, classes):
    return nn.Sequential(nn.Linear(length, 4), nn.ReLU(), nn.Linear(4, classes))


def numbers_in_place_of_tokens(features, classes):
    return nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(4 * features, classes))
