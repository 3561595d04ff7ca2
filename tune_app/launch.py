"""Run a sweep file: `python -m tune_app.launch sweeps/lr_grid.yaml`.

The same command again goes on where it stopped; an edited file trains only what is new.
"""

import gc
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tune_app import dry_run, exit_codes, signals, submit
from tune_app.arguments import Options, launch_command
from tune_app.command import called, typed
from tune_app.credentials import hide_credentials, to_type
from tune_app.run import ray_settings
from tune_app.run.identity import Identified, identify
from tune_app.run.plan_words import search_text, show_lines, show_missing
from tune_app.run.variants import kept_apart
from tune_app.store.store import Store, StoreError, store_place
from tune_app.supervised import supervised
from tune_app.sweep.load import load_sweep
from tune_app.sweep.located import located
from tune_app.sweep.yaml_source import SpecError, printable

if TYPE_CHECKING:
    from tune_app.conduct import Ran
    from tune_app.report.page import Report
    from tune_app.sweep.sweep import Sweep

# torch, ray, mlflow and matplotlib take seconds to import and a dry run needs none of them, so
# they are imported where they are used.


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; its exit code."""
    return called(COMMAND, arguments, "python -m tune_app.launch")


def _run(options: Options) -> int:
    try:
        import fcntl  # noqa: F401  (its absence tells Windows from systems that can work)
    except ImportError:
        # There a store cannot be synced to disk, and looking whether a launch lives would end it.
        print("error: this system has no `fcntl`; on Windows, use WSL", file=sys.stderr)
        return exit_codes.BAD_INPUT
    given = typed()
    # What the user typed, here or where it was submitted.
    text = shlex.join(["python", "-m", "tune_app.launch", *given.arguments])
    command = os.environ.get(submit.COMMAND_VARIABLE) or hide_credentials(text)
    if given.is_process and sys.platform == "linux" and _is_on_a_cluster(options):
        return supervised(lambda: _answered(options, command), to_type(command))
    return _answered(options, command)


def _is_on_a_cluster(options: Options) -> bool:
    """Whether Ray runs elsewhere; not of a job, which its cluster ends together with all else."""
    if options.submit is not None or "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ:
        return False
    return options.address is not None or ray_settings.cluster_address() is not None


def _answered(options: Options, command: str) -> int:
    if options.address is not None:
        os.environ["RAY_ADDRESS"] = options.address
    signals.obey()
    # The results of a large sweep are many objects that stay: by default half of the time goes to
    # looking through all of them again and again.
    gc.set_threshold(50_000)
    try:
        if options.submit and not options.dry_run:
            sweep = load_sweep(options.sweep, options.overrides)
            return submit.submit(options.submit, sweep, options.out, options.store, command)
        return _launch(options, command)
    except SpecError as error:
        told = located(str(error), options.sweep, options.overrides)
        print(f"error: {told}", file=sys.stderr)
        return exit_codes.BAD_INPUT
    except (StoreError, submit.SubmitError) as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        return exit_codes.BAD_INPUT
    except KeyboardInterrupt:
        print(f"stopped; what was trained is stored. To go on: {to_type(command)}", file=sys.stderr)
        return exit_codes.INTERRUPTED


def _launch(options: Options, command: str) -> int:
    sweep = load_sweep(options.sweep, options.overrides)
    store = Store(store_place(options.out, options.store))
    ray_settings.apply()  # before the user's own code, which may import Ray
    is_needed = options.check or not options.dry_run
    if not options.dry_run and ray_settings.cluster_address() is not None:
        from tune_app.run.ray_session import check_cluster

        check_cluster()
    identified = identify(sweep, store, options.sweep, is_needed=is_needed)
    identified = kept_apart(identified, options.out)
    notes = [located(note, options.sweep, options.overrides) for note in identified.notes]
    identified = replace(identified, notes=notes)
    if sweep.search is not None:
        return _search(identified, options, store, command)
    if options.dry_run:
        dry_run.show_grid(identified, options, store)
        return exit_codes.OK
    from tune_app.conduct import Site, run_grid

    site = Site(options.sweep, options.out, store, command)
    return _say_grid(run_grid(identified, site), identified.sweep)


def _search(identified: Identified, options: Options, store: Store, command: str) -> int:
    """Search, then train the best of what was found over fresh seeds."""
    from tune_app.search.outlook import outlook
    from tune_app.search.samples import Samples

    sweep = identified.sweep
    samples = Samples(options.out / sweep.name / "search.json")
    print(search_text(sweep, len(samples.all)), flush=True)
    if options.dry_run:
        dry_run.show_search(identified, samples, options, store)
        return exit_codes.OK
    show_lines(outlook(sweep, samples, store))
    from tune_app.conduct import Site, run_grid, run_search
    from tune_app.report.search import report_search
    from tune_app.search.comparison import comparison

    site = Site(options.sweep, options.out, store, command)
    ran = run_search(identified, site, samples)
    if ran.report is None:
        return exit_codes.SOME_FAILED
    _say_report(ran.report, ran.mlflow)
    if not ran.went_through:
        print(f"the search is not over; to go on: {to_type(command)}", file=sys.stderr)
        return exit_codes.SOME_FAILED
    chosen = comparison(sweep, samples)
    if chosen is None:
        print("not compared: no coupled or no decoupled configuration is complete", file=sys.stderr)
        return exit_codes.SOME_FAILED
    print()
    code = _say_grid(run_grid(identify(chosen, store, options.sweep), site), chosen)
    report = report_search(ran.run_dir, sweep, samples)  # now with what decoupling gains
    print(f"\n{report.page}\n\n{report.answer}")
    return code


def _say_grid(ran: "Ran", sweep: "Sweep") -> int:
    if ran.report is None and ran.results:  # they could not be written, which was said
        return exit_codes.SOME_FAILED
    if ran.report is not None:
        _say_report(ran.report, ran.mlflow)
    if ran.missing:
        show_missing(sweep, ran.missing, ran.run_dir)
        return exit_codes.SOME_FAILED
    return exit_codes.OK


def _say_report(report: "Report", mlflow: str) -> None:
    """The answer last, where eyes are once the launch has ended."""
    print(f"\n{report.table}\n", *report.notes, sep="\n")
    print(f"report: {report.page}\nMLflow: {mlflow}\n\n{report.answer}", flush=True)


COMMAND = launch_command(_run)

if __name__ == "__main__":
    sys.exit(main())
