"""Tables of a grid: its accuracies and its best configurations."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lt_core.config import Recipe
from tune_app.report.tables import Rows, as_text
from tune_app.results.curves import (
    Means,
    Point,
    best,
    cells,
    comparisons,
    how_sparse,
    lpr_pairs,
    most_complete_round,
    percent_pruned,
    point_at,
)
from tune_app.results.paired import Paired
from tune_app.results.result import CurveKey
from tune_app.results.words import KIND_NAMES, kind_at, short, text, varied_fields
from tune_app.sweep.kinds import WITHOUT_TICKET, Kind, is_file
from tune_app.sweep.sweep import Sweep


def grid_rows(sweep: Sweep, means: Means, dense: Mapping[Recipe, Point], round: int) -> Rows:
    """Test accuracies at one round, H_find × H_eval and the baselines.

    An asterisk marks the best cell.
    """
    varied = varied_fields(sweep)
    finds, evals = sweep.find_recipes, sweep.eval_recipes
    found = cells(sweep, means, round)
    top = best(sweep, found).point if found else None

    def line(name: str, points: Iterable[Point | None]) -> list[str]:
        marked = ((point, "*" if point is top else "") for point in points)
        return [name, *(mark + point.test.percent() if point else "–" for point, mark in marked)]

    def curve_line(
        name: str, kind: Kind, find: Recipe | None, lpr_find: Recipe | None = None
    ) -> list[str]:
        keys = (CurveKey(kind, find, eval_, lpr_find) for eval_ in evals)
        return line(name, (means.get(key, {}).get(round) for key in keys))

    rows = [["", *(short(eval_, varied, "eval") for eval_ in evals)]]
    rows += [curve_line(short(find, varied, "find"), "lottery", find) for find in finds]
    for find, source in lpr_pairs(sweep):
        name = f"{short(find, varied, 'find')}, LPR of {short(source, varied)}"
        rows.append(curve_line(name, "lpr_constrained", find, source))
    for kind in sorted(sweep.baselines, key=tuple(KIND_NAMES).index):
        if kind in WITHOUT_TICKET:
            rows.append(curve_line(KIND_NAMES[kind], kind, None))
        else:
            for find in finds:
                name = f"{KIND_NAMES[kind]}, {short(find, varied, 'find')}"
                rows.append(curve_line(name, kind, find))
    for mask in sweep.masks or ():
        given = [point_at(sweep, means, CurveKey(mask, None, eval_), round) for eval_ in evals]
        if any(given) or not is_file(mask):
            rows.append(line(kind_at(mask, given), given))
    rows.append(line("not pruned", (dense.get(eval_) for eval_ in evals)))
    return rows


def best_rows(sweep: Sweep, means: Means) -> Rows:
    """The best coupled and the best decoupled configuration, one line per sparsity."""
    varied = varied_fields(sweep)
    head = ["pruned", "best coupled", "test", "best decoupled", "test"]
    rows = [[*head, "decoupled less coupled, 95% interval"]]
    for coupled, decoupled in comparisons(sweep, means):
        find, eval_ = short(decoupled.find, varied, "find"), short(decoupled.eval, varied, "eval")
        difference = Paired.of(decoupled.point.test_by_seed, coupled.point.test_by_seed)
        rows.append(
            [
                percent_pruned(coupled.point.sparsity),
                short(coupled.find, varied),
                coupled.point.test.percent(),
                f"{find} → {eval_}",
                decoupled.point.test.percent(),
                difference.points() if difference else "–",
            ]
        )
    return rows


def terminal_table(sweep: Sweep, means: Means, dense: Mapping[Recipe, Point]) -> str:
    """`grid_rows` at the most complete round, as text."""
    round = most_complete_round(sweep, means)
    title = (
        f"test accuracy (%) at {how_sparse(means, round)}, mean ± std (seeds); "
        f"* best on {sweep.select_on}"
    )
    return f"{title}\n{as_text(grid_rows(sweep, means, dense, round))}"


def accuracy_csv(sweep: Sweep, means: Means, dense: Mapping[Recipe, Point]) -> list[list[Any]]:
    """One line per kind, H_find, H_eval and round; the unpruned networks are kind `dense`.

    Columns of `lpr_find` are there only for sweeps with LPR-constrained pruning.
    """
    varied = varied_fields(sweep)
    stages = ("find", "eval", "lpr_find") if sweep.find.lpr_from else ("find", "eval")
    rows: list[list[Any]] = [["kind", *_columns(stages, varied), "round", "sparsity", *_STATISTICS]]
    for eval_, point in dense.items():
        recipes = _values((None, eval_, None)[: len(stages)], varied)
        rows.append(["dense", *recipes, 0, 0.0, *_numbers(point)])
    for curve, points in means.items():
        recipes = _values((curve.find, curve.eval, curve.lpr_find)[: len(stages)], varied)
        for point in points.values():
            if point.round > 0:
                at = (point.round, point.sparsity)
                rows.append([curve.kind, *recipes, *at, *_numbers(point)])
    return rows


def best_csv(sweep: Sweep, means: Means) -> list[list[Any]]:
    """Two lines per sparsity: the best coupled and the best decoupled configuration."""
    varied = varied_fields(sweep)
    columns = _columns(("find", "eval"), varied)
    rows: list[list[Any]] = [["round", "sparsity", "best", "selected_on", *columns, *_STATISTICS]]
    for pair in comparisons(sweep, means):
        for cell in pair:
            at = (cell.point.round, cell.point.sparsity)
            kind = "coupled" if cell.coupled else "decoupled"
            recipes = _values((cell.find, cell.eval), varied)
            rows.append([*at, kind, sweep.select_on, *recipes, *_numbers(cell.point)])
    return rows


_STATISTICS = ("n", "test_mean", "test_std", "validation_mean", "validation_std")


def _numbers(point: Point) -> list[Any]:
    """The values of `_STATISTICS`: accuracies in [0, 1]; the deviation of one seed is empty."""
    spread = [
        statistic.std if statistic.n > 1 else "" for statistic in (point.test, point.validation)
    ]
    return [point.test.n, point.test.mean, spread[0], point.validation.mean, spread[1]]


def _columns(stages: Sequence[str], varied: Sequence[str]) -> list[str]:
    return [f"{stage}_{name}" for stage in stages for name in varied]


def _values(recipes: Sequence[Recipe | None], varied: Sequence[str]) -> list[str]:
    """The values of `_columns`, of one recipe per stage."""
    return [text(getattr(recipe, name)) if recipe else "" for recipe in recipes for name in varied]
