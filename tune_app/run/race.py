"""The agenda of a grid with a race: seed after seed, without what has dropped out."""

from collections.abc import Iterable, Mapping

from tune_app.plan.left import ToDo, what_is_left, without
from tune_app.plan.part import Pair
from tune_app.plan.plan import Plan
from tune_app.results.racing import (
    Standing,
    accuracies_of,
    compared,
    needed,
    needed_next,
    outcomes_of,
    standing_of,
)
from tune_app.results.racing_words import gain_in_words, name, why_dropped
from tune_app.results.result import Result
from tune_app.run.events import Event, Failed, Finished, Found, Listener, Said
from tune_app.run.grid import GridAgenda
from tune_app.store.claims import Claims
from tune_app.store.inventory import Stored
from tune_app.sweep.sweep import Sweep
from tune_app.words import plural


class RaceAgenda(GridAgenda):
    """Hands out the trainings of another seed once a look wants it.

    A look waits only for the accuracies that it compares: while the other trainings of a seed run,
    the next one begins. `plan` has what the race needs at most, and shrinks with each drop.
    """

    def __init__(
        self,
        sweep: Sweep,
        plan: Plan,
        stored: Stored,
        results: Mapping[str, Result],
        failures: Mapping[str, str],
        claims: Claims,
        tell: Listener,
    ) -> None:
        """Take up the race where stored results leave it.

        Args:
            sweep: a grid with a race.
            plan: of the grid, with all seeds.
            stored: what the store holds.
            results: those of the plan that are stored, by id.
            failures: why trainings failed before and would again, by id.
            claims: of this launch.
            tell: hears what is found and waited for, and what each look decides.
        """
        found = tuple(results.values())
        super().__init__(plan, what_is_left(plan, stored), stored, found, failures, claims, tell)
        self._sweep = sweep
        self._whole = plan
        self._found = found
        self._accuracies = accuracies_of(sweep, found)
        self._num_trained = 0
        self._handed_out: set[str] = set()
        """The trainings of this launch, since it last waited for others."""

        self._take(self._standing())
        self._to_do = self._left()

    def about_the_start(self) -> tuple[str, ...]:
        """Where the race is taken up, for the user; nothing where it begins or is over."""
        now = self.standing
        if now.is_over or not now.num_seeds:
            return ()
        dropped = plural(len(now.dropped), "configuration")
        return (f"the race goes on {gain_in_words(self._sweep, now)}; {dropped} dropped out",)

    def _standing(self) -> Standing:
        return standing_of(self._sweep, self._outcomes())

    def _outcomes(self) -> Mapping[tuple[Pair, int], float | str]:
        return outcomes_of(self._sweep, self._whole, self._accuracies, self._failed)

    def _take(self, now: Standing) -> None:
        """Go on from what a look decided."""
        self.standing = now
        self.plan = needed(self._sweep, self._whole, now)
        self._next = needed_next(self._sweep, self._whole, now)
        self._awaited = self._lacking()
        self.known = tuple(result for result in self._found if result.id in self.plan.trainings)
        left = without(what_is_left(self.plan, self._stored), self._stored, self._failed)
        self.total = self._num_trained + len(left.trainings - self._done)

    def _lacking(self) -> set[str]:
        """The trainings that the next look compares and that have no outcome yet."""
        outcomes = self._outcomes()
        asked = compared(self._sweep, self._next).items()
        return {training.id for at, training in asked if at not in outcomes}

    def next(self, tickets: frozenset[str]) -> ToDo | None:
        if self._to_do is None and self._is_to_look():
            self._to_do = self._left()
        mine = super().next(tickets)
        if mine is not None:
            self._handed_out |= mine.trainings
        return mine

    def wait(self) -> frozenset[str] | None:
        self._handed_out.clear()
        return super().wait()

    def _is_to_look(self) -> bool:
        return not self._awaited and not self.standing.is_over

    def _left(self) -> ToDo:
        if self._is_to_look():
            self._look()
        return without(what_is_left(self._next, self._stored), self._stored, self._handed_out)

    def _look(self) -> None:
        before, now = self.standing, self._standing()
        for pair, drop in now.dropped.items():
            if pair not in before.dropped:
                after, why = plural(drop.after, "seed"), why_dropped(pair, drop)
                self._tell(Said(f"{name(self._sweep, pair)} drops out after {after}: {why}"))
        self._tell(Said(gain_in_words(self._sweep, now)))
        self._take(now)

    def on_event(self, event: Event) -> None:
        match event:
            case Found(results):
                self._accept(results)
            case Finished(result) if result.id not in self._done:
                self._num_trained += 1
                self._accept((result,))
        super().on_event(event)
        if isinstance(event, Failed):
            self._awaited = self._lacking()

    def _accept(self, results: Iterable[Result]) -> None:
        self._accuracies |= accuracies_of(self._sweep, results)
        self._awaited -= self._accuracies.keys()
