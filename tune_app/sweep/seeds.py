"""The `seeds` of a sweep file: a list, or as many as it takes to be sure."""

from typing import Annotated, Any, Self

from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator

from lt_core.config import Config, RuleErrors
from tune_app.sweep.spaces import NonEmpty

MAX_SEEDS = 100


class SeedRace(Config):
    """Seed after seed, until it is sure enough what decoupling gains; `results/racing.py` says how.

    Configurations that are below the best drop out on the way.
    """

    model_config = ConfigDict(serialize_by_alias=True)

    from_: int = Field(default=0, alias="from")
    """The first seed; the others follow it."""

    first: int = Field(default=3, ge=2)
    """Seeds of every configuration before any is dropped."""

    at_most: int = Field(ge=3, le=MAX_SEEDS)
    """Seeds in all."""

    until: float = Field(gt=0, le=100)
    """Width of the 95% interval of what decoupling gains, on either side, in percentage points of
    accuracy, at which no more seeds are trained."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.first > self.at_most:
            text = f"must be at most `at_most` ({self.at_most}), got {self.first}"
            raise RuleErrors([(("first",), text)])
        return self

    @property
    def seeds(self) -> tuple[int, ...]:
        """All that it may come to."""
        return tuple(range(self.from_, self.from_ + self.at_most))


def _form(given: Any) -> str:
    return "race" if isinstance(given, dict | SeedRace) else "list"


Seeds = Annotated[
    Annotated[NonEmpty[int], Tag("list")] | Annotated[SeedRace, Tag("race")], Discriminator(_form)
]
"""Replicates, as a list or as a race. The form that is written decides which rules are told."""
