"""Run a sweep file: `python -m tune_app.launch sweeps/lr_grid.yaml`.

The same command again goes on where it stopped; an edited file trains only what is new.
"""

import argparse
import gc
import math
import os
import shlex
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from tune_app import exit_codes, submit
from tune_app.credentials import hide_credentials
from tune_app.plan.left import ToDo, what_is_left, what_is_whole, without
from tune_app.plan.plan import Plan, make_plan
from tune_app.results.curves import Results
from tune_app.results.run_directory import RunDirectory, provenance
from tune_app.run import ray_settings
from tune_app.run.console import Progress, duration, plan_text, search_text
from tune_app.run.record import Record
from tune_app.store.claims import Claims
from tune_app.store.inventory import Stored
from tune_app.store.store import Store, StoreError
from tune_app.sweep.spec import Sweep, load_sweep
from tune_app.sweep.yaml_source import SpecError, printable
from tune_app.words import plural

if TYPE_CHECKING:
    from lt_core.data import DataSet
    from tune_app.run.stopping import StoppingRules
    from tune_app.run.trial_queue import PlanSearch, StartAll
    from tune_app.tracking.live import LiveTracking

Run = Callable[["PlanSearch", "StartAll"], None]
"""Runs the trials that a searcher hands out and a scheduler may stop."""

PATIENCE_S = 120.0
"""How long storage may be full or away while a sweep runs."""

WAIT_S = 5.0
"""How often to look whether another launch is done."""

# torch, ray, mlflow and matplotlib take seconds to import and a dry run needs none of them, so
# they are imported where they are used.


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tune_app.launch",
        description="Find lottery tickets at one set of hyperparameters, train them at another.",
    )
    parser.add_argument("sweep", type=Path, help="the sweep file")
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="replaces what the file says"
    )
    parser.add_argument("--dry-run", action="store_true", help="show the plan and start nothing")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("runs"),
        metavar="DIR",
        help="holds a directory for each sweep, what they trained, and MLflow's database "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--store",
        metavar="PLACE",
        help="what is trained, shared by all sweeps: a directory, or a URL such as "
        "s3://bucket/folder (default: in --out, as _store)",
    )
    cluster = parser.add_mutually_exclusive_group()
    cluster.add_argument(
        "--address",
        metavar="HOST:PORT",
        help="run the trials on the Ray cluster whose head is there, from here "
        "(default: RAY_ADDRESS, or else Ray on this machine)",
    )
    cluster.add_argument(
        "--submit",
        metavar="ADDRESS",
        help="hand the sweep to the Ray cluster whose page is there (http://127.0.0.1:8265), and "
        "follow it; --out and --store are places on the cluster",
    )
    options = parser.parse_intermixed_args(arguments)
    command = os.environ.get(submit.COMMAND) or hide_credentials(
        shlex.join(["python", "-m", "tune_app.launch", *(arguments or sys.argv[1:])])
    )
    if options.address is not None:
        os.environ["RAY_ADDRESS"] = options.address
    _obey_signals()
    # The results of a large sweep are many objects that stay: by default half of the time goes to
    # looking through all of them again and again.
    gc.set_threshold(50_000)
    try:
        if options.submit and not options.dry_run:
            sweep = load_sweep(options.sweep, options.overrides)
            return submit.submit(options.submit, sweep, options.out, options.store, command)
        return _launch(options, command)
    except SpecError as error:
        print(f"error: {error}", file=sys.stderr)
        return exit_codes.BAD_INPUT
    except (StoreError, submit.SubmitError) as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        return exit_codes.BAD_INPUT
    except KeyboardInterrupt:
        print(f"stopped; what was trained is stored. To go on: {command}", file=sys.stderr)
        return exit_codes.INTERRUPTED


def _obey_signals() -> None:
    """The first SIGINT or SIGTERM ends the launch tidily, the second at once."""

    def stop(number: int, frame: FrameType | None) -> None:
        for again in (signal.SIGINT, signal.SIGTERM):
            signal.signal(again, lambda *_: os._exit(exit_codes.INTERRUPTED))
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)


def _launch(options: argparse.Namespace, command: str) -> int:
    sweep = load_sweep(options.sweep, options.overrides)
    store = Store(_store_place(options))
    if sweep.search is None:
        return _run_grid(sweep, store, options, command)
    return _run_search(sweep, store, options, command)


