"""What a network must know of a data set to be built for it, by the kind of its inputs.

The fields of each are the arguments of a user's function that makes a network.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True)
class Tokens:
    """Inputs that are whole numbers, [length], each below `vocabulary`."""

    length: int
    vocabulary: int


InputShape = tuple[int, ...] | Tokens
"""Of one input: the sizes of an array of floats, or tokens."""


@dataclass(frozen=True)
class Shape:
    """Images, or volumes."""

    channels: int
    image_size: tuple[int, ...]
    """(height, width), or (depth, height, width)."""

    classes: int
    noun: ClassVar[str] = "image"

    @property
    def inputs(self) -> InputShape:
        return (self.channels, *self.image_size)


@dataclass(frozen=True)
class Table:
    """Rows of numbers."""

    features: int
    classes: int
    noun: ClassVar[str] = "row"

    @property
    def inputs(self) -> InputShape:
        return (self.features,)


@dataclass(frozen=True)
class Series:
    """Sequences of numbers, several at each time."""

    channels: int
    length: int
    classes: int
    noun: ClassVar[str] = "sequence"

    @property
    def inputs(self) -> InputShape:
        return (self.channels, self.length)


@dataclass(frozen=True)
class Text:
    """Sequences of tokens."""

    vocabulary: int
    """Number of tokens."""

    length: int
    classes: int
    noun: ClassVar[str] = "text"

    @property
    def inputs(self) -> InputShape:
        return Tokens(self.length, self.vocabulary)


AnyShape = Shape | Table | Series | Text


def shape_of(sizes: Mapping[str, Any]) -> AnyShape:
    """The shape with these fields, by name; JSON's list is a size too."""
    fields: dict[str, Any] = {
        key: tuple(size) if isinstance(size, list) else size for key, size in sizes.items()
    }
    kinds: tuple[type[AnyShape], ...] = (Shape, Table, Series, Text)
    [kind] = [
        kind for kind in kinds if {field.name for field in dataclasses.fields(kind)} == {*fields}
    ]
    return kind(**fields)
