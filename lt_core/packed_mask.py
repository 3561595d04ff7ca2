"""Masks as they are stored and sent; without torch, which takes seconds and 300 MB to load."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray
from pydantic import ConfigDict, PositiveInt, TypeAdapter

_SHAPES = TypeAdapter(dict[str, tuple[PositiveInt, ...]], config=ConfigDict(strict=True))


@dataclass(frozen=True)
class PackedMask:
    """A mask at one bit a weight, as it is stored and sent."""

    shapes: Mapping[str, tuple[int, ...]]
    bits: NDArray[np.uint8]
    """uint8, eight weights a byte, in the order of `flatten`."""

    def to_bytes(self) -> bytes:
        """A safetensors file."""
        return safetensors.numpy.save(
            {"bits": self.bits}, metadata={"shapes": json.dumps(dict(self.shapes))}
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> "PackedMask":
        """Read what `to_bytes` wrote; executes no code.

        Raises:
            ValueError: when `data` is something else.
        """
        try:
            bits = safetensors.numpy.load(data)["bits"]
            header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
            shapes = _SHAPES.validate_json(header["__metadata__"]["shapes"])
        except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"not a packed mask: {error}") from None
        packed = cls(shapes, bits)
        if bits.dtype != np.uint8 or bits.size != -(-packed.num_weights // 8):
            raise ValueError(
                f"not a packed mask: {bits.size} bytes for {packed.num_weights} weights"
            )
        return packed

    def fingerprint(self) -> str:
        """A hash of the mask: of its layers, their shapes and bits."""
        return hashlib.sha256(self.to_bytes()).hexdigest()[:20]

    @property
    def num_weights(self) -> int:
        return sum(map(math.prod, self.shapes.values()))
