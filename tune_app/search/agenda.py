"""The agenda of a search: it says what to try next, and remembers what came of it."""

import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

from lt_core.config import Recipe
from tune_app.plan.left import ToDo, what_is_whole, without
from tune_app.plan.trainings import Chain
from tune_app.results.result import Result, parser, read_stored
from tune_app.results.words import short, varied_fields
from tune_app.run.events import Ended, Event, Failed, Finished, Found, Listener, Said, Stopped
from tune_app.run.progress import how_far
from tune_app.search.bilevel import Bilevel
from tune_app.search.chooser import Configuration
from tune_app.search.gaussian import Gaussian
from tune_app.search.plan import SearchPlan
from tune_app.search.samples import Sample, Samples, Spent, State
from tune_app.store.claims import Claims
from tune_app.store.inventory import Stored
from tune_app.sweep.sweep import Sweep
from tune_app.trial.report import Order, Work
from tune_app.words import plural

LOOK_S = 5.0
"""How often to look whether another launch is done with what this one waits for."""


@dataclass
class _Running:
    """A sample that is being tried."""

    sample: Sample
    lacks: set[str]
    """The evaluations that have no result yet, by id."""

    elsewhere: frozenset[str] = field(default_factory=frozenset)
    """The trainings that another launch is at."""


