"""The report of a run directory, whether a grid or a search ran."""

from pathlib import Path

from tune_app.report.grid import report_grid
from tune_app.report.page import Report
from tune_app.results.reading import read_grid, read_sweep


def write_report(run_dir: Path) -> Report:
    """Write the report of a run from the files in its directory.

    Raises:
        RunError: a file of the run is missing or damaged, or it has no results.
        SpecError: its `sweep.yaml` is not a sweep file.
        OSError: the directory cannot be written.
    """
    sweep = read_sweep(run_dir)
    if sweep.search is None:
        return report_grid(run_dir, sweep, *read_grid(run_dir, sweep))
    # Imported here: Optuna and scipy double the time that a grid's report takes to load.
    from tune_app.report.search import report_search
    from tune_app.search.reading import read_samples

    return report_search(run_dir, sweep, read_samples(run_dir))
