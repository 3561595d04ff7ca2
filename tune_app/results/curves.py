"""Curves of accuracy over sparsity, their means over seeds, and the best of them."""

import itertools
import json
import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lt_core.config import Recipe
from tune_app.spec import Sweep

Result = Mapping[str, Any]
"""One line of results.jsonl."""

KIND_NAMES = {
    "lottery": "lottery",
    "global_random": "global random",
    "preserve_lpr": "preserve LPR",
    "reinit": "random reinit",
    "lpr_constrained": "LPR-constrained",
}

CurveKey = tuple[str, str, str, str]
"""Kind and, canonical, H_find, H_eval and the H_find that the LPR is taken from."""


@dataclass(frozen=True)
class Curve:
    """The results of one kind, H_find, H_eval and seed, by rising round.

    The dense network at H_eval, which no mask and so no H_find touches, is the first point of
    every curve of that H_eval and seed. `find` is None for kinds that have none; `lpr_find` is the
    H_find whose LPR the masks have, for kind `lpr_constrained`.
    """

    kind: str
    find: Result | None
    eval: Result
    seed: int
    results: tuple[Result, ...]
    lpr_find: Result | None = None


def curves(results: Iterable[Result]) -> list[Curve]:
    """Sort results into curves, in the order in which they are first met."""
    dense: dict[tuple, Result] = {}
    groups: dict[tuple, list[Result]] = defaultdict(list)
    results = list(results)
    # By identity: thousands of results share a few recipes (Training.described).
    recipes = (result.get(name) for result in results for name in ("find", "eval", "lpr_find"))
    texts = {i: canonical(recipe) for i, recipe in {id(r): r for r in recipes}.items()}
    for result in results:
        eval_ = texts[id(result["eval"])]
        if result["round"] == 0:
            dense[eval_, result["seed"]] = result
        else:
            find, lpr_find = texts[id(result["find"])], texts[id(result.get("lpr_find"))]
            groups[(result["kind"], find, eval_, lpr_find), result["seed"]].append(result)
    found = []
    for ((kind, _, eval_, _), seed), pruned in groups.items():
        start = [dense[eval_, seed]] if (eval_, seed) in dense else []
        points = (*start, *sorted(pruned, key=lambda result: result["round"]))
        find, lpr_find = pruned[0]["find"], pruned[0].get("lpr_find")
        found.append(Curve(kind, find, pruned[0]["eval"], seed, points, lpr_find))
    return found


class Results(tuple[Result, ...]):
    """The results of a sweep; what is drawn from all of them is worked out once."""

    @cached_property
    def means(self) -> "Means":
        return mean_curves(self)

    @cached_property
    def dense(self) -> "Mapping[str, Point]":
        return dense_points(self)


def curve_key(
    kind: str, find: Result | None, eval_: Result, lpr_find: Result | None = None
) -> CurveKey:
    return kind, canonical(find), canonical(eval_), canonical(lpr_find)


def canonical(value: Any) -> str:
    """The same text for equal values, whatever the order of their keys."""
    return json.dumps(value, sort_keys=True)


def label(recipe: Result, varied: Sequence[str]) -> str:
    """A recipe in the words of what the sweep varies: `lr 0.1, batch_size 64`."""
    return ", ".join(f"{name} {text(recipe[name])}" for name in varied) or "train"


_PAPER = {"lr": "LR", "batch_size": "BS", "weight_decay": "WD"}


def short(recipe: Result, varied: Sequence[str], stage: str = "") -> str:
    """The same in the paper's words: `LR 0.1, BS 64`, or with a stage `LR_find 0.1`."""
    names = [_PAPER.get(name, name) + (f"_{stage}" if stage else "") for name in varied]
    return ", ".join(f"{name} {text(recipe[key])}" for name, key in zip(names, varied, strict=True))


def text(value: Any) -> str:
    """A value of a recipe as a person would write it."""
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {text(item)}" for name, item in value.items())
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def percent_pruned(sparsity: float) -> str:
    """`98.0%`, past 99% two digits of what is left: `99.22%`."""
    digits = max(1, math.ceil(-math.log10(density(sparsity))) - 1)
    return f"{100 * sparsity:.{digits}f}%"


def density(sparsity: float) -> float:
    """The fraction of the weights left; never 0, which has no logarithm."""
    return max(1 - sparsity, 1e-9)


def as_json(recipes: Iterable[Recipe]) -> list[Result]:
    """Recipes as results hold them."""
    return [recipe.model_dump(mode="json") for recipe in recipes]


def lpr_pairs(sweep: Sweep) -> list[tuple[Result, Result]]:
    """LPR-constrained pruning: the H_find that chooses within each layer, and whose LPR."""
    finds, sources = as_json(sweep.find_recipes), as_json(sweep.lpr_sources)
    return [(find, source) for source in sources for find in finds if find != source]


