"""A run's results as figures, tables and one sentence that answers what the sweep asks.

python -m tune_app.report RUN_DIR [--store PLACE] [--sync] [--open]
"""

import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path

import click

from tune_app.command import called, examples, path_argument, refused
from tune_app.exit_codes import OK
from tune_app.results.curves import Results, curves
from tune_app.results.reading import RunError, read_grid, read_provenance, read_sweep
from tune_app.sweep.sweep import Sweep
from tune_app.sweep.yaml_source import SpecError
from tune_app.tracking.connection import (
    TrackingError,
    artifact_root,
    tracking_uri,
)
from tune_app.tracking.tracker import Tracker
from tune_app.words import plural


def main(argv: Sequence[str] | None = None) -> int:
    """Report a run; returns the exit code."""
    return called(COMMAND, argv, "python -m tune_app.report")


def _run(run_dir: Path, store: str | None, sync: bool, show: bool) -> int:
    from tune_app.report.write import write_report

    try:
        report = write_report(run_dir, store)
        print(report.answer, report.table, sep="\n\n")
        print("", *report.notes, *report.paths, sep="\n")
        if sync:
            _sync(run_dir)
        if show and not webbrowser.open((run_dir / "report.html").resolve().as_uri()):
            print(f"no browser found; the page is {run_dir / 'report.html'}", file=sys.stderr)
    except (RunError, SpecError, OSError, TrackingError) as error:
        return refused(error)
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
    print(f"MLflow: {tracker.way(run_dir)}")


def _results(run_dir: Path, sweep: Sweep) -> Results:
    if sweep.search is None:
        return read_grid(run_dir, sweep)[1]
    from tune_app.search.reading import read_search  # loads Optuna

    return read_search(run_dir, sweep)[1]


COMMAND = click.Command(
    "report",
    callback=_run,
    help="Write a run's results once more as figures, tables and one sentence that answers what "
    "the sweep asks.",
    short_help="Write figures, tables and the answer of a run again.",
    epilog=examples(
        "lottery report runs/lr_grid --open",
        "lottery report runs/lr_grid --sync",
        "lottery report runs/lr_grid --store s3://bucket/folder",
    ),
    params=[
        path_argument("run_dir"),
        click.Option(
            ["--store"],
            metavar="PLACE",
            help="The store of the launch, for the masks of a grid; that of run.json if not given, "
            "else RUN_DIR/../_store.",
        ),
        click.Option(
            ["--sync"], is_flag=True, help="Log in MLflow what it does not have of the run."
        ),
        click.Option(["--open", "show"], is_flag=True, help="Show report.html in the browser."),
    ],
)

if __name__ == "__main__":
    sys.exit(main())
