"""The training that is exported: the best ticket of a run, or the training with a given id."""

import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tune_app.plan.plan import Plan
from tune_app.plan.trainings import Training
from tune_app.results.curves import Results, best, cells, percent_pruned
from tune_app.results.reading import RunError, read_grid, read_planned, read_sweep
from tune_app.results.result import Result
from tune_app.results.words import kind_name, short, varied_fields
from tune_app.sweep.sweep import Sweep

if TYPE_CHECKING:
    from tune_app.search.plan import SearchPlan  # loads Optuna


@dataclass(frozen=True)
class Choice:
    """A result of a run, and the run."""

    run_dir: Path
    sweep: Sweep
    plan: "Plan | SearchPlan"
    result: Result

    @property
    def training(self) -> Training:
        return self.plan.trainings[self.result.id]

    def described(self) -> str:
        """One line: kind, sparsity, recipes, seed and id."""
        result, varied = self.result, varied_fields(self.sweep)
        recipes = (
            ("found at", result.find),
            ("with the LPR of", result.lpr_find),
            ("trained at", result.eval),
        )
        parts = [f"{words} {short(recipe, varied)}" for words, recipe in recipes if recipe]
        return (
            f"{kind_name(result.kind)} at {percent_pruned(result.sparsity)} pruned (round "
            f"{result.round}), {', '.join(parts)}, seed {result.seed}: training {result.id}"
        )


def choose(run_dir: Path, id: str | None, at: float | None) -> Choice:
    """The training with an id; for None the best ticket at the sparsity nearest to `at`.

    Of a search, the best ticket is that of its comparison over fresh seeds, in the directory beside
    it; so is an id that is no training of the search itself.

    Raises:
        RunError: a file of the run is missing or damaged, or there is no such result.
        SpecError: its `sweep.yaml` is not a sweep file.
    """
    run_dir, sweep, plan, results = _read(run_dir, id)
    if id is None:
        result = winner(sweep, results, nearest_round(sweep, results, at))
    else:
        result = _result_of(id, run_dir, plan, results)
    return Choice(run_dir, sweep, plan, result)


def _read(run_dir: Path, id: str | None) -> tuple[Path, Sweep, "Plan | SearchPlan", Results]:
    sweep = read_sweep(run_dir)
    if sweep.search is not None:
        beside = run_dir.absolute().parent / f"{run_dir.absolute().name}-best"
        if id is not None:
            from tune_app.search.reading import read_plan  # loads Optuna

            search_plan = read_plan(run_dir, sweep)
            if id in search_plan.trainings or not beside.is_dir():
                results, _ = read_planned(run_dir / "results.jsonl", search_plan.trainings)
                return run_dir, sweep, search_plan, results
        print(f"a search: of its best configurations, trained over fresh seeds in {beside}")
        run_dir, sweep = beside, read_sweep(beside)
    plan, results, _ = read_grid(run_dir, sweep)
    return run_dir, sweep, plan, results


def nearest_round(sweep: Sweep, results: Results, at: float | None) -> int:
    """The evaluated round whose tickets' sparsity is nearest to `at`; the highest one for None.

    Raises:
        RunError: when there is no ticket's result at that round.
    """
    pruned = {
        round: statistics.fmean(cell.point.sparsity for cell in found)
        for round in sweep.eval_rounds[1:]
        if (found := cells(sweep, results.means, round))
    }
    if not pruned:
        raise RunError("there is no result of a ticket yet, only of dense networks")
    if at is None:
        return max(pruned)
    planned = {round: sweep.sparsities[round] for round in sweep.eval_rounds[1:]} | pruned
    nearest = min(planned, key=lambda round: abs(planned[round] - at))
    if nearest not in pruned:
        there = ", ".join(percent_pruned(sparsity) for sparsity in pruned.values())
        raise RunError(
            f"--at {at:g}: no result of a ticket at {percent_pruned(planned[nearest])} pruned; "
            f"there are at {there}"
        )
    return nearest


def winner(sweep: Sweep, results: Results, round: int) -> Result:
    """The ticket to use at a round that has results: of the best (H_find, H_eval) by the mean of
    what the sweep selects on, the seed of the best validation accuracy, the first of equal ones."""
    cell = best(sweep, cells(sweep, results.means, round))
    of_cell = (
        result
        for result in results
        if (result.kind, result.round) == ("lottery", round)
        and (result.find, result.eval) == (cell.find, cell.eval)
    )
    return max(of_cell, key=lambda result: result.val_accuracy)


def _result_of(id: str, run_dir: Path, plan: "Plan | SearchPlan", results: Results) -> Result:
    found = {result.id: result for result in results}
    if id in found:
        return found[id]
    if id in plan.trainings:
        raise RunError(f"--id {id}: this training has no result yet")
    some = ", ".join(list(found)[-3:])
    raise RunError(
        f"--id {id}: no training of {run_dir}; results.jsonl has {len(found):,}, such as {some}"
    )
