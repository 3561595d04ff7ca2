"""Which trial may start now: Ray Tune's searcher, and the scheduler that starts all of them.

Only a searcher can hold a trial back in Tune. Ours hands out the chains first, since they take
longest and everything waits for them, and an evaluation as soon as its mask exists; so it does a
chain that takes the layerwise pruning ratios of another.
"""

import math
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection
from typing import Any

from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from tune_app.plan.left import ToDo
from tune_app.plan.trainings import Chain, Training
from tune_app.run.agenda import Agenda
from tune_app.store.store import StoreError
from tune_app.trial.report import Order, Report, Work

MAX_UNSTARTED_CHAINS = 8
"""Half of what Tune lets wait for room (ray_settings.py), so that evaluations can wait too."""

MAX_TRIALS = 3_000
"""Trials of one Tuner, which keeps 0.16 MB of each."""


class TrialQueue(Searcher):
    """Hands out what an agenda wants trained, each trial when the tickets that it needs exist."""

    def __init__(
        self,
        agenda: Agenda,
        max_failures: int,
        max_concurrent: int | None = None,
        holds_evaluations: Callable[[], bool] | None = None,
        pack: Callable[[Work, int], int] = lambda first, waiting: 1,
        avoided: Callable[[], tuple[str, ...]] = tuple,
        share: Callable[[], int | None] = lambda: None,
    ) -> None:
        """Prepare.

        Args:
            agenda: says what to train, and hears nothing from here.
            max_failures: how often a trial that crashed, or whose worker or node died, is handed
                out again; less often where it crashes with the same error twice. Tune's own
                setting does not count where a worker dies before it has taken up the trial.
            max_concurrent: chains and evaluations that run at a time; None: as many as find room.
            holds_evaluations: where an evaluation is given other resources than a chain: whether,
                while chains wait for room, evaluations are not to take it. Small ones would, again
                and again. None where all trials are given the same and so start in the order in
                which they are handed out.
            pack: given the first of a trial and how many of its kind wait: how many to hand out
                together. What a scheduler compares, and what failed before, is handed out alone.
            avoided: the nodes that no trial may be given.
            share: as `max_concurrent`, while others wait for room.
        """
        super().__init__()
        self.agenda = agenda
        self.max_failures = max_failures
        self.max_concurrent = max_concurrent
        self.holds_evaluations = holds_evaluations
        self.pack = pack
        self.avoided = avoided
        self.share = share
        self.needed: set[str | None] = set()
        self.tickets: set[str] = set()
        """The ids of those that exist, as `found` tells."""

        self.chains: deque[Chain] = deque()
        self.waiting_chains: list[Chain] = []
        self.ready: deque[Training] = deque()
        self.waiting: dict[str, list[Training]] = defaultdict(list)
        self.running: dict[str, list[Work]] = {}
        """By trial, in the order in which they were handed out."""

        self.ended: dict[str, set[int]] = defaultdict(set)
        """Of running trials, the numbers of what has ended."""

        self.failed: dict[str, set[Work]] = {}
        """Of trials that crashed, what had not ended."""

        self.alone: set[Work] = set()
        """What was in a pack that crashed, which any of it may have brought down: no failure of
        its own yet, but no more packed."""

        self.num_failures: Counter[Work] = Counter()
        self.errors: dict[Work, str] = {}
        """What each trial that crashed did so with, the last time."""

        self.stopped_by = ""
        """Why nothing more is handed out."""

        self.num_handed_out = 0
        """By this Tuner."""

        self.unstarted: set[str] = set()
        """Trials of chains that wait for room."""

    def is_cut_short(self) -> bool:
        """Whether another Tuner is to go on, since this one has had its number of trials."""
        return self.num_handed_out >= MAX_TRIALS and not self.stopped_by

    def _add(self, to_do: ToDo) -> None:
        self.needed |= to_do.needed
        self.waiting_chains += to_do.chains
        self._start_chains()
        for evaluation in to_do.evaluations:
            if evaluation.ticket is None or evaluation.ticket in self.tickets:
                self.ready.append(evaluation)
            else:
                self.waiting[evaluation.ticket].append(evaluation)

    def suggest(  # type: ignore[override]  # Ray leaves out its own FINISHED, which is a str
        self, trial_id: str
    ) -> dict[str, Any] | str | None:
        """The next trial's config; None to be asked again later; FINISHED when nothing can come."""
        if self._room() <= 0:
            return None
        if self.num_handed_out < MAX_TRIALS and not self.stopped_by:
            self._ask()
            for queue in (self.chains, self.ready):
                if queue and not self.stopped_by and not self._is_held(queue):
                    return self._hand_out(trial_id, queue)
        return None if self.running else Searcher.FINISHED

    def _room(self) -> float:
        """How many more chains and evaluations may run; none where no more trials may."""
        share, most = self.share(), self.max_concurrent
        if share is not None and len(self.running) >= share:
            return 0
        return math.inf if most is None else most - sum(map(len, self.running.values()))

    def _ask(self) -> None:
        try:
            while not (self.chains or self.ready):
                to_do = self.agenda.next(frozenset(self.tickets))
                if to_do is None:
                    break
                self._add(to_do)
        except StoreError as error:  # Tune would end with a traceback
            self.stopped_by = str(error)

    def _hand_out(self, trial_id: str, queue: deque[Any]) -> dict[str, Any]:
        most = min(self.pack(queue[0], len(queue)), self._room())
        orders = [self._order(queue.popleft())]
        if isinstance(orders[0].work, Chain):
            self.unstarted.add(trial_id)
        while queue and len(orders) < most and self._may_be_packed(orders[0]):
            if not self._may_be_packed(order := self._order(queue[0])):
                break
            orders.append(order)
            queue.popleft()
        self.running[trial_id] = [order.work for order in orders]
        self.num_handed_out += 1
        return {"orders": tuple(orders), "avoided": self.avoided()}

    def _order(self, work: Work) -> Order:
        tickets = work.tickets if isinstance(work, Chain) else ()
        needed = frozenset(ticket for ticket in tickets if ticket in self.needed)
        return self.agenda.order(work, needed)

    def _may_be_packed(self, order: Order) -> bool:
        has_failed = order.work in self.alone or self.num_failures[order.work] > 0
        return not order.is_compared and not has_failed

    def _is_held(self, queue: deque[Any]) -> bool:
        if self.holds_evaluations is None:
            return False
        if queue is self.chains:
            return len(self.unstarted) >= MAX_UNSTARTED_CHAINS
        return bool(self.unstarted) and self.holds_evaluations()

    def started(self, trial_id: str) -> None:
        """A trial has found room; Tune tells its callbacks, not its searcher."""
        self.unstarted.discard(trial_id)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        self._hear(trial_id, result["report"])

    def _hear(self, trial_id: str, report: Report) -> None:
        if report.done:
            self.ended[trial_id].add(report.of)
        if report.failure is not None and report.failure.kind == "store":
            self.stopped_by = report.failure.reason  # the others would train, and fail as it did
        self.found(report.tickets)

    def found(self, tickets: Collection[str]) -> None:
        """Tickets exist now; reported again after a restart, they free nothing."""
        self.tickets.update(tickets)
        for ticket in tickets:
            self.ready.extend(self.waiting.pop(ticket, ()))
        self._start_chains()

    def _start_chains(self) -> None:
        waiting, self.waiting_chains = self.waiting_chains, []
        for chain in waiting:
            can_start = self.tickets.issuperset(chain.lpr_tickets)
            (self.chains if can_start else self.waiting_chains).append(chain)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        self.unstarted.discard(trial_id)
        report: Report | None = None if result is None else result.get("report")
        if report is not None and trial_id in self.running:
            self._hear(trial_id, report)
        works = self.running.pop(trial_id, [])
        ended = self.ended.pop(trial_id, set())
        if error:
            self.failed[trial_id] = {work for i, work in enumerate(works) if i not in ended}
            if len(self.failed[trial_id]) > 1:
                self.alone |= self.failed[trial_id]
            else:
                self.num_failures.update(self.failed[trial_id])

    def unfinished(self, trial_id: str) -> set[Work]:
        """What a trial that failed had not ended; told once."""
        return self.failed.pop(trial_id, set())

    def try_again(self, work: Work, error: str | None) -> bool:
        """Hand out a trial that failed once more, and whether that is so.

        Args:
            work: unfinished in a trial whose failure Tune has told of (`on_trial_complete`); before
                it asks for another, its callbacks are to come here.
            error: what it crashed with, in a line; None where its worker or node was lost.
        """
        is_alike = error is not None and self.errors.get(work) == error
        if error is not None:
            self.errors[work] = error
        if is_alike or self.num_failures[work] > self.max_failures:
            return False
        self._append(work)
        return True

    def put_back(self, work: Work) -> None:
        """Hand out once more what its node refused: no failure of its own."""
        self.num_failures[work] = max(0, self.num_failures[work] - 1)
        self.alone.discard(work)
        self._append(work)

    def _append(self, work: Work) -> None:
        if isinstance(work, Chain):
            self.chains.append(work)
        else:
            self.ready.append(work)

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles it, to restore runs in a way that is not used here

    def save(self, checkpoint_path: str) -> None:
        """Nothing: a new launch plans anew from what is stored."""

    def restore(self, checkpoint_path: str) -> None: ...


class StartAll(FIFOScheduler):
    """Starts whatever is pending, in any order.

    FIFO gives an actor that comes free to the oldest pending trial and stops the one that is
    starting for it, so that short trials run nearly one at a time; and it looks through all
    trials each time.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Ray gives it no types

    def choose_trial_to_run(self, tune_controller: Any) -> None:
        return None
