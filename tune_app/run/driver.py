"""From an agenda to results: starts Ray, runs trials, and tells listeners what happens."""

import gc
import math
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import ray

from lt_core.data import DataSet
from tune_app.plan.trainings import Chain
from tune_app.run.agenda import Agenda
from tune_app.run.events import Listeners
from tune_app.run.proven_nodes import ProvenNodes
from tune_app.run.ray_session import ClusterError, num_slots, ray_session
from tune_app.run.record import Record
from tune_app.run.share import Share
from tune_app.run.trial_queue import StartAll, TrialQueue
from tune_app.run.tuner import Trials, holds_evaluations
from tune_app.store.claims import Claims
from tune_app.store.same_store import sign_in
from tune_app.store.store import Store, StoreError
from tune_app.sweep.sweep import Sweep
from tune_app.time_limit import within
from tune_app.trial.proof import proof_of
from tune_app.trial.report import Work
from tune_app.trial.store_keys import keys_here
from tune_app.trial.ticket_store import start_holder
from tune_app.trial.worker import Setting
from tune_app.words import duration, plural

PATIENCE_S = 120.0
"""How long storage may be full or away while a sweep runs."""


TIDY_S = 5.0
"""How long each step of tidying up may take where the storage may have gone with the head."""


@dataclass(frozen=True)
class Driver:
    """Trains what an agenda wants."""

    sweep: Sweep
    agenda: Agenda
    store: Store
    claims: Claims
    record: Record
    listeners: Listeners
    command: str
    """To go on with."""

    leave: Callable[[], None]
    """Ends the process, as one whose cluster is lost."""

    def run(self, data: list[DataSet], scheduler: StartAll, tickets: frozenset[str]) -> bool:
        """Start or join Ray, and run trials until the agenda has no more.

        Args:
            data: the one data set, taken out of the list, so that only Ray has it.
            scheduler: stops trials early, if it does.
            tickets: the ids of those that exist.

        Returns:
            Whether it went through; False where the store or the cluster ended it, which is said.

        Raises:
            SpecError: when no cluster answers, or this machine cannot hold a trial.
        """
        begin = time.monotonic()
        self.store.patience_s = PATIENCE_S
        say = self.listeners.say
        with ray_session(self.sweep.resources, say, self.command, self._lose) as num_cores:
            holder = start_holder(self.store.place)
            share = None if num_cores is not None else Share(self.sweep.resources.values())
            went_through = True
            try:
                with self.claims, self._nodes(is_cluster=num_cores is None) as nodes:
                    trials = Trials(
                        self.sweep,
                        self._setting(),
                        ray.put(data.pop()),
                        scheduler,
                        self._scratch,
                        nodes,
                        share,
                    )
                    self._run(trials, tickets)
                self.store.drop_checkpoints(self.record.results.keys())
            except (StoreError, ClusterError) as error:
                self.listeners.say(f"stopped: {error}")
                went_through = False
            finally:
                ray.kill(holder)  # in a notebook Ray may stay
                if share is not None:
                    share.leave()
        self._say_what_it_took(time.monotonic() - begin, num_cores)
        return went_through

    @property
    def _scratch(self) -> Path:
        return self.record.run_dir.path / "_ray"

    def _lose(self) -> None:
        """End what no head is left for; Ray would end the process too, later and with a trace."""
        with suppress(Exception):  # the head may have been what the storage was on
            within(TIDY_S, self.claims.release)
            within(TIDY_S, lambda: shutil.rmtree(self._scratch, ignore_errors=True))
        self.leave()

    @contextmanager
    def _nodes(self, *, is_cluster: bool) -> Iterator[ProvenNodes | None]:
        """The nodes of a cluster that may train, as they are at the start."""
        if not is_cluster:
            yield None
            return
        with sign_in(self.store) as sign:
            resources = tuple(self.sweep.resources.values())
            proof = proof_of(self.sweep, sign)
            nodes = ProvenNodes(proof, keys_here(), resources, self.listeners.say)
            nodes.prove()
            yield nodes

    def _setting(self) -> Setting:
        sweep, commit = self.sweep, self.record.commit
        return Setting(sweep.network, sweep.prune, sweep.checkpoint_every, self.store, commit)

    def _run(self, trials: Trials, tickets: frozenset[str] | None) -> None:
        search, max_concurrent = self.sweep.search, self.sweep.max_concurrent
        if search is not None:
            chosen = search.max_concurrent or num_slots(self.sweep.eval_resources)
            max_concurrent = min(chosen, max_concurrent or chosen)
        queue = TrialQueue(
            self.agenda,
            self.sweep.max_failures,
            max_concurrent,
            holds_evaluations(self.sweep),
            self._pack,
            tuple if trials.nodes is None else trials.nodes.avoided,
            lambda: None if trials.share is None else trials.share.most,
        )
        while tickets is not None:
            queue.found(tickets)
            trials.run(queue, self.listeners.tell)
            while queue.is_cut_short():
                # What is left of the last Tuner, a hundred megabytes, refers to itself in circles,
                # and a launch has its garbage collected seldom.
                gc.collect()
                trials.run(queue, self.listeners.tell)
            if queue.stopped_by:
                raise StoreError(queue.stopped_by)
            tickets = self.agenda.wait()

    def _pack(self, first: Work, waiting: int) -> int:
        """How many to hand out as one trial: as many as leave something for every other."""
        is_chain = isinstance(first, Chain)
        resources = self.sweep.find_resources if is_chain else self.sweep.eval_resources
        if resources.pack == 1:
            return 1
        return min(resources.pack, math.ceil(waiting / num_slots(resources)))

    def _say_what_it_took(self, wall: float, num_cores: int | None) -> None:
        record, of_cores = self.record, ""
        if num_cores is not None:
            share = record.training_seconds / (num_cores * wall)
            cores = "1 core's" if num_cores == 1 else f"{num_cores} cores'"
            of_cores = f", {share:.0%} of {cores} time"
        self.listeners.say(
            f"{plural(record.num_trained, 'training')} in {duration(wall)}: "
            f"{duration(record.training_seconds)} of training{of_cores}"
        )
        if record.num_masks_from_disk:
            masks = plural(record.num_masks_from_disk, "mask")
            self.listeners.say(f"{masks} came from disk, not from memory")
