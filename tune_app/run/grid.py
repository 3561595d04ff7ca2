"""The agenda of a grid: the whole plan at once, but for what other launches are at."""

import time
from collections.abc import Mapping, Sequence

from tune_app.plan.left import ToDo, what_is_left, without
from tune_app.plan.plan import Plan
from tune_app.results.result import Result, read_stored
from tune_app.run.events import Event, Failed, Finished, Found, Listener, Said
from tune_app.store.claims import Claims
from tune_app.store.inventory import Stored
from tune_app.trial.report import Order, Work, first_lacking

WAIT_S = 5.0
"""How often to look whether another launch is done."""


class GridAgenda:
    """Hands out what no other launch trains; later what others left."""

    def __init__(
        self,
        plan: Plan,
        to_do: ToDo,
        stored: Stored,
        known: Sequence[Result],
        failures: Mapping[str, str],
        claims: Claims,
        tell: Listener,
    ) -> None:
        """Prepare.

        Args:
            plan: of the sweep.
            to_do: the part of it that is to be trained.
            stored: what the store holds.
            known: the results of the plan that are stored.
            failures: why trainings failed before and would again, by id.
            claims: of this launch.
            tell: hears what is found and waited for.
        """
        self.plan = plan
        self.total = len(to_do.trainings)
        self._to_do: ToDo | None = to_do
        self._stored = stored
        self._failed = dict(failures)
        self.known = known
        self._done = {result.id for result in known}
        self._claims = claims
        self._tell = tell
        self._elsewhere: frozenset[str] = frozenset()

    def next(self, tickets: frozenset[str]) -> ToDo | None:
        to_do, self._to_do = self._to_do, None
        if to_do is None:
            return None
        others = [claim for claim in self._claims.of_others() if claim.ids & to_do.trainings]
        self._elsewhere = self._elsewhere.union(*(claim.ids for claim in others))
        for claim in others:
            they_are = "it is" if len(claim.ids & to_do.trainings) == 1 else "they are"
            self._tell(
                Said(
                    f"{claim.who} trains {len(claim.ids & to_do.trainings):,} of these: {they_are} "
                    "left to it, and waited for"
                )
            )
        mine = without(to_do, self._stored, self._elsewhere | self._failed.keys())
        if not mine.num_trials:
            return None
        self._claims.take(mine.trainings)
        return mine

    def order(self, work: Work, needed: frozenset[str]) -> Order:
        return Order(work, needed)

    def on_event(self, event: Event) -> None:
        match event:
            case Finished(result):
                self._done.add(result.id)
            case Failed():
                id = event.training or first_lacking(event.work, self._done)
                self._failed[id] = event.reason

    def wait(self) -> frozenset[str] | None:
        self._claims.release()
        if not self._elsewhere:
            return None
        while self._claims.ids_of_others() & self._elsewhere:
            time.sleep(WAIT_S)
        self._elsewhere = frozenset()
        store = self._claims.store
        self._stored = store.stored()
        new = self._stored.results.intersection(self.plan.trainings) - self._done
        self._done |= new
        self.total -= len(new)
        self._tell(Found(tuple(read_stored(store, new, self.plan.trainings).values())))
        self._to_do = self._left()
        return self._stored.tickets

    def _left(self) -> ToDo:
        return what_is_left(self.plan, self._stored)
