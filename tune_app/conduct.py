"""From a sweep to its report: what a launch does, for a command line or a notebook."""

import math
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tune_app import exit_codes
from tune_app.credentials import to_type
from tune_app.plan.left import what_is_left, what_is_whole
from tune_app.plan.plan import make_plan
from tune_app.report.grid import report_grid
from tune_app.report.page import Report
from tune_app.results.curves import Results
from tune_app.results.racing import still_needed
from tune_app.results.result import Result, parser
from tune_app.results.run_directory import RunDirectory, provenance
from tune_app.results.store_of_run import elsewhere
from tune_app.results.table import write_csv
from tune_app.run import ray_settings
from tune_app.run.about import about_in_words
from tune_app.run.agenda import Agenda
from tune_app.run.estimate import Estimate
from tune_app.run.estimate_words import show_estimate
from tune_app.run.events import Event, Finished, Found, Listener, Listeners
from tune_app.run.given_masks import keep_masks
from tune_app.run.grid import GridAgenda
from tune_app.run.identity import Identified, identify, remember
from tune_app.run.older_results import with_costs
from tune_app.run.plan_words import show_plan
from tune_app.run.progress import Progress
from tune_app.run.race import RaceAgenda
from tune_app.run.record import Record
from tune_app.run.variants import check_free, kept_apart
from tune_app.store.claims import Claims
from tune_app.store.store import Store, StoreError, store_place
from tune_app.sweep.sweep import Sweep
from tune_app.sweep.yaml_source import SpecError
from tune_app.tracking.connection import (
    TrackingError,
    artifact_root,
    check_uri,
    tracking_uri,
    way_to,
)
from tune_app.tracking.live import LiveTracking

if TYPE_CHECKING:
    from tune_app.run.stopping import StoppingRules
    from tune_app.run.trial_queue import StartAll
    from tune_app.search.samples import Samples

# torch, Ray, Optuna and scipy take seconds to import: only what trains, and a search, needs them.


@dataclass(frozen=True)
class Site:
    """Where a sweep comes from, and where it leaves what it makes."""

    sweep_file: Path
    out: Path
    """Holds a directory for each sweep, and MLflow's database if it has no server."""

    store: Store
    command: str
    """For the record, and to go on with."""


@dataclass(frozen=True)
class Ran:
    """What came of a sweep."""

    run_dir: Path
    results: Sequence[Result]
    """In the order of the plan."""

    missing: Sequence[dict[str, Any]]
    """Trainings without a result, as lines of failures.jsonl."""

    report: Report | None
    """None without results, or where they could not be written."""

    went_through: bool
    """False where the store, the cluster or the disk of the run directory ended it."""

    mlflow: str
    """The command that opens MLflow on the run, or an address."""


def run_grid(identified: Identified, site: Site) -> Ran:
    """Train what a grid lacks, and report it.

    Args:
        identified: the grid.
        site: where it comes from.

    Raises:
        SpecError: when data set, network and recipes do not fit, or no Ray does.
        StoreError: when the store or the run directory cannot be used.
    """
    sweep, store = identified.sweep, site.store
    plan, stored = make_plan(sweep), store.stored()
    failures = store.failures(plan.trainings.keys() - stored.results)
    store.create()
    results, stored, to_do = what_is_whole(plan, store, stored, parser(plan.trainings))
    whole = plan
    if sweep.race is not None:
        plan = still_needed(sweep, whole, results.values(), failures)
        results = {id: result for id, result in results.items() if id in plan.trainings}
        failures = {id: why for id, why in failures.items() if id in plan.trainings}
        to_do = what_is_left(plan, stored)
    to_do = show_plan(sweep, plan, to_do, store, stored, failures)
    estimate = show_estimate(sweep, plan, to_do, store, stored)
    results, notes = with_costs(identified, plan.trainings, results, store, site.sweep_file)
    listeners, claims = Listeners(), Claims(store)
    agenda: GridAgenda
    if sweep.race is None:
        known = tuple(results.values())
        agenda = GridAgenda(plan, to_do, stored, known, failures, claims, listeners.tell)
    else:
        agenda = race = RaceAgenda(sweep, whole, stored, results, failures, claims, listeners.tell)
        notes += race.about_the_start()
    session = _Session(identified, site, agenda, claims, listeners, failures, estimate)

    def scheduler(num_images: int) -> "StartAll":
        from tune_app.run.trial_queue import StartAll

        return StartAll()

    def report(run_dir: Path, results: Sequence[Result]) -> Report | None:
        return report_grid(run_dir, sweep, whole, Results(results), store) if results else None

    trained = scheduler if to_do.num_trials else None
    return session.run(trained, stored.tickets, report, (*identified.notes, *store.notes, *notes))


