"""What a trial does: find the tickets of a chain, or evaluate one mask. It knows nothing of Ray.

The life of a training, and what is lost of it where whatever runs it is killed:

planned    it has an id (plan.py), the same whenever it is planned
waiting    for its ticket (search.py)
running    its state is stored every `checkpoint_every`: lost is what came after, and the rest is
           the same to the bit. A trial that crashed, or whose worker or node died, is handed out
           again, `max_failures` times
found      the weights that go on and then the tickets are stored: lost is again what came after the
           last checkpoint; the same files are written once more
recorded   its result is stored and its checkpoint dropped: never trained again, nothing is lost
stopped    between epochs or rounds, by a scheduler (stopping.py): its checkpoint is dropped
reported   the driver has heard of it (record.py); a chain that goes on reports it once more
shown      results.jsonl, MLflow and figures, all of them made again from results
failed     without a result, for a reason that what waits for it has too. That it diverged is
           stored, as it would again; where it lacks something or was handed out too often, the next
           launch tries it
"""

import time
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

from lt_core import rewind
from lt_core.chain import Round, finding, prune_trained
from lt_core.data import DataSet
from lt_core.evaluation import Evaluation, Progress
from lt_core.mask import Mask, alive_by_layer, pack, unpack
from lt_core.packed_mask import PackedMask
from lt_core.pretrained import Network
from lt_core.rewind import Start
from lt_core.training_loop import Diverged, translated
from tune_app.plan.left import rounds_left
from tune_app.plan.trainings import Chain, Training
from tune_app.results.result import Result, parser, read_stored
from tune_app.store.checkpoints import StoredCheckpoints
from tune_app.store.store import Missing, Store, StoreError
from tune_app.sweep.durations import parse
from tune_app.sweep.prune import Prune
from tune_app.trial.report import Failure, FailureKind, Report, Standing
from tune_app.trial.trainer import Trainer, arrays, tensors


class Tickets(Protocol):
    """Where masks are kept, by ticket id."""

    def put(self, id: str, packed: PackedMask) -> None: ...

    def get(self, id: str) -> PackedMask:
        """Raises Missing where there is none."""


@dataclass(frozen=True)
class Setting:
    """What all trials of a sweep have in common."""

    model: Network
    prune: Prune
    checkpoint_every: str
    store: Store
    commit: str | None
    """Of this program."""