def _run_grid(sweep: Sweep, store: Store, options: argparse.Namespace, command: str) -> int:
    plan = make_plan(sweep)
    stored = store.stored()
    failures = store.failures(plan.trainings.keys() - stored.results)
    if options.dry_run:
        _print_plan(sweep, plan, what_is_left(plan, stored), store, stored, failures)
        return exit_codes.OK

    from tune_app.report.page import report_results
    from tune_app.tracking.tracker import open_command

    store.create()
    results, stored, to_do = what_is_whole(plan, store, stored)
    to_do = _print_plan(sweep, plan, to_do, store, stored, failures)
    data = [_load_data(sweep, options.sweep)] if to_do.num_trials else []
    run_dir = RunDirectory(options.out / sweep.name)
    _create(run_dir, sweep, command, is_new=to_do.num_trials > 0)

    with Progress(sweep, len(to_do.trainings), sys.stderr) as progress:
        for note in store.notes:
            progress.say(note)
        record = Record(plan, results, run_dir, progress, failures)
        del results  # lines as large as the record's results
        record.write_results()
        tracking = _tracking(sweep, options, record)
        if to_do.num_trials:

            def work(claims: Claims, run: Run) -> None:
                from tune_app.run.trial_queue import PlanSearch, StartAll

                def run_part(to_do: ToDo, stored: Stored) -> None:
                    run(PlanSearch(to_do, stored.tickets, sweep.max_failures), StartAll())

                _share_the_work(plan, to_do, stored, claims, record, run_part)

            _train(sweep, store, data, record, tracking, work)
        missing = list(record.missing())
        try:
            if to_do.num_trials:  # their results came in any order
                run_dir.write_results(record.in_plan_order())
            run_dir.write_failures(missing)
            if record.results:
                progress.say("drawing the figures")
                drawn = Results(record.in_plan_order())
                report = report_results(run_dir.path, sweep, plan, drawn)
                page = tracking.finish(run_dir.path)
        except OSError as error:
            progress.say(f"error: {error}. What was trained is stored; to go on: {command}")
            return exit_codes.SOME_FAILED

    if record.results:
        print(f"\n{report.table}\n\n{report.answer}\n")
        print(*report.notes, *report.paths, sep="\n")
        print(f"MLflow: {open_command(tracking.uri)}")
        if page:
            print(f"then {page}")
    if missing:
        _print_missing(missing, run_dir)
        return exit_codes.SOME_FAILED
    return exit_codes.OK


def _run_search(sweep: Sweep, store: Store, options: argparse.Namespace, command: str) -> int:
    """Search, then train the best of what was found over fresh seeds."""
    from tune_app.search.samples import Samples

    samples = Samples(options.out / sweep.name / "search.json")
    print(search_text(sweep, len(samples.all)))
    if options.dry_run:
        return exit_codes.OK

    from tune_app.report.search import report_search
    from tune_app.search.searching import Searching, comparison

    store.create()
    data = [_load_data(sweep, options.sweep)]
    num_images = len(data[0].train)
    run_dir = RunDirectory(options.out / sweep.name)
    progress = Progress(sweep, None, sys.stderr)
    record = Searching(sweep, store, samples, run_dir, progress)
    is_over = record.is_over()
    _create(run_dir, sweep, command, is_new=not is_over)
    with progress:
        tracking = _tracking(sweep, options, record)
        for line in record.about_the_start():
            progress.say(line)
        went_through = True
        if not is_over:

            def work(claims: Claims, run: Run) -> None:
                from tune_app.run.stopping import EarlyStopping
                from tune_app.run.trial_queue import AskingSearch
                from tune_app.run.tuner import num_slots

                search = AskingSearch(
                    record.ask,
                    record.stored.tickets,
                    sweep.max_failures,
                    sweep.search.max_concurrent or num_slots(sweep.eval_resources),
                    record.extras,
                )
                with claims.held(()):  # what it will train nobody knows yet
                    run(search, EarlyStopping(_stopping_rules(sweep, num_images)))

            went_through = _train(sweep, store, data, record, tracking, work)
        try:
            run_dir.write_failures(record.missing())
            run_dir.write_results(record.in_plan_order())
            samples.write()
            report = report_search(run_dir.path, sweep, samples)
            tracking.finish(run_dir.path)
        except OSError as error:
            progress.say(f"error: {error}. What was trained is stored; to go on: {command}")
            return exit_codes.SOME_FAILED

    print(f"\n{report.table}\n\n{report.answer}\n")
    print(*report.notes, *report.paths, sep="\n")
    if not went_through:
        print(f"the search is not over; to go on: {command}", file=sys.stderr)
        return exit_codes.SOME_FAILED
    chosen = comparison(sweep, samples)
    if chosen is None:
        print("not compared: no coupled or no decoupled configuration is complete", file=sys.stderr)
        return exit_codes.SOME_FAILED
    print()
    code = _run_grid(chosen, store, options, command)
    report = report_search(run_dir.path, sweep, samples)  # now with what decoupling gains
    print(f"\n{report.answer}\n{report.paths[-1]}")
    return code


