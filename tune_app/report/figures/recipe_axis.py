"""A field of a recipe as an axis."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axis import XAxis, YAxis
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from tune_app.results.words import text
from tune_app.search.samples import Sample
from tune_app.sweep.sweep import Sweep


@dataclass(frozen=True)
class RecipeAxis:
    """The scale of one field, whether its values are numbers or not."""

    places: dict[Any, float] | None
    """The place of each value; None where all values are numbers."""

    log: bool
    ends: tuple[float, float]
    ticks: dict[float, str]
    """Labels by place; empty for matplotlib's own ticks."""

    def place(self, value: Any) -> float:
        """The coordinate of a value."""
        return float(value) if self.places is None else self.places[value]

    def evenly(self, number: int, like: Any) -> list[Any]:
        """So many values from end to end, or all that are no numbers; of the type of `like`."""
        if self.places is not None:
            return list(self.places)
        values = (np.geomspace if self.log else np.linspace)(*self.ends, number)
        if isinstance(like, int):
            return [max(1, round(float(x))) for x in values]
        return [float(x) for x in values]

    def edges(self, number: int) -> list[float]:
        """The edges of cells around the middles of `evenly`."""
        if self.places is not None:
            return [i - 0.5 for i in range(len(self.places) + 1)]
        low, high = self.ends
        if self.log:
            half = (high / low) ** (0.5 / (number - 1))
            return [float(x) for x in np.geomspace(low / half, high * half, number + 1)]
        half = 0.5 * (high - low) / (number - 1)
        return [float(x) for x in np.linspace(low - half, high + half, number + 1)]

    def apply(self, axis: XAxis | YAxis, set_limits: Callable[[float, float], Any]) -> None:
        """Scale, limits and ticks for `axis`; `set_limits` is its `set_xlim` or `set_ylim`."""
        if self.log:
            axis.axes.set(**{f"{axis.axis_name}scale": "log"})
        set_limits(*self.ends)
        if self.ticks:
            axis.set_major_locator(FixedLocator(list(self.ticks)))
            axis.set_major_formatter(FuncFormatter(lambda at, _: self.ticks.get(at, "")))
        else:
            axis.set_major_locator(MaxNLocator(5))
            axis.set_major_formatter(FuncFormatter(lambda at, _: f"{at:g}"))
        axis.set_minor_locator(NullLocator())


def recipe_axis(sweep: Sweep, samples: Sequence[Sample], field: str) -> RecipeAxis:
    """One scale for a field of H_find and of H_eval: coupled samples lie on the diagonal."""
    recipes = [r for s in samples for r in (s.configuration.find, s.configuration.eval)]
    listed = [
        getattr(recipe, field)
        for stage, recipes in ((sweep.find, sweep.find_recipes), (sweep.eval, sweep.eval_recipes))
        if field in stage.varied
        for recipe in recipes
    ]
    values = list(dict.fromkeys([*listed, *(getattr(recipe, field) for recipe in recipes)]))
    if not all(isinstance(value, int | float) for value in values):
        places = {value: float(i) for i, value in enumerate(values)}
        labels = {place: text(value) for value, place in places.items()}
        return RecipeAxis(places, False, (-0.5, len(values) - 0.5), labels)
    low, high = min(values), max(values)
    ranges = [getattr(stage.parameters, field) for stage in (sweep.find, sweep.eval)]
    ranges = [domain for domain in ranges if domain is not None and domain.values is None]
    is_log = any(domain.log for domain in ranges) if ranges else low > 0 and high >= 5 * low
    ticks: list[float] = []
    if is_log and low > 0:
        margin = (high / low) ** 0.06
        ends = (low / margin, high * margin)
        ticks = [float(f"{digit}e{power}") for power in range(-12, 13) for digit in (1, 2, 5)]
        ticks = [tick for tick in ticks if ends[0] <= tick <= ends[1]]
        if len(ticks) > 7:
            ticks = [tick for tick in ticks if f"{tick:e}"[0] == "1"]
    else:
        is_log = False
        margin = 0.06 * (high - low) or 0.5
        ends = (low - margin, high + margin)
    if not ranges and len(listed) <= 8:
        ticks = sorted(set(listed))
    return RecipeAxis(None, is_log, ends, {float(tick): f"{tick:g}" for tick in ticks})