@dataclass(frozen=True)
class Worker:
    """Does the trainings of a plan, and stores what comes out before it reports."""

    setting: Setting
    data: DataSet
    tickets: Tickets
    device: str

    @cached_property
    def trainer(self) -> Trainer:
        setting = self.setting
        return Trainer(
            setting.model,
            setting.prune,
            self.data,
            setting.store,
            self.tickets.get,
            self.device,
        )

    def find(self, chain: Chain, needed: Collection[str]) -> Generator[Report | None, None, None]:
        """Train the rounds of a chain that are left; those before are only reported.

        This and the others yield None wherever another order of the trial may have its turn.
        """
        store, training = self.setting.store, chain.trainings[0]
        try:
            stored = store.stored(among=(*chain.ids, *chain.tickets, *chain.weights))
            mine = {training.id: training for training in chain.trainings}
            results = read_stored(store, stored.results.intersection(mine), mine)
            stored = replace(stored, results=frozenset(results))
            left = rounds_left(chain, stored, needed)
            for training in chain.trainings[: left[0].round if left else None]:
                tickets = chain.found[training.round]
                yield Report(results[training.id], tickets)
            if left and left[0].round == 0:
                training, left = left[0], left[1:]
                yield (yield from self._find_in_dense(chain, results.get(training.id)))
            rounds = self._rounds(chain, left)
            for training in left:
                while (round := next(rounds)) is None:
                    yield None
                yield self._find_in_round(chain, training, round)
        except tuple(FAILURES) as error:
            yield self._failure(training, error)

    def find_probed(
        self, chain: Chain, needed: Collection[str], probes: Mapping[int, Training]
    ) -> Generator[Report | None, None, None]:
        """As `find`, but tell between its rounds how good its tickets are.

        How well a chain's own rounds do under H_find does not tell how good its masks are, so that
        chains are compared by their tickets, trained under one common H_eval.

        Args:
            chain: to find.
            needed: as of `find`.
            probes: by round, the training of its ticket: done here as soon as the ticket is found,
                or, where it is a round of the chain itself, by that. One that fails ends the chain.
        """
        probed = {probe.ticket for probe in probes.values() if probe.ticket is not None}
        for report in self.find(chain, probed.union(needed)):
            yield report
            if report is None:
                continue
            for round, probe in sorted(probes.items()):
                if probe.id in chain.ids:
                    is_due = report.result is not None and report.result.id == probe.id
                else:
                    is_due = probe.ticket in report.tickets
                if not is_due:
                    continue
                evaluation = self.evaluate(probe)
                while (last := next(evaluation)) is None:
                    yield None
                if last.result is None:
                    yield last
                    return
                yield Report(last.result, standing=Standing(round, last.result.val_accuracy))

    def _find_in_dense(
        self, chain: Chain, result: Result | None
    ) -> Generator[Report | None, None, Report]:
        """The tickets of the dense network, which is not trained again for another pruning."""
        store, training = self.setting.store, chain.trainings[0]
        mask = self.trainer.mask(training)
        weights = None if result is None else store.weights(training.id)
        if weights is None:
            evaluation = yield from self._training(training, mask)
            network = evaluation.model
            store.put_weights(training.id, arrays(rewind.state(network)))
        else:
            network = rewind.to_initialization(self.setting.model, self.data, seed=chain.seed)
            network.load_state_dict(tensors(weights))
        num_alive = self._num_alive(chain)
        started = None
        if self.setting.prune.is_scored:
            started = rewind.weights_at(Start(), self.setting.model, self.data, seed=chain.seed)
        for round, ticket in enumerate(chain.found[0], start=1):
            pruning = self.setting.prune.of_round(round)
            left = num_alive.get(round)
            found = prune_trained(
                network, self.data, mask, pruning, left, started=started, seed=chain.seed
            )
            self.tickets.put(ticket, pack(found))
        if weights is None:
            result = self._keep(training, mask, evaluation)
        return Report(result, chain.found[0])

    def _rounds(self, chain: Chain, left: Sequence[Training]) -> Iterator[Round | None]:
        """The later rounds of a chain, as they are trained."""
        if left:
            weights = left[0].weights
            yield from finding(
                self.setting.model,
                self.data,
                chain.find,
                self.setting.prune,
                rounds=left[-1].round,
                seed=chain.seed,
                rewinding=left[0].rewind,
                num_alive=self._num_alive(chain) or None,
                start=left[0].round,
                mask=self.trainer.mask(left[0]),
                checkpoints={training.round: self._checkpoints(training) for training in left},
                weights=None if weights is None else self.trainer.weights(left[0]),
                device=self.device,
            )

    def _find_in_round(self, chain: Chain, training: Training, round: Round) -> Report:
        # In this order: after a kill between two of them, a result without its ticket would have
        # to be trained again for the mask.
        found = chain.found[training.round]
        for id in chain.weights[training.round : training.round + 1]:
            trained = rewind.state(round.evaluation.model)
            self.setting.store.put_weights(id, arrays(trained))
        for ticket in found:
            self.tickets.put(ticket, pack(round.next_mask))
        return Report(self._keep(training, round.mask, round.evaluation), found)

    def _num_alive(self, chain: Chain) -> dict[int, dict[str, int]]:
        """For a chain that takes the LPR of another: by round, the weights alive in each layer."""
        return {
            round: alive_by_layer(unpack(self.tickets.get(ticket)))
            for round, ticket in enumerate(chain.lpr_tickets, start=1)
        }

    def evaluate(
        self, training: Training, watched: bool = False
    ) -> Generator[Report | None, None, None]:
        """Train under one mask, unless it was done since it was planned.

        Where it is `watched`, also report between its epochs.
        """
        try:
            result = self.setting.store.result(training.id, parser({training.id: training}))
            if result is None:
                mask = self.trainer.mask(training)
                evaluation = yield from self._training(training, mask, watched)
                result = self._keep(training, mask, evaluation)
            yield Report(result, done=True)
        except tuple(FAILURES) as error:
            yield self._failure(training, error)

    def _training(
        self, training: Training, mask: Mask, watched: bool = False
    ) -> Generator[Report | None, None, Evaluation]:
        epochs = self.trainer.training(training, mask, self._checkpoints(training), watched)
        return (yield from translated(epochs, _standing))

    def _checkpoints(self, training: Training) -> StoredCheckpoints:
        every = parse(self.setting.checkpoint_every)
        return StoredCheckpoints(self.setting.store, training.id, every.seconds, every.epochs)

    def _keep(self, training: Training, mask: Mask, evaluation: Evaluation) -> Result:
        """Store a finished training."""
        for operation in sorted(evaluation.not_deterministic):
            self.setting.store.notes.append(
                f"torch has no deterministic kernel of {operation} on this GPU: a training may "
                "have other bits when it is repeated"
            )
        if evaluation.not_captured:
            self.setting.store.notes.append(
                "the GPU takes the steps of these trainings one by one, which is slower: they are "
                f"not captured as a CUDA graph ({evaluation.not_captured})"
            )
        result = Result(
            id=training.id,
            kind=training.kind,
            find=training.find,
            lpr_find=training.lpr_find,
            eval=training.eval,
            seed=training.seed,
            round=training.round,
            sparsity=evaluation.sparsity,
            val_accuracy=evaluation.val_accuracy,
            test_accuracy=evaluation.test_accuracy,
            train_loss=evaluation.train_loss,
            lpr=evaluation.lpr,
            cost=self.trainer.cost(mask),
            distance=evaluation.movement.distance,
            sign_changes=evaluation.movement.sign_changes,
            precision=evaluation.precision,
            seconds=evaluation.seconds,
            finished_at=time.time(),
            commit=self.setting.commit,
        )
        self.setting.store.put_result(result.id, result.to_line())
        self.setting.store.drop_checkpoint(training.id)
        return result

    def _failure(self, training: Training, error: Exception) -> Report:
        reason = f"{type(error).__name__}: {error}"
        if isinstance(error, Diverged):
            self.setting.store.put_failure(training.id, reason)
        kind = next(kind for cls, kind in FAILURES.items() if isinstance(error, cls))
        return Report(failure=Failure(training.id, reason, kind), done=True)


def _standing(done: Progress | None) -> Report | None:
    return None if done is None else Report(standing=Standing(done.epoch, done.val_accuracy))


FAILURES: dict[type[Exception], FailureKind] = {
    Diverged: "diverged",
    Missing: "missing",
    StoreError: "store",
}
"""What another try would not mend."""
