"""Curves of accuracy over sparsity, their means over seeds, and the best of them."""

import itertools
import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from lt_core.config import Recipe
from tune_app.results.result import CurveKey, Result
from tune_app.sweep.kinds import Kind, is_file
from tune_app.sweep.sweep import Sweep


@dataclass(frozen=True)
class Curve:
    """The results of one kind, H_find, H_eval and seed, by rising round.

    The dense network at H_eval, which no mask and so no H_find touches, is the first point of
    every curve of that H_eval and seed.
    """

    key: CurveKey
    seed: int
    results: tuple[Result, ...]


def curves(results: Iterable[Result]) -> list[Curve]:
    """Sort results into curves, in the order in which they are first met."""
    dense: dict[tuple[Recipe, int], Result] = {}
    groups: dict[tuple[Kind, int, int, int, int], list[Result]] = defaultdict(list)
    for result in results:
        if result.round == 0:
            dense[result.eval, result.seed] = result
        else:
            # By identity: to hash a recipe takes microseconds, and most results share theirs.
            recipes = (id(result.find), id(result.eval), id(result.lpr_find))
            groups[result.kind, *recipes, result.seed].append(result)
    pruned: dict[tuple[CurveKey, int], list[Result]] = defaultdict(list)
    for group in groups.values():
        pruned[group[0].curve, group[0].seed] += group
    found = []
    for (key, seed), of_curve in pruned.items():
        start = [dense[key.eval, seed]] if (key.eval, seed) in dense else []
        of_curve.sort(key=lambda result: result.round)
        found.append(Curve(key, seed, (*start, *of_curve)))
    return found


class Results(tuple[Result, ...]):
    """The results of a sweep; what is drawn from all of them is worked out once."""

    @cached_property
    def means(self) -> "Means":
        return mean_curves(self)

    @cached_property
    def dense(self) -> "Mapping[Recipe, Point]":
        return dense_points(self)


def percent_pruned(sparsity: float) -> str:
    """`98.0%`, past 99% two digits of what is left: `99.22%`."""
    digits = max(1, math.ceil(-math.log10(density(sparsity))) - 1)
    return f"{100 * sparsity:.{digits}f}%"


def density(sparsity: float) -> float:
    """The fraction of the weights left; never 0, which has no logarithm."""
    return max(1 - sparsity, 1e-9)


def lpr_pairs(sweep: Sweep) -> list[tuple[Recipe, Recipe]]:
    """LPR-constrained pruning: the H_find that chooses within each layer, and whose LPR."""
    pairs = itertools.product(sweep.lpr_sources, sweep.find_recipes)
    return [(find, source) for source, find in pairs if find != source]


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

    def text(self, digits: int = 1, scale: float = 100) -> str:
        """`97.5 ± 0.3`, of one seed `97.5`; by default percent of a fraction."""
        spread = f" ± {scale * self.std:.{digits}f}" if self.n > 1 else ""
        return f"{scale * self.mean:.{digits}f}{spread}"

    def percent(self) -> str:
        """`97.5 ± 0.3 (3)`, or `97.5 (1)`."""
        return f"{self.text()} ({self.n})"

    def sentence(self) -> str:
        """`97.5 ± 0.3% (n=3)`."""
        return f"{self.text()}% (n={self.n})"


@dataclass(frozen=True)
class Point:
    """A round of the curves of one kind, H_find and H_eval, over seeds."""

    round: int
    sparsity: float
    validation: Statistic
    test: Statistic
    results: tuple[Result, ...]

    @classmethod
    def of(cls, results: Sequence[Result]) -> "Point":
        """Results that differ in their seed only."""
        validation = Statistic.of([result.val_accuracy for result in results])
        test = Statistic.of([result.test_accuracy for result in results])
        sparsity = statistics.fmean(result.sparsity for result in results)
        return cls(results[0].round, sparsity, validation, test, tuple(results))

    @property
    def test_by_seed(self) -> dict[int, float]:
        return {result.seed: result.test_accuracy for result in self.results}


Means = Mapping[CurveKey, Mapping[int, Point]]
"""Curves over seeds, their points by round."""