def run_search(identified: Identified, site: Site, samples: "Samples") -> Ran:
    """Search, and report what was found.

    Args:
        identified: the search.
        site: where it comes from.
        samples: what it has tried by now.

    Raises:
        SpecError: when data set, network and recipes do not fit, or no Ray does.
        StoreError: when the store or the run directory cannot be used.
    """
    from tune_app.report.search import report_search
    from tune_app.search.agenda import SearchAgenda

    sweep = identified.sweep
    site.store.create()
    listeners, claims = Listeners(), Claims(site.store)
    agenda = SearchAgenda(sweep, claims, samples, listeners.tell)
    session = _Session(identified, site, agenda, claims, listeners, {})

    def scheduler(num_images: int) -> "StartAll":
        from tune_app.run.stopping import EarlyStopping

        return EarlyStopping(_rules(sweep, num_images))

    def report(run_dir: Path, results: Sequence[Result]) -> Report:
        samples.write()
        return report_search(run_dir, sweep, samples)

    trained = None if agenda.is_over() else scheduler
    notes = (*identified.notes, *agenda.about_the_start())
    return session.run(trained, agenda.stored.tickets, report, notes)


def run_sweep(sweep: Sweep, out: str | Path = "runs", store: str | None = None) -> Ran:
    """Run a sweep as the command line does, and go on where an earlier run of it stopped.

    A search ends with its comparison over fresh seeds, which has a directory of its own; what this
    gives is of the search.

    Args:
        sweep: from `load_sweep`.
        out: a directory that holds one for each sweep, what they trained, and MLflow's database.
        store: what is trained, shared by all sweeps: a directory or a URL; by default in `out`.

    Raises:
        SpecError: when data set, network and recipes do not fit, or no Ray does.
        StoreError: when the store or the run directory cannot be used.
    """
    ray_settings.apply()  # before the user's own code, which may import Ray
    if ray_settings.cluster_address() is not None:
        from tune_app.run.ray_session import check_cluster

        check_cluster()
    out = Path(out)
    its_store = Store(store_place(out, store))
    site = Site(Path(sweep.name), out, its_store, f"tune_app.run_sweep({sweep.name!r})")
    identified = kept_apart(identify(sweep, site.store, site.sweep_file), out)
    if sweep.search is None:
        return run_grid(identified, site)
    from tune_app.report.search import report_search
    from tune_app.search.comparison import comparison
    from tune_app.search.samples import Samples

    samples = Samples(out / identified.sweep.name / "search.json")
    ran = run_search(identified, site, samples)
    chosen = comparison(identified.sweep, samples)
    if ran.went_through and chosen is not None:
        run_grid(identify(chosen, site.store, site.sweep_file), site)
        report_search(ran.run_dir, identified.sweep, samples)  # now with what decoupling gains
    return ran


