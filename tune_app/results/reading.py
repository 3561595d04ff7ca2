"""Reading a run directory: its sweep, its provenance, its results."""

import contextlib
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ValidationError

from tune_app.plan.plan import Plan, make_plan
from tune_app.plan.trainings import Training
from tune_app.results.curves import Results
from tune_app.results.result import Result
from tune_app.results.run_directory import Provenance
from tune_app.sweep.load import load_sweep
from tune_app.sweep.sweep import Sweep
from tune_app.words import plural


class RunError(ValueError):
    """A run directory that cannot be read; the message is one line with file, line and reason."""


def read_sweep(run_dir: Path) -> Sweep:
    """The sweep that ran.

    Raises:
        RunError: there is no such directory.
        SpecError: its `sweep.yaml` is not a sweep file.
    """
    if not run_dir.is_dir():
        raise RunError(f"{run_dir}: no such directory")
    return load_sweep(run_dir / "sweep.yaml")


def read_provenance(run_dir: Path) -> Provenance:
    """The content of `run.json`.

    Raises:
        RunError: the file is missing or damaged.
    """
    path = run_dir / "run.json"
    try:
        return Provenance.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise RunError(f"{path}: no such file") from None
    except ValidationError as error:
        raise RunError(f"{path}: {_first(error)}") from None


def read_grid(run_dir: Path, sweep: Sweep) -> tuple[Plan, Results, list[str]]:
    """The plan of a grid, its results, and notes on the lines that are left out.

    Raises:
        RunError: `results.jsonl` is missing or damaged, or has no result of the grid.
    """
    plan = make_plan(sweep)
    results, notes = read_planned(run_dir / "results.jsonl", plan.trainings)
    if not results:
        raise RunError(f"{run_dir / 'results.jsonl'}: no results of this sweep")
    return plan, results, notes


def read_planned(path: Path, planned: Mapping[str, Training]) -> tuple[Results, list[str]]:
    """The results of planned trainings, in the plan's order.

    Args:
        path: of `results.jsonl`.
        planned: the trainings by id.

    Returns:
        The results, and one sentence for each kind of line that is left out.

    Raises:
        RunError: the file is missing or damaged.
    """
    read = read_all(path, planned)
    found = {result.id: result for result in read}
    notes = []
    if repeats := len(read) - len(found):
        notes.append(f"{plural(repeats, 'result')} of a training that has a later one: left out.")
    if unplanned := found.keys() - planned.keys():
        notes.append(f"{plural(len(unplanned), 'result')} of no training of sweep.yaml: left out.")
    return Results(found[id] for id in planned if id in found), notes


def read_all(path: Path, planned: Mapping[str, Training] | None = None) -> list[Result]:
    """The results of every line.

    Args:
        path: of `results.jsonl`.
        planned: trainings by id, whose recipes their results have.

    Raises:
        RunError: the file is missing or damaged.
    """
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        raise RunError(f"{path}: no such file") from None
    results = []
    for number, line in enumerate(lines, start=1):
        try:
            results.append(Result.from_line(line, planned))
        except ValidationError as error:
            raise RunError(f"{path}:{number}: {_first(error)}") from None
    return results


def read_failures(run_dir: Path) -> dict[str, str]:
    """Reasons by training, from `failures.jsonl`; none where there is no such file, or no such
    line."""
    reasons = {}
    try:
        lines = (run_dir / "failures.jsonl").read_bytes().splitlines()
    except FileNotFoundError:
        return {}
    for line in lines:
        with contextlib.suppress(ValidationError):
            failure = _Failure.model_validate_json(line)
            reasons[failure.id] = failure.reason
    return reasons


class _Failure(BaseModel):
    """A line of failures.jsonl; other keys are left out."""

    id: str
    reason: str


def _first(error: ValidationError) -> str:
    problem = error.errors()[0]
    key = ".".join(map(str, problem["loc"]))
    return (f"`{key}`: " if key else "") + " ".join(problem["msg"].split())
