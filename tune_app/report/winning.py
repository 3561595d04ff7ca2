"""Is it a winning ticket? As good as the dense network, and better than its mask on new weights.

Frankle & Carbin 2019 (arXiv:1803.03635), section 1; as two differences, Ma et al. 2021
(arXiv:2107.00166), section 2.
"""

from collections.abc import Mapping

from lt_core.config import Recipe
from tune_app.report.tables import Rows
from tune_app.results.curves import Cell, Means, Point, comparisons, percent_pruned
from tune_app.results.paired import Paired
from tune_app.results.result import CurveKey
from tune_app.results.words import kind_name, short, varied_fields
from tune_app.sweep.kinds import WITHOUT_TICKET, Kind, has_find, is_file
from tune_app.sweep.sweep import Sweep


def winning_rows(sweep: Sweep, means: Means, dense: Mapping[Recipe, Point]) -> Rows:
    """The best coupled and the best decoupled tickets at each sparsity, and what they are."""
    varied = varied_fields(sweep)
    baselines = [kind for kind in sweep.baselines if kind not in WITHOUT_TICKET]
    # A mask of a file has another sparsity than the tickets.
    controls = [*baselines, *(kind for kind in sweep.masks or () if not is_file(kind))]
    names = [f"ticket − {kind_name(kind)}" for kind in controls]
    rows = [["pruned", "H_find → H_eval", "dense − ticket", *names, "winning ticket"]]
    for pair in comparisons(sweep, means):
        for cell in pair:
            of_dense = _less(dense.get(cell.eval), cell.point)
            less = {kind: _less(cell.point, _control(means, cell, kind)) for kind in controls}
            rows.append(
                [
                    percent_pruned(cell.point.sparsity),
                    f"{short(cell.find, varied)} → {short(cell.eval, varied)}",
                    *(paired.points() if paired else "–" for paired in (of_dense, *less.values())),
                    _verdict(of_dense, less.get("reinit"), "reinit" in controls),
                ]
            )
    return rows


def _control(means: Means, cell: Cell, kind: Kind) -> Point | None:
    find = cell.find if has_find(kind) else None
    points = means.get(CurveKey(kind, find, cell.eval), {})
    return points.get(cell.point.round)


def _less(one: Point | None, other: Point | None) -> Paired | None:
    if one is None or other is None:
        return None
    return Paired.of(one.test_by_seed, other.test_by_seed)


def _verdict(of_dense: Paired | None, of_reinit: Paired | None, has_reinit: bool) -> str:
    """What the intervals allow; one seed, and equal differences, allow nothing."""
    if of_dense is None or of_dense.interval is None:
        return "not known"
    if of_dense.sign > 0:
        return "no: worse than dense"
    if not has_reinit:
        return "not shown to be worse than dense; no reinit to compare"
    if of_reinit is None or of_reinit.interval is None:
        return "not known"
    if of_reinit.sign > 0:
        return (
            "yes" if of_dense.sign < 0 else "yes, as far as it is not shown to be worse than dense"
        )
    return "no: not shown to be better than reinit"
