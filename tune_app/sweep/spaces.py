"""Search spaces over the fields of a recipe, and their points."""

import itertools
import math
from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Any, Generic, Literal, Self, TypeVar

from pydantic import AfterValidator, Field, ValidationError, create_model, model_validator
from pydantic.fields import FieldInfo

from lt_core.config import Config, Problem, Recipe, Rewinding, RuleErrors
from lt_core.names import NUM_TRAINING_IMAGES
from lt_core.steps import Steps
from tune_app.sweep.resources import Resources
from tune_app.sweep.yaml_source import Loc

MAX_POINTS = 100_000

Item = TypeVar("Item")
Method = Literal["grid", "gp", "random", "tpe"]


def _no_repeats(items: tuple[Any, ...]) -> tuple[Any, ...]:
    repeats = [in_words(item) for item, count in Counter(items).items() if count > 1]
    if repeats:
        raise ValueError(f"each may be given once, got {', '.join(repeats)} again")
    return items


Distinct = Annotated[tuple[Item, ...], AfterValidator(_no_repeats)]
NonEmpty = Annotated[Distinct[Item], Field(min_length=1)]


class Dimension(Config, Generic[Item]):
    """One dimension of a search space: `values`, or the numbers from `min` to `max`."""

    values: NonEmpty[Item] | None = None
    """The values, one by one."""

    min: Item | None = None
    """Lower end of a range, for every method but grid; belongs to it."""

    max: Item | None = None
    """Upper end of a range; belongs to it."""

    log: bool = False
    """Whether numbers are drawn evenly by order of magnitude."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ends: dict[str, Any] = {"min": self.min, "max": self.max}
        given = [name for name, end in ends.items() if end is not None]
        if self.values is not None:
            more = [*given, *(["log"] if self.log else [])]
            if more:
                raise RuleErrors([((more[0],), "goes with a range, not with `values`")])
            return self
        if len(given) < 2:
            raise RuleErrors([((), "needs `values`, or `min` and `max`")])
        for name, end in ends.items():
            if isinstance(end, bool) or not isinstance(end, int | float):
                raise RuleErrors([((name,), f"a range is of numbers, got {in_words(end)}")])
        low, high = ends.values()
        if low >= high:
            text = f"must be more than `min` ({low:g}), got {high:g}"
            raise RuleErrors([(("max",), text)])
        if self.log and low <= 0:
            raise RuleErrors([(("min",), f"must be more than 0 with `log`, got {low:g}")])
        return self

    @property
    def ends(self) -> tuple[Item, Item]:
        """Of a range, `min` and `max`."""
        assert self.min is not None and self.max is not None  # _one_way
        return self.min, self.max


def _checked_type(field: FieldInfo) -> Any:
    return Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation


def _dimension(field: FieldInfo) -> Any:
    return Dimension[_checked_type(field)]  # type: ignore[misc]  # mypy knows no computed types


def _optional(type_: Any) -> Any:
    return type_ | None, None


# One optional dimension for each field of a recipe, its values checked as that field is.
Space = create_model(
    "Space",
    __base__=Config,
    __doc__="The fields of `train` that vary, and their values.",
    **{name: _optional(_dimension(field)) for name, field in Recipe.model_fields.items()},
)


# A field that is left out, or null, is as in `train`.
PointOfRecipe = create_model(
    "PointOfRecipe",
    __base__=Config,
    __doc__="One point of a search space: fields of `train`, replaced.",
    **{name: _optional(_checked_type(field)) for name, field in Recipe.model_fields.items()},
)


class Stage(Config):
    """A search space, and how its points are chosen."""

    train: PointOfRecipe | None = None
    """Fields of `train` that are others in this stage, at each of its points."""

    method: Method = "grid"
    """`grid`: all of them. The others draw points until a budget of `search` is spent: `gp` by a
    Gaussian process over both stages, the default of ranges; `tpe`, the tree-structured Parzen
    estimator (Bergstra et al. 2011), and `random` in each by itself."""

    parameters: Space = Space()
    """Dimensions; the points are every combination of their values."""

    points: Distinct[PointOfRecipe] = ()
    """The points one by one, in place of `parameters`."""

    rewind: Rewinding | None = None
    """Rewinding of this stage, in place of `rewind`."""

    resources: Resources | None = None
    """Resources of a trial of this stage, in place of `resources_per_trial`."""

    @model_validator(mode="after")
    def _ranges_are_searched(self) -> Self:
        varied = dimensions(self.parameters)
        has_range = any(getattr(self.parameters, name).values is None for name in varied)
        if has_range and "method" not in self.model_fields_set:
            object.__setattr__(self, "method", "gp")  # frozen, and not yet seen by anyone
        return self

    @model_validator(mode="after")
    def _points_go_with_grid(self) -> Self:
        varied = dimensions(self.parameters)
        ranges = [name for name in varied if getattr(self.parameters, name).values is None]
        problems: list[tuple[Loc, str]] = []
        if self.points and varied:
            problems.append((("points",), "stands in place of `parameters`; give one of them"))
        if self.points and self.method != "grid":
            problems.append((("points",), f"goes with `method: grid`, not with {self.method}"))
        elif self.method != "grid" and not varied:
            problems.append((("method",), f"{self.method} needs `parameters` to draw from"))
        if self.method == "grid":
            text = "a range needs `method: gp`, `tpe` or `random`; a grid needs `values`"
            problems += [(("parameters", name), text) for name in ranges]
        fixed = fields_of(self.train) if self.train else {}
        for name in fixed.keys() & set(self.varied):
            key = "points" if self.points else "parameters"
            problems.append((("train", name), f"is varied by `{key}`; give it in one of them"))
        if problems:
            raise RuleErrors(problems)
        return self

    @property
    def varied(self) -> tuple[str, ...]:
        """The fields of `train` that the stage replaces."""
        if not self.points:
            return tuple(dimensions(self.parameters))
        given = {name for point in self.points for name in fields_of(point)}
        return tuple(name for name in Recipe.model_fields if name in given)


def dimensions(space: Space) -> dict[str, tuple[Any, ...]]:
    """The values of each field that a space varies; of a range its two ends."""
    return {name: domain.values or domain.ends for name, domain in space if domain is not None}


def points(stage: Stage) -> Iterator[dict[str, Any]]:
    """Every point of a stage as field -> value, the last dimension fastest."""
    if stage.points:
        yield from map(fields_of, stage.points)
        return
    varied = dimensions(stage.parameters)
    for values in itertools.product(*varied.values()):
        yield dict(zip(varied, values, strict=True))


def num_points(stage: Stage) -> int:
    """The number of `points`, without going through them."""
    return len(stage.points) or math.prod(map(len, dimensions(stage.parameters).values()))


def fields_of(point: PointOfRecipe) -> dict[str, Any]:
    """The fields that a point replaces."""
    return {name: value for name, value in point if value is not None}


def at_point(train: Recipe, point: dict[str, Any]) -> Recipe:
    """`train` with the fields of a point; ValidationError where they do not go together."""
    return Recipe(**(dict(train) | point))


def stage_train(train: Recipe, stage: Stage) -> Recipe:
    """`train` with the fields that are others in a stage."""
    return at_point(train, fields_of(stage.train)) if stage.train else train


def in_epochs(recipe: Recipe, dataset: str) -> Recipe:
    """The same training, with durations in epochs where they are whole ones of a known data set."""
    per_epoch = NUM_TRAINING_IMAGES.get(dataset, 0) // recipe.batch_size
    if not per_epoch:
        return recipe
    durations = {
        name: value.in_epochs(per_epoch) for name, value in recipe if isinstance(value, Steps)
    }
    milestones = tuple(milestone.in_epochs(per_epoch) for milestone in recipe.milestones)
    return recipe.model_copy(update={**durations, "milestones": milestones})


def in_words(value: Any) -> str:
    """A value of a sweep file for people: `0.1`, `[8ep, 13ep]`; a point as `point_in_words`."""
    if isinstance(value, PointOfRecipe):
        return point_in_words(fields_of(value))
    return f"[{', '.join(map(str, value))}]" if isinstance(value, tuple) else str(value)


def point_in_words(point: dict[str, Any]) -> str:
    """`lr=0.1, batch_size=64`."""
    return ", ".join(f"{name}={in_words(value)}" for name, value in point.items())


def bad_stage(train: Recipe, stage: Stage, name: str) -> Iterator[tuple[Loc, str]]:
    """Fields that do not go together, such as a milestone after a shorter duration: in the `train`
    of a stage, or else at its points."""
    try:
        train = stage_train(train, stage)
    except ValidationError as error:
        for (field, *_), text in _problems(error):
            yield (name, "train"), f"with it, `{field}` {text}"
        return
    seen = set()
    for point in points(stage):
        try:
            at_point(train, point)
        except ValidationError as error:
            at = point_in_words(point)
            for problem in _problems(error):
                if problem not in seen:
                    seen.add(problem)
                    (field, *_), text = problem
                    key = "points" if stage.points else "parameters"
                    yield (name, key), f"at {at}, `{field}` {text}"


def _problems(error: ValidationError) -> tuple[Problem, ...]:
    problems: tuple[Problem, ...] = error.errors()[0]["ctx"]["error"].problems
    return problems