def _stopping_rules(sweep: Sweep, num_images: int) -> "StoppingRules":
    from tune_app.run.stopping import StoppingRules

    stop = sweep.search.stop
    steps = [
        (recipe.trains_for.iterations(num_images // recipe.batch_size), recipe.batch_size)
        for recipe in sweep.eval_recipes
    ]
    return StoppingRules(
        evaluations=stop.evaluations,
        chains=stop.chains,
        max_epochs=max(math.ceil(n * batch / num_images) for n, batch in steps),
        rounds=sweep.search_rounds[-1],
        grace_epochs=stop.grace_epochs,
        grace_rounds=min(sweep.probe_rounds, default=None),
    )


def _create(run_dir: RunDirectory, sweep: Sweep, command: str, is_new: bool) -> None:
    """Make the run directory; run.json tells of this launch if it trains, or if none did before.

    Raises:
        StoreError: when it cannot be written.
    """
    try:
        run_dir.create(sweep)
        if is_new or run_dir.provenance() is None:
            run_dir.write_provenance(provenance(command))
    except OSError as error:
        raise StoreError(f"{error.filename or run_dir.path}: {error.strerror}") from None


def _tracking(sweep: Sweep, options: argparse.Namespace, record: Record) -> "LiveTracking":
    from tune_app.tracking.live import LiveTracking
    from tune_app.tracking.tracker import artifact_root, tracking_uri

    progress = record.progress
    tracking = LiveTracking(
        tracking_uri(options.out),
        sweep,
        artifact_root(options.out),
        record.commit,
        record.in_plan_order,
        progress.say,
    )
    where = f"results in {record.run_dir.path}, MLflow at {hide_credentials(tracking.uri)}"
    progress.say(where)
    return tracking


def _store_place(options: argparse.Namespace) -> str:
    if options.store == "":
        raise StoreError("--store: must be a directory or a URL, got nothing")
    try:
        return options.store or str((options.out / "_store").absolute())
    except FileNotFoundError:
        raise StoreError("the directory that this starts from is gone; go to another") from None


def _print_plan(
    sweep: Sweep, plan: Plan, to_do: ToDo, store: Store, stored: Stored, failures: Collection[str]
) -> ToDo:
    """Show what is left to do; that without what failed before, and would again."""
    print(plan_text(sweep, plan, to_do))
    rest = without(to_do, stored, failures)
    if left_out := len(to_do.trainings) - len(rest.trainings):
        print(
            f"{'not tried again':<16}{left_out:,} of these: {len(failures):,} diverged before, as "
            f"{hide_credentials(store.place)}/failures tells, and others wait for their masks"
        )
    sys.stdout.flush()
    return rest


def _load_data(sweep: Sweep, path: Path) -> "DataSet":
    """The data set, once it is known that the network and every recipe fit it.

    Raises:
        SpecError: when one does not.
    """
    from lt_core import data, rewind
    from lt_core.find import prune_trained
    from lt_core.mask import dense
    from lt_core.train import misfits

    try:
        loaded = data.load(sweep.dataset, sweep.data_dir)
    except (ValueError, OSError) as error:
        raise SpecError([f"{path}: `dataset`: {error}"]) from error
    problems = []
    key = "model"
    try:
        network = rewind.to_initialization(sweep.model, loaded, seed=sweep.seeds[0])
        key = "prune"
        everything = dense(network, sweep.prune.skip)
        if sweep.prune.strategy != "global_magnitude":  # which fits every network
            most = sweep.prune.of_round(sweep.prune.num_rounds)
            prune_trained(network, loaded, everything, most)
    except ValueError as error:
        problems.append(f"`{key}`: {error}")
    recipes = dict.fromkeys((*sweep.find_recipes, *sweep.eval_recipes))
    misfitting = (
        text for recipe in recipes for text in misfits(recipe, len(loaded.train), sweep.rewind.to)
    )
    problems += [f"{sweep.dataset}: {text}" for text in dict.fromkeys(misfitting)]
    if problems:
        raise SpecError([f"{path}: {text}" for text in problems])
    _ = loaded.mean_and_std  # kept with the data set: not to be worked out again by each worker
    return loaded


def _train(
    sweep: Sweep,
    store: Store,
    data: list["DataSet"],
    record: Record,
    tracking: "LiveTracking",
    work: Callable[[Claims, Run], None],
) -> bool:
    """Start or join Ray, and do `work`, which runs what a searcher hands out.

    Returns:
        Whether it went through; False where the store or the cluster ended it, which is said.
    """
    begin = time.monotonic()
    ray_settings.apply()
    from tune_app.run import tuner as runner

    store.patience_s = PATIENCE_S
    with runner.ray_cluster(sweep.resources, record.noted) as num_cores:
        _obey_signals()  # Ray put handlers of its own in their place
        tracking.start()
        images = runner.share(data)
        scratch = record.run_dir.path / "_ray"

        def run(search: "PlanSearch", scheduler: "StartAll") -> None:
            commit = record.commit
            runner.run_trials(sweep, search, store, images, commit, scratch, record, scheduler)

        claims = Claims(store)
        try:
            work(claims, run)
            store.drop_checkpoints(record.results.keys())
            if not claims.of_others():
                runner.forget_tickets(store)
            went_through = True
        except (StoreError, runner.ClusterError) as error:
            record.noted(f"stopped: {error}")
            went_through = False
    wall = time.monotonic() - begin
    of_cores = ""
    if num_cores is not None:
        share = record.training_seconds / (num_cores * wall)
        cores = "1 core's" if num_cores == 1 else f"{num_cores} cores'"
        of_cores = f", {share:.0%} of {cores} time"
    record.progress.say(
        f"{plural(record.num_trained, 'training')} in {duration(wall)}: "
        f"{duration(record.training_seconds)} of training{of_cores}"
    )
    if record.num_masks_from_disk:
        masks = plural(record.num_masks_from_disk, "mask")
        record.progress.say(f"{masks} came from disk, not from memory")
    return went_through


def _share_the_work(
    plan: Plan,
    to_do: ToDo,
    stored: Stored,
    claims: Claims,
    record: Record,
    run: Callable[[ToDo, Stored], None],
) -> None:
    """Run what no other launch is at, and wait for the rest; run that too where it does not come.

    Raises:
        StoreError: when the store refuses to work.
    """
    store = claims.store
    while True:
        others = [claim for claim in claims.of_others() if claim.ids & to_do.trainings]
        elsewhere = frozenset().union(*(claim.ids for claim in others))
        for claim in others:
            record.noted(
                f"{claim.who} trains {len(claim.ids & to_do.trainings):,} of these: they are left "
                "to it, and waited for"
            )
        mine = without(to_do, stored, elsewhere | record.failures.keys())
        if mine.num_trials:
            with claims.held(mine.trainings):
                run(mine, stored)
        if not others:
            return
        while any(claim.ids & elsewhere for claim in claims.of_others()):
            time.sleep(WAIT_S)
        stored = store.stored()
        new = stored.results.intersection(plan.trainings).difference(record.results)
        record.found(store.results(new))
        to_do = what_is_left(plan, stored)


def _print_missing(missing: Sequence[Mapping[str, Any]], run_dir: RunDirectory) -> None:
    by_reason: dict[str, list[str]] = defaultdict(list)
    for failure in missing:
        by_reason[failure["reason"]].append(failure["id"])
    have = "has" if len(missing) == 1 else "have"
    print(f"\n{plural(len(missing), 'training')} {have} no result:", file=sys.stderr)
    for reason, ids in by_reason.items():
        more = f" and {len(ids) - 3} more" if len(ids) > 3 else ""
        print(f"  {', '.join(ids[:3])}{more}: {reason}", file=sys.stderr)
    print(f"all of them in {run_dir.path / 'failures.jsonl'}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
