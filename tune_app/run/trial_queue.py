"""Which trial may start now: Ray Tune's searcher and scheduler for a plan.

Only a searcher can hold a trial back in Tune. Ours hands out the chains first, since they take
longest and everything waits for them, and an evaluation as soon as its mask exists; so it does a
chain that takes the layerwise pruning ratios of another.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection
from typing import Any

from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from tune_app.plan.left import ToDo
from tune_app.plan.trainings import Chain, Training
from tune_app.store.store import StoreError

MAX_UNSTARTED_CHAINS = 8
"""Half of what Tune lets wait for room (ray_settings.py), so that evaluations can wait too."""


class PlanSearch(Searcher):
    """Hands out the trials of a plan, each when the tickets that it needs exist."""

    def __init__(self, to_do: ToDo, tickets: Collection[str], max_failures: int) -> None:
        """Prepare.

        Args:
            to_do: what is left of a plan.
            tickets: the ids of those that exist.
            max_failures: how often a trial that crashed, or whose worker or node died, is handed
                out again. Tune's own setting does not count where a worker dies before it has
                taken up the trial.
        """
        super().__init__()
        self.needed: set[str | None] = set()
        self.tickets = set(tickets)
        self.chains: deque[Chain] = deque()
        self.waiting_chains: list[Chain] = []
        self.ready: deque[Training] = deque()
        self.waiting: dict[str, list[Training]] = defaultdict(list)
        self.running: dict[str, Chain | Training] = {}
        self.max_failures = max_failures
        self.num_failures: Counter[Chain | Training] = Counter()
        self.stopped_by = ""
        """Why nothing more is handed out."""
        self.holds_evaluations: Callable[[], bool] | None = None
        """Where an evaluation is given other resources than a chain: whether, while chains wait for
        room, evaluations are not to take it. Small ones would, again and again. None where all
        trials are given the same and so start in the order in which they are handed out."""
        self.unstarted: set[str] = set()
        """Trials of chains that wait for room."""
        self.add(to_do)

    def add(self, to_do: ToDo) -> None:
        """Take up more work."""
        self.needed |= to_do.needed
        self.waiting_chains += to_do.chains
        self._start_chains()
        for evaluation in to_do.evaluations:
            if evaluation.ticket is None or evaluation.ticket in self.tickets:
                self.ready.append(evaluation)
            else:
                self.waiting[evaluation.ticket].append(evaluation)

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next trial's config; None to be asked again later; FINISHED when nothing can come."""
        for queue in (self.chains, self.ready):
            if queue and not self.stopped_by and not self._is_held(queue):
                self.running[trial_id] = queue.popleft()
                if queue is self.chains:
                    self.unstarted.add(trial_id)
                return self._config(self.running[trial_id])
        return None if self.running else Searcher.FINISHED

    def _is_held(self, queue: deque) -> bool:
        if self.holds_evaluations is None:
            return False
        if queue is self.chains:
            return len(self.unstarted) >= MAX_UNSTARTED_CHAINS
        return bool(self.unstarted) and self.holds_evaluations()

    def started(self, trial_id: str) -> None:
        """A trial has found room; Tune tells its callbacks, not its searcher."""
        self.unstarted.discard(trial_id)

    def _config(self, work: Chain | Training) -> dict[str, Any]:
        tickets = work.tickets if isinstance(work, Chain) else ()
        return {"work": work, "needed": self.needed.intersection(tickets)}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        found = result.get("tickets", ())
        self.tickets.update(found)
        for ticket in found:
            # Reported again after a restart, it finds nobody waiting.
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
        work = self.running.pop(trial_id, None)
        if result is not None and result.get("stop"):
            self.stopped_by = result["reason"]  # the others would train, and fail as it did
        if error and work is not None:
            self.num_failures[work] += 1
            if not self.gives_up(work):
                (self.chains if isinstance(work, Chain) else self.ready).append(work)

    def gives_up(self, work: Chain | Training) -> bool:
        """Whether a trial that failed in Tune is not handed out again."""
        return self.num_failures[work] > self.max_failures

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles it, to restore runs in a way that is not used here

    def save(self, checkpoint_path: str) -> None:
        """Nothing: a new launch plans anew from what is stored."""

    def restore(self, checkpoint_path: str) -> None: ...


class AskingSearch(PlanSearch):
    """Asks what to do next whenever a trial can start, so that each choice knows all results."""

    def __init__(
        self,
        ask: Callable[[Collection[str]], ToDo | None],
        tickets: Collection[str],
        max_failures: int,
        max_concurrent: int,
        extras: Callable[[Chain | Training], dict[str, Any]],
    ) -> None:
        """Prepare.

        Args:
            ask: given the tickets that exist, gives more work; None where there is none, or none
                before more is known.
            tickets: the ids of those that exist.
            max_failures: as of `PlanSearch`.
            max_concurrent: how many trials run at a time.
            extras: what else the config of a trial has.
        """
        super().__init__(ToDo((), (), frozenset(), frozenset()), tickets, max_failures)
        self.ask = ask
        self.max_concurrent = max_concurrent
        self.extras = extras

    def _config(self, work: Chain | Training) -> dict[str, Any]:
        return super()._config(work) | self.extras(work)

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        if len(self.running) >= self.max_concurrent:
            return None
        try:
            while not (self.chains or self.ready or self.stopped_by):
                to_do = self.ask(self.tickets)
                if to_do is None:
                    break
                self.add(to_do)
        except StoreError as error:  # Tune would end with a traceback
            self.stopped_by = str(error)
        return super().suggest(trial_id)


class StartAll(FIFOScheduler):
    """Starts whatever is pending, in any order.

    FIFO gives an actor that comes free to the oldest pending trial and stops the one that is
    starting for it, so that short trials run nearly one at a time; and it looks through all
    trials each time.
    """

    def choose_trial_to_run(self, tune_controller: Any) -> None:
        return None