def mean_curves(results: Iterable[Result]) -> dict[CurveKey, dict[int, Point]]:
    """The curves over seeds: by rising round, each with the seeds that have it."""
    groups: dict[CurveKey, dict[int, list[Result]]] = defaultdict(lambda: defaultdict(list))
    for curve in curves(results):
        by_round = groups[curve.key]
        for result in curve.results:
            by_round[result.round].append(result)
    return {
        key: {round: Point.of(by_round[round]) for round in sorted(by_round)}
        for key, by_round in groups.items()
    }


def how_sparse(means: Means, round: int) -> str:
    """`98.0% pruned` as measured, the mean of all that is there; before that `round 18`."""
    measured = [
        points[round].sparsity
        for key, points in means.items()
        if round in points and not is_file(key.kind)
    ]
    return f"{percent_pruned(statistics.fmean(measured))} pruned" if measured else f"round {round}"


def point_at(sweep: Sweep, means: Means, key: CurveKey, round: int) -> Point | None:
    """The point of a curve to show with those of a round; None where there is none.

    A mask of a file stands with the evaluated round whose sparsity is nearest to its own.
    """
    points = means.get(key, {})
    if not is_file(key.kind):
        return points.get(round)
    point = next((point for number, point in points.items() if number > 0), None)
    if point is None:
        return None
    nominal = {number: sweep.sparsities[number] for number in sweep.eval_rounds[1:]}
    nearest = min(nominal, key=lambda number: abs(nominal[number] - point.sparsity))
    return point if nearest == round else None


def dense_points(results: Iterable[Result]) -> dict[Recipe, Point]:
    """The unpruned networks over seeds, by H."""
    groups: dict[Recipe, list[Result]] = defaultdict(list)
    for result in results:
        if result.round == 0:
            groups[result.eval].append(result)
    return {recipe: Point.of(group) for recipe, group in groups.items()}


@dataclass(frozen=True)
class Cell:
    """One (H_find, H_eval) of the grid at one round: the lottery tickets, over seeds."""

    find: Recipe
    eval: Recipe
    point: Point

    @property
    def coupled(self) -> bool:
        return self.find == self.eval


def cells(sweep: Sweep, means: Means, round: int) -> list[Cell]:
    """The cells of the grid that have results at a round."""
    found = []
    for find, eval_ in itertools.product(sweep.find_recipes, sweep.eval_recipes):
        points = means.get(CurveKey("lottery", find, eval_), {})
        if round in points:
            found.append(Cell(find, eval_, points[round]))
    return found


def num_cells(sweep: Sweep) -> int:
    """Of the whole grid."""
    return len(sweep.find_recipes) * len(sweep.eval_recipes)


def best(sweep: Sweep, found: Sequence[Cell]) -> Cell:
    """Of at least one cell that with the highest mean of what the sweep selects on, the first if
    two are.

    Only those with the most seeds count: fewer, where some are missing or diverged, are too few to
    be told from luck.
    """
    most = max(cell.point.test.n for cell in found)
    full = [cell for cell in found if cell.point.test.n == most]
    return max(full, key=lambda cell: getattr(cell.point, sweep.select_on).mean)


def best_pair(sweep: Sweep, found: Sequence[Cell]) -> tuple[Cell, Cell] | None:
    """The best coupled and the best decoupled cell; None where one kind is not there."""
    kinds = ([cell for cell in found if cell.coupled == coupled] for coupled in (True, False))
    coupled, decoupled = kinds
    return (best(sweep, coupled), best(sweep, decoupled)) if coupled and decoupled else None


def comparisons(sweep: Sweep, means: Means) -> list[tuple[Cell, Cell]]:
    """The best coupled and the best decoupled cell at each evaluated round that has both."""
    pairs = (best_pair(sweep, cells(sweep, means, round)) for round in sweep.eval_rounds[1:])
    return [pair for pair in pairs if pair is not None]


def most_complete_round(sweep: Sweep, means: Means) -> int:
    """The evaluated round with the most of the grid, the last of them if several have it all."""
    rounds = sweep.eval_rounds[1:] or (0,)
    return max(rounds, key=lambda round: (len(cells(sweep, means, round)), round))
