"""The record of a search: it also says what to try next, and remembers what came of it."""

import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from lt_core.config import Recipe
from lt_core.train import Diverged
from tune_app.plan.left import ToDo, what_is_whole
from tune_app.plan.trainings import Chain, Training
from tune_app.results.result import Result, read_lines
from tune_app.results.run_directory import RunDirectory
from tune_app.results.words import short, varied_fields
from tune_app.run.console import Progress, how_far
from tune_app.run.record import Record, in_a_line
from tune_app.search.bilevel import Bilevel, Configuration
from tune_app.search.plan import SearchPlan
from tune_app.search.samples import Sample, Samples, Spent, State, best
from tune_app.store.inventory import Stored
from tune_app.store.store import Store
from tune_app.sweep.spec import Eval, Find, PointOfRecipe, Sweep
from tune_app.words import plural


@dataclass
class _Running:
    """A sample that is being tried."""

    sample: Sample
    lacks: set[str]
    """The evaluations that have no result yet, by id."""


class Searching(Record):
    """What has come of a search until now, and what to try next."""

    def __init__(
        self,
        sweep: Sweep,
        store: Store,
        samples: Samples,
        run_dir: RunDirectory,
        progress: Progress,
    ) -> None:
        """Take up what earlier launches of the search, and other sweeps, have trained.

        Raises:
            StoreError: when the store refuses.
        """
        self.search_plan = SearchPlan(sweep)
        super().__init__(self.search_plan, {}, run_dir, progress, {})
        self.sweep = sweep
        self.store = store
        self.samples = samples
        chain = self.search_plan.chains(sweep.find_recipes[0])[0]
        self.bilevel = Bilevel(sweep, len(chain.trainings), len(sweep.search_rounds))
        there = len(samples.all)
        samples.all = [
            sample
            for sample in samples.all
            if sample.id == self._id(sample.configuration) and self._is_inside(sample.configuration)
        ]
        self.num_others = there - len(samples.all)
        """Samples of what the sweep file was before."""

        if self.num_others:
            samples.last_spent = Spent()  # it has their trainings too
        self.spent_before = samples.spent
        self.began = time.monotonic()
        self.interrupted = samples.running
        self.running: list[_Running] = []
        self.chains: set[Chain] = set()
        """Those that run, or wait for a trial."""

        self.asked: set[str] = set()
        """The trainings that this launch is to do."""

        self.stored = store.stored()
        self.num_known = self._tell_what_is_known()

    def _tell_what_is_known(self) -> int:
        """Tell the values and the masks that are there; how many values other sweeps trained."""
        lines = self.store.results(self.stored.results)
        values = self.search_plan.found_in(lines.values())
        told = {c: value for c, value in values.items() if self._is_inside(c)}
        mine = {sample.configuration for sample in self.samples.all}
        for sample in self.samples.all:
            plan = self.search_plan.add(sample.configuration)
            there = {id: lines[id] for id in plan.trainings if id in lines}
            self.results |= read_lines(there, plan.trainings)
            if sample.value is not None:
                told[sample.configuration] = sample.value
        finds = [configuration.find for configuration in told]
        self.bilevel.values.update(told)
        self.bilevel.found.update((f, self._is_found(f, self.stored.tickets)) for f in finds)
        for sample in self.interrupted:
            self.bilevel.values.setdefault(sample.configuration, None)
            self.bilevel.found.setdefault(sample.configuration.find, False)
        return len(told.keys() - mine)

    def about_the_start(self) -> Iterator[str]:
        """What a user is to know as the search begins, or goes on."""
        if n := self.num_others:
            are, they_were = ("is", "it was") if n == 1 else ("are", "they were")
            yield (
                f"{plural(n, 'sample')} {are} left out: the sweep file was another when "
                f"{they_were} chosen"
            )
        if n := self.num_known:
            are = "is" if n == 1 else "are"
            yield f"{plural(n, 'configuration')} {are} known from what other sweeps trained"
        if n := len(self.samples.all):
            are = "is" if n == 1 else "are"
            yield (
                f"{plural(n, 'sample')} {are} there, {len(self.interrupted):,} of them begun and "
                "to be finished first"
            )
        if over := self.why_over():
            yield f"nothing new is tried: {over} is spent"

    def _is_inside(self, configuration: Configuration) -> bool:
        """Whether the search might choose it."""
        is_eval = configuration.coupled or self.bilevel.eval.has(configuration.eval)
        return is_eval and self.bilevel.find.has(configuration.find)

    def _id(self, configuration: Configuration) -> str:
        return self.search_plan.evaluations(configuration)[0].id

    def _is_found(self, find: Recipe, tickets: Collection[str]) -> bool:
        return all(
            training.ticket in tickets
            for training in self.search_plan.evaluations(Configuration(find, find))
        )

    # What next

    def ask(self, tickets: Collection[str]) -> ToDo | None:
        """The trainings of the configuration to try next; None where the search ends or waits.

        Args:
            tickets: those that exist.

        Raises:
            StoreError: when the store refuses.
        """
        for find, is_found in self.bilevel.found.items():
            self.bilevel.found[find] = is_found or self._is_found(find, tickets)
        if self.interrupted:
            sample = self.interrupted.pop(0)
        elif self.why_over() or (configuration := self.bilevel.ask()) is None:
            return None
        else:
            sample = Sample(configuration, self._id(configuration))
            self.samples.all.append(sample)
            self._write(self.samples.write)
        return self._begin(sample, tickets)

    def _begin(self, sample: Sample, tickets: Collection[str]) -> ToDo:
        plan = self.search_plan.add(sample.configuration)
        stored = Stored(
            self.stored.results | self.results.keys(), frozenset(tickets), self.stored.weights
        )
        lines, stored, to_do = what_is_whole(plan, self.store, stored)
        for note in self.store.notes:
            self.noted(note)
        self.store.notes.clear()
        self.results |= read_lines(lines, plan.trainings)
        wanted = {t.id for t in self.search_plan.evaluations(sample.configuration)}
        running = _Running(sample, wanted - self.results.keys())
        self.running.append(running)
        self._end_if_known(running)
        chains = tuple(chain for chain in to_do.chains if chain not in self.chains)
        self.chains.update(chains)
        self.asked |= to_do.trainings
        return ToDo(chains, to_do.evaluations, to_do.needed, to_do.trainings)

    def extras(self, work: Chain | Training) -> dict[str, Any]:
        """What a trial is told so that it can be stopped early."""
        stop = self.sweep.search.stop
        if isinstance(work, Chain):
            return {"probes": self.search_plan.probes(work)} if stop.chains else {}
        return {"watched": True} if stop.evaluations else {}

    def is_over(self) -> bool:
        """True once a budget is spent or every configuration tried, and no sample is unfinished."""
        return not self.interrupted and (self.why_over() != "" or self.bilevel.is_exhausted())

    def why_over(self) -> str:
        """Which budget is spent, in words; nothing while none is."""
        search = self.sweep.search
        spent = self._spent()
        trainings = spent.trainings + len(self.asked - self.results.keys())
        if search.num_samples is not None and len(self.samples.all) >= search.num_samples:
            return f"num_samples: {search.num_samples:,}"
        if search.trainings is not None and trainings >= search.trainings:
            return f"trainings: {search.trainings:,}"
        if spent.seconds >= search.seconds:
            return f"time_budget: {search.time_budget}"
        return ""

    def _spent(self) -> Spent:
        before = self.spent_before
        return Spent(
            before.trainings + self.num_trained,
            before.training_seconds + self.training_seconds,
            before.seconds + time.monotonic() - self.began,
        )

    # What came of it

    def finished(self, result: Result, masks_from_disk: int) -> None:
        super().finished(result, masks_from_disk)
        self.samples.last_spent = self._spent()
        self._write(self.samples.write_spent)
        for running in list(self.running):
            running.lacks.discard(result.id)
            self._end_if_known(running)

    def failed(self, work: Chain | Training, training: str | None, reason: str) -> None:
        super().failed(work, training, reason)
        if training is not None and not reason.startswith(Diverged.__name__):
            return  # the store refused, or lacked something: the next launch tries it again
        for running in self._waiting_for(work):
            self._end(running, "failed", 0.0, in_a_line(reason))

    def stopped(self, work: Chain | Training, time: int, val_accuracy: float) -> None:
        super().stopped(work, time, val_accuracy)
        ids = work.ids if isinstance(work, Chain) else (work.id,)
        first = next((id for id in ids if id not in self.results), ids[-1])
        self.failures[first] = f"stopped {how_far(work, time, val_accuracy)}"
        for running in self._waiting_for(work):
            self._end(running, "stopped", val_accuracy, how_far(work, time, val_accuracy))

    def ended(self, work: Chain | Training) -> None:
        super().ended(work)
        if isinstance(work, Chain):
            self.chains.discard(work)

    def _waiting_for(self, work: Chain | Training) -> list[_Running]:
        if isinstance(work, Chain):
            return [r for r in self.running if r.sample.configuration.find == work.find]
        return [r for r in self.running if work.id in r.lacks]

    def _end_if_known(self, running: _Running) -> None:
        if not running.lacks:
            accuracies = {
                id: self.results[id].val_accuracy
                for id in (t.id for t in self.search_plan.evaluations(running.sample.configuration))
            }
            value = self.search_plan.value(running.sample.configuration, accuracies)
            self._end(running, "complete", value)

    def _end(self, running: _Running, state: State, value: float, reason: str = "") -> None:
        self.running.remove(running)
        sample = running.sample
        sample.state, sample.value, sample.reason = state, value, reason
        sample.trainings, sample.training_seconds, sample.seconds = self._spent()
        self.bilevel.values[sample.configuration] = value
        self._write(self.samples.write)
        self.noted(self._in_words(sample))

    def _in_words(self, sample: Sample) -> str:
        varied = varied_fields(self.sweep)
        find, eval_ = sample.configuration.find, sample.configuration.eval
        what = (
            f"sample {self.samples.all.index(sample) + 1}: {short(find, varied, 'find')}, "
            f"{short(eval_, varied, 'eval')}"
        )
        if sample.state != "complete":
            return f"{what}: {sample.state}, {sample.reason}"
        known = [s.value for s in self.samples.all if s.state == "complete"]
        return f"{what}: validation {sample.value:.1%}, best {max(known):.1%}"


