"""What one trial is given."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, PlainSerializer, model_validator

from lt_core.config import Config, Problem, Recipe, RuleErrors
from tune_app.sweep.yaml_source import Loc


def _plain(number: float) -> float:
    """Written as it was given: 2, not 2.0."""
    return int(number) if number == int(number) else number


_AS_GIVEN = PlainSerializer(_plain, return_type=Any)


class Resources(Config):
    """Cores and GPUs of one trial, and how much one does."""

    cpu: Annotated[float, AfterValidator(_plain), _AS_GIVEN] = Field(default=1, gt=0)
    """Cores, and so threads, of a training; 0.5 has two small ones share a core."""

    gpu: float = Field(default=0.0, ge=0)
    """GPUs; 0.25 puts four trials on one."""

    pack: int = Field(default=1, ge=1)
    """Chains, or evaluations, that one trial does by turns where as many wait: on a GPU side by
    side, and for trainings of a fraction of a second, since each trial takes some 15 ms."""

    price_per_hour: float | None = Field(default=None, gt=0)
    """Price of these cores and GPUs, in any currency: a dry run then says what the sweep costs."""

    @model_validator(mode="after")
    def _whole_above_one(self) -> Self:
        given = {"cpu": self.cpu, "gpu": self.gpu}
        problems = [
            ((key,), f"must be whole above 1, got {number:g}")
            for key, number in given.items()
            if number > 1 and number != int(number)
        ]
        if problems:
            raise RuleErrors(problems)
        return self

    def fit(self, cores: float, gpus: float) -> int:
        """How many such trials so many cores and GPUs hold."""
        there = [(cores, self.cpu), *([(gpus, self.gpu)] if self.gpu else [])]
        # 0.2 goes five times into 1, rounded as it is.
        return min(int(number / asked + 1e-9) for number, asked in there)

    @property
    def threads(self) -> int:
        """Threads of a training."""
        return max(1, int(self.cpu))


def unpriced(resources: Mapping[str, Resources]) -> Iterator[tuple[Loc, str]]:
    """Problems of resources without a price beside others with one.

    Args:
        resources: of trials, by the key of the sweep file that gives them.
    """
    priced = [key for key, given in resources.items() if given.price_per_hour is not None]
    for key, given in resources.items():
        if priced and given.price_per_hour is None:
            text = f"must be given too, since `{priced[0]}` has one"
            yield (*key.split("."), "price_per_hour"), text


def without_gpu(
    recipes: Mapping[str, Iterable[Recipe]], resources: Iterable[Resources]
) -> Iterator[Problem]:
    """That a stage is to train in a precision of GPUs, and has none; of the first that is.

    Args:
        recipes: by stage.
        resources: of each stage.
    """
    for (stage, its), given in zip(recipes.items(), resources, strict=True):
        if not given.gpu and any(recipe.precision == "tf32" for recipe in its):
            text = (
                f"tf32 is a precision of GPUs, and trials of `{stage}` have none: write fp32, "
                "or give them one by `resources_per_trial: {gpu: 1}`"
            )
            yield ("train", "precision"), text
            return