class SearchAgenda:
    """What has come of a search until now, and what to try next."""

    def __init__(self, sweep: Sweep, claims: Claims, samples: Samples, tell: Listener) -> None:
        """Take up what earlier launches of the search, and other sweeps, have trained.

        Args:
            sweep: a search.
            claims: of this launch, on the store that the trials use.
            samples: of earlier launches; those of another sweep file are taken out.
            tell: hears what is found, of each sample that ends, and of files that cannot be
                written now.

        Raises:
            StoreError: when the store refuses.
        """
        self.sweep = sweep
        self.plan = SearchPlan(sweep)
        self.samples = samples
        self._claims = claims
        self._store = claims.store
        self._tell = tell
        chain = self.plan.chains(sweep.find_recipes[0])[0]
        is_modelled = "gp" in (sweep.find.method, sweep.eval.method)
        chooses = Gaussian if is_modelled else Bilevel
        self._chooser = chooses(sweep, len(chain.trainings), len(sweep.search_rounds))
        self._num_others = samples.leave_out(
            lambda sample: (
                sample.id != self._id(sample.configuration)
                or not self._is_inside(sample.configuration)
            )
        )
        """Samples of what the sweep file was before."""

        self._spent_before = samples.spent
        self._spent_now = Spent()
        """By this launch; its seconds are counted from `began`."""

        self._began = time.monotonic()
        self._interrupted = samples.running
        self._running: list[_Running] = []
        self._chains: set[Chain] = set()
        """Those that run, or wait for a trial."""

        self._asked: set[str] = set()
        """The trainings that this launch is to do."""

        self._accuracies: dict[str, float] = {}
        """Of validation, of every training that has a result, by id."""

        self._last_look = 0.0
        self._is_behind = False
        self.stored = self._store.stored()
        self.known: list[Result] = []
        self._num_known = self._take_up_what_is_stored()

    def _take_up_what_is_stored(self) -> int:
        """Take up values and masks; the number of values that other sweeps trained."""
        lines = self._store.results(self.stored.results, bytes)
        values = self.plan.found_in(lines.values())
        told = {c: value for c, value in values.items() if self._is_inside(c)}
        mine = {sample.configuration for sample in self.samples.all}
        for sample in self.samples.all:
            plan = self.plan.add(sample.configuration)
            there = [id for id in plan.trainings if id in lines]
            for result in read_stored(self._store, there, plan.trainings).values():
                if result.id not in self._accuracies:
                    self._accuracies[result.id] = result.val_accuracy
                    self.known.append(result)
            if sample.value is not None:
                told[sample.configuration] = sample.value
        finds = [configuration.find for configuration in told]
        unfit = {s.configuration for s in self.samples.all if s.state in ("failed", "stopped")}
        for configuration, value in told.items():
            self._chooser.tell(configuration, value, is_whole=configuration not in unfit)
        self._chooser.found.update((f, self._is_found(f, self.stored.tickets)) for f in finds)
        for sample in self._interrupted:
            self._chooser.values.setdefault(sample.configuration, None)
            self._chooser.found.setdefault(sample.configuration.find, False)
        others = [c for c in told if c not in mine]
        self.samples.known = [Sample(c, self._id(c), "complete", told[c]) for c in others]
        return len(others)

    def _found(self, results: Iterable[Result]) -> None:
        new = tuple(result for result in results if result.id not in self._accuracies)
        if new:
            self._accuracies |= {result.id: result.val_accuracy for result in new}
            self._tell(Found(new))

    @property
    def total(self) -> int | None:
        """What is left of a budget of trainings; None without one: results decide how many."""
        budget = self.sweep.search_block.trainings
        if budget is None:
            return None
        return max(budget - self._spent_before.trainings, self._spent_now.trainings)

    def about_the_start(self) -> Iterator[str]:
        """What a user is to know as the search begins, or goes on."""
        if n := self._num_others:
            are, they_were = ("is", "it was") if n == 1 else ("are", "they were")
            yield (
                f"{plural(n, 'sample')} {are} left out: the sweep file was another when "
                f"{they_were} chosen"
            )
        if n := self._num_known:
            are = "is" if n == 1 else "are"
            yield f"{plural(n, 'configuration')} {are} known from what other sweeps trained"
        if n := len(self.samples.all):
            are = "is" if n == 1 else "are"
            yield (
                f"{plural(n, 'sample')} {are} there, {len(self._interrupted):,} of them begun and "
                "to be finished first"
            )
        if over := self.why_over():
            yield f"nothing new is tried: {over} is spent"
        elif self._chooser.is_exhausted():
            yield "nothing new is tried: every configuration of the spaces has been"

    def _is_inside(self, configuration: Configuration) -> bool:
        """Whether the search might choose it."""
        is_eval = configuration.coupled or self._chooser.eval.has(configuration.eval)
        return is_eval and self._chooser.find.has(configuration.find)

    def _id(self, configuration: Configuration) -> str:
        return self.plan.evaluations(configuration)[0].id

    def _is_found(self, find: Recipe, tickets: Collection[str]) -> bool:
        return all(
            training.ticket in tickets
            for training in self.plan.evaluations(Configuration(find, find))
        )

    # What next

    def next(self, tickets: frozenset[str]) -> ToDo | None:
        for find, is_found in self._chooser.found.items():
            self._chooser.found[find] = is_found or self._is_found(find, tickets)
        if (running := self._left_by_others()) is not None:
            return self._to_do(running, tickets)
        if self._interrupted:
            sample = self._interrupted.pop(0)
        elif self.why_over() or (configuration := self._chooser.ask()) is None:
            return None
        else:
            sample = Sample(configuration, self._id(configuration))
            self.samples.all.append(sample)
            self._write()
        self.plan.add(sample.configuration)
        wanted = {training.id for training in self.plan.evaluations(sample.configuration)}
        running = _Running(sample, wanted - self._accuracies.keys())
        self._running.append(running)
        return self._to_do(running, tickets)

    def _to_do(self, running: _Running, tickets: frozenset[str]) -> ToDo:
        """What a sample lacks, without what another launch is at or a trial of this one."""
        plan = self.plan.of(running.sample.configuration)
        results = self.stored.results | self._accuracies.keys()
        stored = Stored(frozenset(results), tickets, self.stored.weights)
        known, stored, to_do = what_is_whole(plan, self._store, stored, parser(plan.trainings))
        for note in self._store.notes:
            self._tell(Said(note))
        self._store.notes.clear()
        self._found(known.values())
        running.lacks -= self._accuracies.keys()
        self._end_if_known(running)
        running.elsewhere = self._claims.ids_of_others() & to_do.trainings
        mine = without(to_do, stored, running.elsewhere)
        chains = tuple(chain for chain in mine.chains if chain not in self._chains)
        self._chains.update(chains)
        self._asked |= mine.trainings
        if mine.num_trials:
            self._claims.take(mine.trainings)
        return ToDo(chains, mine.evaluations, mine.needed, mine.trainings)

    def _left_by_others(self) -> _Running | None:
        """A sample that waits for other launches no more, looked for every few seconds."""
        if not any(running.elsewhere for running in self._running):
            return None
        if time.monotonic() < self._last_look + LOOK_S:
            return None
        self._last_look = time.monotonic()
        return self._freed()

    def _freed(self) -> _Running | None:
        """A sample whose trainings another launch was at, and has done or given up."""
        claimed = self._claims.ids_of_others()
        for running in self._running:
            done = self._store.stored(among=running.elsewhere).results
            if running.elsewhere and not (running.elsewhere - done) & claimed:
                self.stored = self._store.stored()
                return running
        return None

    def order(self, work: Work, needed: frozenset[str]) -> Order:
        stop = self.sweep.search_block.stop
        if isinstance(work, Chain):
            return Order(work, needed, self.plan.probes(work) if stop.chains else {})
        return Order(work, needed, watched=bool(stop.evaluations))

    def wait(self) -> frozenset[str] | None:
        self._claims.release()
        if not any(running.elsewhere for running in self._running):
            return None
        while self._freed() is None:
            time.sleep(LOOK_S)
        self._last_look = 0.0
        return self.stored.tickets

    def is_over(self) -> bool:
        """True once a budget is spent or every configuration tried, and no sample is unfinished."""
        return not self._interrupted and (self.why_over() != "" or self._chooser.is_exhausted())

    def why_over(self) -> str:
        """Which budget is spent, in words; empty while none is."""
        search = self.sweep.search_block
        spent = self._spent()
        trainings = spent.trainings + len(self._asked - self._accuracies.keys())
        if search.num_samples is not None and len(self.samples.all) >= search.num_samples:
            return f"num_samples: {search.num_samples:,}"
        if search.trainings is not None and trainings >= search.trainings:
            return f"trainings: {search.trainings:,}"
        if spent.seconds >= search.seconds:
            return f"time_budget: {search.time_budget}"
        return ""

    def _spent(self) -> Spent:
        before, now = self._spent_before, self._spent_now
        return Spent(
            before.trainings + now.trainings,
            before.training_seconds + now.training_seconds,
            before.seconds + time.monotonic() - self._began,
        )

    # What came of it

    def on_event(self, event: Event) -> None:
        match event:
            case Finished(result):
                self._finished(result)
            case Failed(kind="diverged" | "crashed"):  # else the next launch tries it again
                for running in self._waiting_for(event.work):
                    self._end(running, "failed", 0.0, event.reason)
            case Stopped():
                far = how_far(event.work, event.time, event.val_accuracy)
                for running in self._waiting_for(event.work):
                    self._end(running, "stopped", event.val_accuracy, far)
            case Ended(Chain() as chain):
                self._chains.discard(chain)

    def _finished(self, result: Result) -> None:
        if result.id not in self._accuracies:
            self._accuracies[result.id] = result.val_accuracy
            trainings, seconds, _ = self._spent_now
            self._spent_now = Spent(trainings + 1, seconds + result.seconds)
        self.samples.last_spent = self._spent()
        self._write(only_spent=True)
        for running in list(self._running):
            running.lacks.discard(result.id)
            self._end_if_known(running)

    def _waiting_for(self, work: Work) -> list[_Running]:
        if isinstance(work, Chain):
            return [r for r in self._running if r.sample.configuration.find == work.find]
        return [r for r in self._running if work.id in r.lacks]

    def _end_if_known(self, running: _Running) -> None:
        if not running.lacks and running in self._running:
            value = self.plan.value(running.sample.configuration, self._accuracies)
            assert value is not None  # nothing is lacking
            self._end(running, "complete", value)

    def _end(self, running: _Running, state: State, value: float, reason: str = "") -> None:
        self._running.remove(running)
        running.elsewhere = frozenset()
        sample = running.sample
        sample.state, sample.value, sample.reason = state, value, reason
        sample.trainings, sample.training_seconds, sample.seconds = self._spent()
        self._chooser.tell(sample.configuration, value, is_whole=state == "complete")
        self._write()
        self._tell(Said(self._in_words(sample)))

    def _write(self, only_spent: bool = False) -> None:
        """The run directory may be full or away for a while: at the end it is written anew."""
        try:
            if only_spent:
                self.samples.write_spent()
            else:
                self.samples.write()
        except OSError as error:
            if not self._is_behind:
                self._tell(Said(f"cannot be written now: {error}"))
            self._is_behind = True

    def _in_words(self, sample: Sample) -> str:
        varied = varied_fields(self.sweep)
        find, eval_ = sample.configuration.find, sample.configuration.eval
        what = (
            f"sample {self.samples.all.index(sample) + 1}: {short(find, varied, 'find')}, "
            f"{short(eval_, varied, 'eval')}"
        )
        if sample.state != "complete":
            return f"{what}: {sample.state}, {sample.reason}"
        known = [s.known_value for s in self.samples.all if s.state == "complete"]
        return f"{what}: validation {sample.value:.1%}, best {max(known):.1%}"
