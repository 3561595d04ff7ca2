"""Texts as own data, and a network with attention for them: see `sweeps/text.yaml`."""

import unicodedata
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from lt_core.data import DataSet, draw_splits

CATEGORIES = {
    "Lu": "uppercase letter",
    "Ll": "lowercase letter",
    "Lo": "other letter",
    "Mn": "mark",
    "Sm": "mathematical symbol",
    "So": "other symbol",
}
"""Of Unicode."""

NUM_NAMES = 300
"""Of each category."""

CHARACTERS = " -ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
"""Of all names; the first is token 1, since 0 is padding."""

LENGTH = 28
"""Longer names are cut."""


def load(data_dir: Path) -> DataSet:
    """The names of 1,800 characters, letter by letter, to be told by category.

    `LATIN SMALL LETTER A WITH GRAVE` is a lowercase letter, `BRAILLE PATTERN DOTS-12` a symbol.
    The names are those of Unicode 3.2, which every Python has for domain names, whatever its own
    version of Unicode: 300 of each category, drawn by one fixed permutation. Of names that are cut
    to the same, the first stays.

    Args:
        data_dir: unused.
    """
    unicode = unicodedata.ucd_3_2_0
    category_of: dict[str, str] = {}
    for character in map(chr, range(0x110000)):
        name = unicode.name(character, "")
        if not name.startswith(("CJK", "HANGUL SYLLABLE")):  # which have a number for a name
            category_of.setdefault(name[:LENGTH], unicode.category(character))
    tokens, labels = np.zeros((NUM_NAMES * len(CATEGORIES), LENGTH), np.int64), []
    for label, category in enumerate(CATEGORIES):
        names = [name for name, its in category_of.items() if name and its == category]
        for position in np.random.RandomState(0).permutation(len(names))[:NUM_NAMES]:
            spelt = [1 + CHARACTERS.index(letter) for letter in names[position]]
            tokens[len(labels), : len(spelt)] = spelt
            labels.append(label)
    splits = draw_splits(tokens, np.array(labels, np.int64), 1200, 240)
    return DataSet("names", *splits, classes=len(CATEGORIES), vocabulary=1 + len(CHARACTERS))


class Net(nn.Module):
    """A convolution over letters, a layer of a transformer, and the mean over all but padding.

    Of the 10,944 weights to prune 3 x 32 x 32 project the input of attention.
    """

    def __init__(self, vocabulary: int, classes: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, 16, padding_idx=0)
        self.conv = nn.Conv1d(16, 32, 5, padding=2)
        self.encoder = nn.TransformerEncoderLayer(32, 2, 64, dropout=0.0, batch_first=True)
        self.head = nn.Linear(32, classes)

    def forward(self, tokens: Tensor) -> Tensor:
        is_padding = tokens == 0
        x = self.conv(self.embedding(tokens).transpose(1, 2)).relu().transpose(1, 2)
        x = self.encoder(x, src_key_padding_mask=is_padding)
        count = (~is_padding).sum(1, keepdim=True)
        logits: Tensor = self.head(x.masked_fill(is_padding[..., None], 0).sum(1) / count)
        return logits


def make_net(vocabulary: int, length: int, classes: int) -> nn.Module:
    """For names of any length."""
    return Net(vocabulary, classes)
