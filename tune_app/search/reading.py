"""Reading the directory of a search: its samples, its plan, its results."""

from pathlib import Path

from tune_app.results.curves import Results
from tune_app.results.reading import RunError, read_planned
from tune_app.search.plan import SearchPlan, plan_of
from tune_app.search.samples import Samples
from tune_app.store.store import StoreError
from tune_app.sweep.sweep import Sweep


def read_samples(run_dir: Path) -> Samples:
    """The samples of a search.

    Raises:
        RunError: `search.json` is missing or damaged.
    """
    path = run_dir / "search.json"
    if not path.exists():
        raise RunError(f"{path}: no such file")
    try:
        return Samples(path)
    except StoreError as error:
        raise RunError(str(error)) from None


def read_plan(run_dir: Path, sweep: Sweep) -> SearchPlan:
    """The plan of the configurations that a search chose.

    Raises:
        RunError: `search.json` is missing or damaged.
    """
    return plan_of(sweep, (sample.configuration for sample in read_samples(run_dir).all))


def read_search(run_dir: Path, sweep: Sweep) -> tuple[SearchPlan, Results]:
    """The plan of the configurations that a search chose, and its results.

    Raises:
        RunError: `search.json` or `results.jsonl` is missing or damaged.
    """
    plan = read_plan(run_dir, sweep)
    return plan, read_planned(run_dir / "results.jsonl", plan.trainings)[0]