def varied_fields(sweep: Sweep) -> tuple[str, ...]:
    """The fields in which the recipes of a sweep differ; all of H where there is only one."""
    recipes = [*sweep.find_recipes, *sweep.eval_recipes]
    names = [name for name in Recipe.model_fields if len({getattr(r, name) for r in recipes}) > 1]
    return tuple(names) or tuple(_PAPER)


@dataclass(frozen=True)
class Statistic:
    """Mean and sample standard deviation over n seeds; one seed has no spread, its std is nan."""

    mean: float
    std: float
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Statistic":
        mean, n = statistics.fmean(values), len(values)
        if n == 1:
            return cls(mean, math.nan, n)
        # As statistics.stdev up to rounding, which takes ten times as long.
        return cls(mean, math.sqrt(math.fsum((x - mean) ** 2 for x in values) / (n - 1)), n)

    def percent(self) -> str:
        """`97.5 ± 0.3 (3)`, or `97.5 (1)`."""
        spread = f" ± {100 * self.std:.1f}" if self.n > 1 else ""
        return f"{100 * self.mean:.1f}{spread} ({self.n})"


@dataclass(frozen=True)
class Point:
    """A round of the curves of one kind, H_find and H_eval, over seeds."""

    round: int
    sparsity: float
    validation: Statistic
    test: Statistic

    @classmethod
    def of(cls, results: Sequence[Result]) -> "Point":
        """Results that differ in their seed only."""
        validation = Statistic.of([result["val_accuracy"] for result in results])
        test = Statistic.of([result["test_accuracy"] for result in results])
        sparsity = statistics.fmean(result["sparsity"] for result in results)
        return cls(results[0]["round"], sparsity, validation, test)


Means = Mapping[CurveKey, Mapping[int, Point]]
"""Curves over seeds, their points by round."""


def mean_curves(results: Iterable[Result]) -> dict[CurveKey, dict[int, Point]]:
    """The curves over seeds: by rising round, each with the seeds that have it."""
    groups: dict[CurveKey, dict[int, list[Result]]] = defaultdict(lambda: defaultdict(list))
    for curve in curves(results):
        key = curve_key(curve.kind, curve.find, curve.eval, curve.lpr_find)
        for result in curve.results:
            groups[key][result["round"]].append(result)
    return {
        key: {round: Point.of(by_round[round]) for round in sorted(by_round)}
        for key, by_round in groups.items()
    }


def how_sparse(means: Means, round: int) -> str:
    """`98.0% pruned` as measured, the mean of all that is there; before that `round 18`."""
    measured = [points[round].sparsity for points in means.values() if round in points]
    return f"{percent_pruned(statistics.fmean(measured))} pruned" if measured else f"round {round}"


def dense_points(results: Iterable[Result]) -> dict[str, Point]:
    """The unpruned networks over seeds, by canonical H."""
    groups: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        if result["round"] == 0:
            groups[canonical(result["eval"])].append(result)
    return {key: Point.of(group) for key, group in groups.items()}


@dataclass(frozen=True)
class Cell:
    """One (H_find, H_eval) of the grid at one round: the lottery tickets, over seeds."""

    find: Result
    eval: Result
    point: Point

    @property
    def coupled(self) -> bool:
        return self.find == self.eval


def cells(sweep: Sweep, means: Means, round: int) -> list[Cell]:
    """The cells of the grid that have results at a round."""
    found = []
    pairs = itertools.product(as_json(sweep.find_recipes), as_json(sweep.eval_recipes))
    for find, eval_ in pairs:
        points = means.get(curve_key("lottery", find, eval_), {})
        if round in points:
            found.append(Cell(find, eval_, points[round]))
    return found


def is_complete(sweep: Sweep, found: Sequence[Cell]) -> bool:
    """Whether every cell of the grid is there, with whatever number of seeds."""
    return len(found) == len(sweep.find_recipes) * len(sweep.eval_recipes)


def best(sweep: Sweep, found: Iterable[Cell]) -> Cell | None:
    """The cell with the highest mean of what the sweep selects on; the first one if two are."""
    return max(found, key=lambda cell: getattr(cell.point, sweep.select_on).mean, default=None)


def comparisons(sweep: Sweep, means: Means) -> list[tuple[Cell, Cell]]:
    """The best coupled and the best decoupled cell at each evaluated round that is complete.

    Empty for a grid without coupled or without decoupled cells.
    """
    pairs = []
    for round in sweep.eval_rounds[1:]:
        found = cells(sweep, means, round)
        coupled = best(sweep, [cell for cell in found if cell.coupled])
        decoupled = best(sweep, [cell for cell in found if not cell.coupled])
        if is_complete(sweep, found) and coupled and decoupled:
            pairs.append((coupled, decoupled))
    return pairs


def most_complete_round(sweep: Sweep, means: Means) -> int:
    """The evaluated round with the most of the grid, the last of them if several have it all."""
    rounds = sweep.eval_rounds[1:] or (0,)
    return max(rounds, key=lambda round: (len(cells(sweep, means, round)), round))
