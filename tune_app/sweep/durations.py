"""Durations of the service, as text in a sweep file: `10min`, `2h`, `5ep`.

Those of a training, in epochs or iterations, are `lt_core.steps.Steps`.
"""

import math
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, WithJsonSchema

Unit = Literal["min", "h", "ep"]

SECONDS: dict[Unit, float] = {"min": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Duration:
    """A number of minutes, hours or epochs."""

    count: int
    unit: Unit

    @property
    def seconds(self) -> float:
        """Wall time; infinite for epochs."""
        return math.inf if self.unit == "ep" else SECONDS[self.unit] * self.count

    @property
    def epochs(self) -> int | None:
        """Number of epochs; None for wall time."""
        return self.count if self.unit == "ep" else None


def parse(
    text: str,
    units: Collection[Unit] = ("min", "h", "ep"),
    known: str = "minutes, hours or epochs",
) -> Duration:
    """Read a duration.

    Args:
        text: such as `10min`.
        units: the units that it may have.
        known: the same for people.

    Raises:
        ValueError: when it is anything else.
    """
    for unit in units:
        if match := re.fullmatch(rf"([1-9]\d{{0,5}}){unit}", text, re.ASCII):
            return Duration(int(match[1]), unit)
    raise ValueError(f"must be {known}, got {text!r}")


def _interval(text: str) -> str:
    parse(text, ("min", "ep"), "minutes or epochs, such as 10min or 5ep")
    return text


def _time_budget(text: str) -> str:
    parse(text, ("min", "h"), "minutes or hours, such as 90min or 2h")
    return text


def _written(*examples: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "examples": [*examples]})


Interval = Annotated[str, AfterValidator(_interval), _written("10min", "5ep")]
"""Minutes or epochs."""

TimeBudget = Annotated[str, AfterValidator(_time_budget), _written("90min", "2h")]
"""Minutes or hours."""
