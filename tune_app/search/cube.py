"""Recipes as places in unit cubes: of a search space, to draw from, and of a model, to compare."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from lt_core.config import Recipe
from tune_app.results.words import varied_fields
from tune_app.search.bilevel import as_read
from tune_app.search.model import Array
from tune_app.sweep.spaces import Dimension, Stage, at_point, points
from tune_app.sweep.sweep import Sweep


class Cube:
    """One search space; each of its dimensions, or its list of points, is an axis."""

    def __init__(self, stage: Stage, train: Recipe) -> None:
        self.train = train
        self._points = [at_point(train, point) for point in points(stage)] if stage.points else []
        self._dimensions: dict[str, Dimension[Any]] = {
            name: domain for name, domain in stage.parameters if domain is not None
        }
        self.num_axes = 1 if self._points else len(self._dimensions)

    def at(self, place: Array) -> Recipe:
        """The point at a place, [axes], each coordinate in [0, 1]."""
        if self._points:
            recipe: Recipe = _item(self._points, place[0])
            return recipe
        values = {
            name: _value(domain, x)
            for (name, domain), x in zip(self._dimensions.items(), place, strict=True)
        }
        return at_point(self.train, values)

    def place(self, recipe: Recipe) -> Array:
        """The place of a point, [axes]."""
        if self._points:
            return np.array([_middle(self._points, recipe)])
        dimensions = self._dimensions.items()
        return np.array([_place(domain, getattr(recipe, name)) for name, domain in dimensions])


def _value(domain: Dimension[Any], x: float) -> Any:
    if domain.values is not None:
        return _item(domain.values, x)
    low, high = domain.ends
    if isinstance(low, int) and isinstance(high, int):
        if domain.log:
            return min(max(round(low * (high / low) ** x), low), high)
        return min(low + int(x * (high - low + 1)), high)
    value = low * (high / low) ** x if domain.log else low + x * (high - low)
    return as_read(domain, value)


def _place(domain: Dimension[Any], value: Any) -> float:
    if domain.values is not None:
        return _middle(domain.values, value)
    low, high = domain.ends
    if domain.log:
        return math.log(value / low) / math.log(high / low)
    return float((value - low) / (high - low))


def _item(items: Sequence[Any], x: float) -> Any:
    return items[min(int(x * len(items)), len(items) - 1)]


def _middle(items: Sequence[Any], item: Any) -> float:
    return (items.index(item) + 0.5) / len(items)


class Encoding:
    """Recipes as what a model compares: a column for each number, several for each category."""

    def __init__(self, sweep: Sweep) -> None:
        # Both stages alike: a coupled configuration has the H_find of fields that only `find` has.
        self.names = varied_fields(sweep)
        recipes = [*sweep.find_recipes, *sweep.eval_recipes]
        self._scales = [_scale(sweep, name, recipes) for name in self.names]
        widths = [len(_columns(scale, None)) for scale in self._scales]
        self.fields = tuple(i for i, width in enumerate(widths) for _ in range(width))
        """For each column the number of its field."""

    def __call__(self, recipes: Sequence[Recipe]) -> Array:
        """[len(recipes), columns]."""
        rows = [
            [
                x
                for name, scale in zip(self.names, self._scales, strict=True)
                for x in _columns(scale, getattr(recipe, name))
            ]
            for recipe in recipes
        ]
        return np.array(rows, dtype=float).reshape(len(recipes), len(self.fields))


class _Numbers(NamedTuple):
    """How numbers are compared, and a null beside them."""

    low: float
    high: float
    log: bool
    has_null: bool

    def __call__(self, value: Any) -> list[float]:
        if value is None:
            return [0.5, 1.0] if self.has_null else [0.5]
        x = 0.0
        if self.low < self.high:
            x = (value - self.low) / (self.high - self.low)
            if self.log:
                x = math.log(value / self.low) / math.log(self.high / self.low)
        return [x, 0.0] if self.has_null else [x]


_Scale = _Numbers | list[Any]
"""Numbers, or all categories."""


def _scale(sweep: Sweep, name: str, recipes: Sequence[Recipe]) -> _Scale:
    values = list(dict.fromkeys(getattr(recipe, name) for recipe in recipes))
    numbers = [value for value in values if value is not None]
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in numbers):
        return values
    low, high = float(min(numbers)), float(max(numbers))
    domains = [getattr(stage.parameters, name) for stage in (sweep.find, sweep.eval)]
    ranges = [domain for domain in domains if domain is not None and domain.values is None]
    log = any(domain.log for domain in ranges) if ranges else high >= 5 * low
    return _Numbers(low, high, log and low > 0, has_null=len(numbers) < len(values))


def _columns(scale: _Scale, value: Any) -> list[float]:
    if isinstance(scale, list):  # two categories are 1 apart
        return [math.sqrt(0.5) * (value == category) for category in scale]
    return scale(value)
