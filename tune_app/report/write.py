"""The report of a run directory, whether a grid or a search ran."""

from pathlib import Path

from tune_app.report.grid import report_grid
from tune_app.report.page import Report
from tune_app.results.reading import read_grid, read_sweep
from tune_app.results.store_of_run import store_of
from tune_app.results.table import write_csv
from tune_app.store.store import Store, StoreError


def write_report(run_dir: Path, store: str | None = None) -> Report:
    """Write the report of a run from the files in its directory, and that of a grid also from the
    masks in its store.

    Args:
        run_dir: the directory.
        store: the store of the launch, a directory or a URL; by default where run.json says,
            else beside `run_dir`.

    Raises:
        RunError: a file of the run is missing or damaged, or it has no results.
        SpecError: its `sweep.yaml` is not a sweep file.
        OSError: the directory cannot be written.
    """
    sweep = read_sweep(run_dir)
    if sweep.search is None:
        plan, results, notes = read_grid(run_dir, sweep)
        write_csv(run_dir, results)
        try:
            opened = Store(store_of(run_dir, store))
        except StoreError as error:
            opened = None
            notes.append(f"The masks are not compared: {error}.")
        return report_grid(run_dir, sweep, plan, results, opened, notes)
    # Imported here: Optuna and scipy double the time that a grid's report takes to load.
    from tune_app.report.search import report_search
    from tune_app.search.reading import read_samples

    return report_search(run_dir, sweep, read_samples(run_dir))