@dataclass(frozen=True)
class _Session:
    """One sweep on its way from an agenda to a report."""

    identified: Identified
    site: Site
    agenda: Agenda
    claims: Claims
    listeners: Listeners
    failures: dict[str, str]
    estimate: Estimate | None = None

    def run(
        self,
        scheduler: Callable[[int], "StartAll"] | None,
        tickets: frozenset[str],
        report: Callable[[Path, Sequence[Result]], Report | None],
        notes: Iterable[str],
    ) -> Ran:
        """Train, write down, report.

        Args:
            scheduler: of trials, for a number of training images; None where nothing is to be
                trained.
            tickets: the ids of those that exist.
            report: writes the report of results into the run directory; None where it has nothing
                to show.
            notes: for the user, at the start.
        """
        sweep, site = self.identified.sweep, self.site
        try:
            check_uri(tracking_uri(site.out))
        except TrackingError as error:
            raise SpecError([str(error)]) from None
        data, about = [], {}
        if scheduler is not None:
            from tune_app.run.preflight import load_fitting

            fitting = load_fitting(self.identified, site.store, site.sweep_file)
            remember(fitting.contents, site.store)
            keep_masks(sweep, self.identified.masks, site.store)
            data, about = [fitting.data], fitting.about
            del fitting
        run_dir = RunDirectory(site.out / sweep.name)
        before = run_dir.provenance()
        variant_of = self.identified.variant_of or (before.variant_of if before else "")
        where = {"variant_of": variant_of, "store": elsewhere(site.store.place, site.out)}
        said = {name: text for name, text in where.items() if text}
        made = provenance(site.command) | about | said
        _create(run_dir, sweep, made, is_new=scheduler is not None or before is None)
        with Progress(sweep, lambda: self.agenda.total, sys.stderr, self.estimate) as progress:
            record = Record(self.agenda, run_dir, self.failures, progress.say)
            tracking = self._tracking(record, progress)
            self.listeners.all = [
                progress.on_event,
                record.on_event,
                _logged_in(tracking),
                self.agenda.on_event,
            ]
            self.listeners.tell(Found(self.agenda.known))
            for note in (*about_in_words(about), *notes):
                progress.say(note)
            record.write_results()
            went_through = True
            if scheduler is not None:
                from tune_app.run.driver import Driver

                driver = Driver(
                    sweep,
                    self.agenda,
                    site.store,
                    self.claims,
                    record,
                    self.listeners,
                    to_type(site.command),
                    partial(_leave, progress),
                )
                tracking.start()
                chosen = scheduler(len(data[0].train))
                went_through = driver.run(data, chosen, tickets)
            return self._report(record, tracking, progress, report, went_through)

    def _tracking(self, record: Record, progress: Progress) -> LiveTracking:
        out = self.site.out
        uri, sweep = tracking_uri(out), self.identified.sweep
        run_dir = record.run_dir.path
        progress.say(f"results in {run_dir}, MLflow: {way_to(uri, run_dir)}")
        return LiveTracking(uri, sweep, artifact_root(out), record.commit, progress.say)

    def _report(
        self,
        record: Record,
        tracking: LiveTracking,
        progress: Progress,
        report: Callable[[Path, Sequence[Result]], Report | None],
        went_through: bool,
    ) -> Ran:
        run_dir, results = record.run_dir, record.in_plan_order()
        missing, drawn, page = list(record.missing()), None, None
        try:
            if len(results) > len(self.agenda.known):  # the others came in any order
                run_dir.write_results(results)
            run_dir.write_failures(missing)
            if results:
                progress.say("drawing the figures")
                write_csv(run_dir.path, results)
            drawn = report(run_dir.path, results)
            if drawn is not None:
                page = tracking.finish(run_dir.path, results)
        except OSError as error:
            progress.say(
                f"error: {error}. What was trained is stored; to go on: "
                f"{to_type(self.site.command)}"
            )
            drawn, went_through = None, False
        mlflow = page or way_to(tracking.uri, run_dir.path)
        return Ran(run_dir.path, results, missing, drawn, went_through, mlflow)


def _leave(progress: Progress) -> None:
    progress.say("stopped: the head of the cluster stayed away, or another came in its place")
    progress.live.stop()
    sys.stdout.flush()
    os._exit(exit_codes.CLUSTER_LOST)  # whatever Ray waits for


def _logged_in(tracking: LiveTracking) -> Listener:
    def on_event(event: Event) -> None:
        match event:
            case Found(results):
                tracking.add(results)
            case Finished(result):
                tracking.add((result,))

    return on_event


def _create(
    run_dir: RunDirectory, sweep: Sweep, provenance: Mapping[str, Any], is_new: bool
) -> None:
    """Make the run directory; run.json tells of this launch if it `is_new`.

    Raises:
        StoreError: when it cannot be written, or another sweep is there.
    """
    check_free(sweep, run_dir.path)
    try:
        run_dir.create(sweep)
        if is_new:
            run_dir.write_provenance(provenance)
    except OSError as error:
        raise StoreError(f"{error.filename or run_dir.path}: {error.strerror}") from None


def _rules(sweep: Sweep, num_images: int) -> "StoppingRules":
    """When a search gives up trials.

    Args:
        sweep: a search.
        num_images: to train on.
    """
    from tune_app.run.stopping import StoppingRules

    stop = sweep.search_block.stop
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
