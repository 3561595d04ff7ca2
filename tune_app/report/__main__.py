"""A run's results as figures, tables and one sentence that answers what the sweep asks.

python -m tune_app.report RUN_DIR [--store PLACE] [--sync]
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tune_app import streams
from tune_app.exit_codes import BAD_INPUT, OK
from tune_app.report.write import write_report
from tune_app.results.curves import Results, curves
from tune_app.results.reading import RunError, read_grid, read_provenance, read_sweep
from tune_app.sweep.sweep import Sweep
from tune_app.sweep.yaml_source import SpecError
from tune_app.tracking.connection import (
    TrackingError,
    artifact_root,
    open_command,
    tracking_uri,
)
from tune_app.tracking.tracker import Tracker
from tune_app.words import plural


def main(argv: Sequence[str] | None = None) -> int:
    """Report a run; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tune_app.report", description=__doc__)
    parser.add_argument(
        "run_dir", metavar="RUN_DIR", type=Path, help="a directory of a sweep's run"
    )
    parser.add_argument(
        "--store",
        metavar="PLACE",
        help="the store of the launch, for the masks of a grid (default: RUN_DIR/../_store)",
    )
    parser.add_argument(
        "--sync", action="store_true", help="log in MLflow what it does not have of the run"
    )
    arguments = parser.parse_args(argv)
    run_dir = arguments.run_dir
    try:
        report = write_report(run_dir, arguments.store)
        print(report.answer, report.table, sep="\n\n")
        print("", *report.notes, *report.paths, sep="\n")
        if arguments.sync:
            _sync(run_dir)
    except (RunError, SpecError, OSError, TrackingError) as error:
        print(f"error: {'; '.join(str(error).splitlines())}", file=sys.stderr)
        return BAD_INPUT
    return OK


def _sync(run_dir: Path) -> None:
    """Log the results and the report that MLflow lacks: all of them if the experiment was lost."""
    sweep = read_sweep(run_dir)
    results = _results(run_dir, sweep)
    uri, commit = tracking_uri(run_dir.parent), read_provenance(run_dir).commit
    tracker = Tracker(uri, sweep, artifact_root(run_dir.parent), commit)
    found = curves(results)
    print(f"{plural(tracker.log_curves(found), 'curve')} of {len(found):,} had something new")
    sentences = [*tracker.notes, *tracker.save_views(found)]  # before files, which may be refused
    tracker.log_report(run_dir)
    for sentence in sentences:
        print(sentence)
    print(f"MLflow: {open_command(uri)}\nthen {tracker.url()}")


def _results(run_dir: Path, sweep: Sweep) -> Results:
    if sweep.search is None:
        return read_grid(run_dir, sweep)[1]
    from tune_app.search.reading import read_search  # loads Optuna

    return read_search(run_dir, sweep)[1]


if __name__ == "__main__":
    streams.mend()
    sys.exit(main())
