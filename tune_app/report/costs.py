"""Tables of what tickets cost, and of coupled against decoupled at equal compute."""

from collections.abc import Iterator
from typing import Any

from lt_core.config import Recipe
from tune_app.report.equal_macs import at_equal_macs
from tune_app.report.tables import Rows, as_markdown
from tune_app.results.costs import AXES, mean_left
from tune_app.results.curves import Means, Point, Results, Statistic, how_sparse, point_at
from tune_app.results.result import CurveKey, Result
from tune_app.results.words import kind_at, kind_name, short, text, varied_fields
from tune_app.sweep.kinds import UNDER_TICKETS, Kind, has_find, is_file
from tune_app.sweep.sweep import Sweep


def cost_lines(sweep: Sweep, results: Results) -> list[str]:
    """The section of report.md; none where no result has its costs."""
    means = results.means
    rounds = [round for round in sweep.eval_rounds[1:] if any(_masks(sweep, means, round))]
    if not rounds:
        return []
    dense = next(cost for result in results if (cost := result.cost) is not None)
    lines = [
        "## What tickets cost\n",
        f"In percent of the dense network's {dense.weights:,} weights, {dense.dense_macs:,} "
        f"multiply-adds for an image and {dense.dense_bytes:,} bytes: mean ± sample standard "
        "deviation (number of seeds). A weight that is on no path from the input to the output "
        "changes nothing.\n",
    ]
    for round in rounds:
        lines.append(f"### {how_sparse(means, round)}: what is left\n")
        lines.append(as_markdown(_cost_rows(sweep, means, round)))
    equal = equal_rows(sweep, means)
    if len(equal) > 1:
        lines += [
            "### Coupled against decoupled at equal compute\n",
            "Test accuracy in percent, interpolated between evaluated rounds in the logarithm of "
            f"the multiply-adds left; configurations chosen on {sweep.select_on} there.\n",
            as_markdown(equal),
        ]
    return lines


def _masks(sweep: Sweep, means: Means, round: int) -> Iterator[tuple[str, Kind, Point]]:
    """The name, kind and results of each kind of mask that has its costs; of all H_eval, which do
    not change it, the first that there is."""
    varied = varied_fields(sweep)
    keys: list[tuple[str, Kind, Recipe | None]] = []
    kinds: tuple[Kind, ...] = ("lottery", *sweep.controls)
    for kind in kinds:
        if not has_find(kind):
            keys.append((kind_name(kind), kind, None))
        elif kind not in UNDER_TICKETS:  # whose masks are those of the tickets
            prefix = "" if kind == "lottery" else f"{kind_name(kind)}, "
            for find in sweep.find_recipes:
                keys.append((prefix + short(find, varied, "find"), kind, find))
    for name, kind, of in keys:
        keys_of_mask = (CurveKey(kind, of, h) for h in sweep.eval_recipes)
        points = (point_at(sweep, means, key, round) for key in keys_of_mask)
        counted = (point for point in points if point and mean_left(point.results, "macs"))
        if (point := next(counted, None)) is not None:
            yield kind_at(kind, [point]) if is_file(kind) else name, kind, point


def _cost_rows(sweep: Sweep, means: Means, round: int) -> Rows:
    rows = [["", *AXES.values(), "live, of the weights left"]]
    for name, _, point in _masks(sweep, means, round):
        left = [mean_left(point.results, axis) for axis in AXES]
        rows.append([name, *map(_percent, (*left, _live_share(point.results)))])
    return rows


def _live_share(results: tuple[Result, ...]) -> Statistic | None:
    shares = [
        cost.live / cost.alive
        for result in results
        if (cost := result.cost) is not None and cost.live is not None and cost.alive
    ]
    return Statistic.of(shares) if shares else None


def _percent(statistic: Statistic | None) -> str:
    if statistic is None:
        return "not known"
    spread = f" ± {100 * statistic.std:.2f}" if statistic.std >= 0.00005 else ""
    return f"{100 * statistic.mean:.2f}{spread} ({statistic.n})"


def equal_rows(sweep: Sweep, means: Means) -> Rows:
    """The best coupled and the best decoupled configuration, a line for each evaluated round and
    for each of `eval.at_macs`."""
    varied = varied_fields(sweep)
    head = ["multiply-adds left", "best coupled", "test", "best decoupled", "test"]
    rows = [[*head, "decoupled less coupled, 95% interval"]]
    rounds = sweep.eval_rounds[1:]
    at = [at_equal_macs(sweep, means, round) for round in rounds]
    at += [at_equal_macs(sweep, means, rounds[-1], macs) for macs in sweep.eval.at_macs if rounds]
    for equal in sorted(filter(None, at), key=lambda equal: -equal.macs_left):
        find, eval_ = equal.decoupled
        rows.append(
            [
                f"{100 * equal.macs_left:.2f}%",
                short(equal.coupled[0], varied),
                equal.coupled_test.percent(),
                f"{short(find, varied, 'find')} → {short(eval_, varied, 'eval')}",
                equal.decoupled_test.percent(),
                equal.difference.points(),
            ]
        )
    return rows


def cost_csv(sweep: Sweep, results: Results) -> list[list[Any]]:
    """One line per kind of mask, H_find and evaluated round; fractions of the dense network's."""
    varied = varied_fields(sweep)
    columns = [f"{axis}_{of}" for axis in AXES for of in ("mean", "std")]
    rows: list[list[Any]] = [["kind", *(f"find_{f}" for f in varied), "round", "n", *columns]]
    for round in sweep.eval_rounds[1:]:
        for _, kind, point in _masks(sweep, results.means, round):
            find = point.results[0].find
            recipe = [text(getattr(find, name)) if find else "" for name in varied]
            numbers: list[Any] = []
            for axis in AXES:
                left = mean_left(point.results, axis)
                numbers += ["", ""] if left is None else _numbers(left)
            rows.append([kind, *recipe, round, len(point.results), *numbers])
    return rows


def _numbers(left: Statistic) -> list[Any]:
    return [left.mean, left.std if left.n > 1 else ""]