def comparison(sweep: Sweep, samples: Samples) -> Sweep | None:
    """The best coupled against the best decoupled configuration over fresh seeds, as a sweep.

    None where a search has not finished one of each.
    """
    coupled, decoupled = best(samples.all, coupled=True), best(samples.all, coupled=False)
    if coupled is None or decoupled is None:
        return None
    found = (coupled.configuration, decoupled.configuration)
    at = sweep.eval.at_sparsity
    if at is not None:
        at = tuple(dict.fromkeys((*at, *(sweep.search.at or ()))))
    finds = dict.fromkeys(_point(sweep.train, configuration.find) for configuration in found)
    evals = dict.fromkeys(_point(sweep.train, configuration.eval) for configuration in found)
    changes = {
        "name": f"{sweep.name}-best",
        "description": f"the best coupled and the best decoupled configuration of {sweep.name}",
        "seeds": sweep.search.report_seeds,
        "find": Find(points=tuple(finds), resources=sweep.find.resources),
        "eval": Eval(
            points=tuple(evals),
            at_sparsity=at,
            rewind_from=sweep.eval.rewind_from,
            resources=sweep.eval.resources,
        ),
        "search": None,
    }
    return Sweep(**{name: getattr(sweep, name) for name in Sweep.model_fields} | changes)


def _point(train: Recipe, recipe: Recipe) -> PointOfRecipe:
    """A recipe as what it changes in `train`."""
    changed = {name: value for name, value in recipe if value != getattr(train, name)}
    return PointOfRecipe(**changed)
