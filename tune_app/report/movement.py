"""How far the trainings that found masks moved the weights."""

from collections.abc import Callable

from tune_app.report.tables import Rows, as_markdown
from tune_app.results.curves import Means, Point, Results, Statistic, how_sparse
from tune_app.results.result import CurveKey, Result
from tune_app.results.words import short, varied_fields
from tune_app.sweep.sweep import Sweep


def movement_lines(sweep: Sweep, results: Results) -> list[str]:
    """A table of report.md; nothing where no result tells."""
    rows = _rows(sweep, results.means)
    if len(rows) == 1:
        return []
    return [
        "### How far the weights moved\n",
        "While the network was trained whose pruning found the mask, from the weights that it "
        "started from: L2 distance over their norm, and the share of them that changed their sign, "
        "of the weights alive; mean ± sample standard deviation (number of seeds).\n",
        as_markdown(rows),
    ]


def _rows(sweep: Sweep, means: Means) -> Rows:
    rows = [["found by", "mask", "distance", "sign changes, %"]]
    for find in sweep.find_recipes:
        points = dict(means.get(CurveKey("lottery", find, find), {}))
        if not sweep.rewinds_alike:
            points |= means.get(CurveKey("chain", find, find), {})
        for round in sweep.eval_rounds[1:]:
            # Of one-shot tickets, all are found by the dense network.
            finder = points.get(0 if sweep.prune.is_one_shot else round - 1)
            if finder is not None and all(_has_moved(result) for result in finder.results):
                name = short(find, varied_fields(sweep), "find")
                rows.append([name, how_sparse(means, round), *_moved(finder)])
    return rows


def _has_moved(result: Result) -> bool:
    return result.distance is not None and result.sign_changes is not None


def _moved(point: Point) -> list[str]:
    def over_seeds(measure: Callable[[Result], float | None], digits: int) -> str:
        values = [value for result in point.results if (value := measure(result)) is not None]
        statistic = Statistic.of(values)
        return f"{statistic.text(digits, scale=1)} ({statistic.n})"

    def signs(result: Result) -> float | None:
        return None if result.sign_changes is None else 100 * result.sign_changes

    return [over_seeds(lambda result: result.distance, 2), over_seeds(signs, 1)]
