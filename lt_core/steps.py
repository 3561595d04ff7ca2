"""Durations with units: `160ep` is epochs, `500it` is iterations (optimizer steps)."""

import re
import reprlib
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

PATTERN = r"\d{1,12}(ep|it)"


@dataclass(frozen=True)
class Steps:
    """A number of epochs or iterations; which of the two is part of the value."""

    count: int
    unit: Literal["ep", "it"]

    @classmethod
    def parse(cls, value: Any) -> Self:
        """Read `160ep` or `500it`.

        Raises:
            ValueError: for anything else, bare numbers included.
        """
        if isinstance(value, cls):
            return value
        if not isinstance(value, str) or not re.fullmatch(PATTERN, value, re.ASCII):
            raise ValueError(
                f"expected epochs or iterations, such as 160ep or 500it, got {reprlib.repr(value)}"
            )
        return cls(int(value[:-2]), "ep" if value.endswith("ep") else "it")

    def __str__(self) -> str:
        return f"{self.count}{self.unit}"

    def iterations(self, iterations_per_epoch: int) -> int:
        """The same duration as a number of optimizer steps."""
        return self.count * iterations_per_epoch if self.unit == "ep" else self.count

    def in_epochs(self, iterations_per_epoch: int) -> "Steps":
        """The same duration in epochs, where it is a whole number of them."""
        epochs, rest = divmod(self.count, iterations_per_epoch)
        return self if self.unit == "ep" or rest else Steps(epochs, "ep")


StepsField = Annotated[
    Steps,
    PlainValidator(Steps.parse),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "pattern": f"^{PATTERN}$", "examples": ["8ep", "500it"]}),
]
