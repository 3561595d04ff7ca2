"""What a Ray Tune trial does: find the tickets of a chain, or evaluate one mask.

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

import contextlib
import time
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import ray
import torch
from ray import tune

from lt_core import rewind
from lt_core.config import ModelName, Rewinding
from lt_core.data import DataSet
from lt_core.evaluate import Evaluation
from lt_core.find import Round, find, prune_trained
from lt_core.mask import Mask, alive_by_layer, pack, unpack
from lt_core.train import Diverged
from tune_app.plan.left import rounds_left
from tune_app.plan.trainings import Chain, Training
from tune_app.results.result import Result, read_lines
from tune_app.store.checkpoints import StoredCheckpoints
from tune_app.store.store import Missing, Store, StoreError
from tune_app.sweep.spec import Prune
from tune_app.trial.ticket_store import TicketStore
from tune_app.trial.trainer import Trainer, arrays, tensors

Report = dict[str, Any]
"""What a trial tells the driver: `result`, a Result, which `TicketTrial` sends as its line;
`tickets`, the ids of what this round found; `failed`, a training's id, and the `reason`; `stop`,
that other trials would fail for it too; `notes`, what the user is to be told; `done`.

What a scheduler compares has `progress`: of an "evaluation" that is watched, `time` is the number
of its epochs that are done, of a "chain" that is probed, the round that was; `val_accuracy` is how
good it is by then. A trial that ends with such a report was stopped."""


@dataclass(frozen=True)
class Setting:
    """What all trials of a sweep have in common."""

    model: ModelName
    prune: Prune
    rewind: Rewinding
    checkpoint_every: str
    store: Store
    data: ray.ObjectRef
    """To a DataSet: one copy on each node."""

    commit: str | None
    """Of this program."""


class TicketTrial(tune.Trainable):
    """A chain, reporting after each round, or one evaluation.

    Its config has the `work`; for a chain the tickets that are `needed`, and perhaps `probes`; for
    an evaluation perhaps `watched`: True.

    One class for both, since Tune reuses an actor for any trial of equal resources: a fresh one
    costs more than a short training.
    """

    def setup(self, config: dict[str, Any], setting: Setting) -> None:
        torch.set_num_threads(int(self.trial_resources.required_resources["CPU"]))
        self.setting = setting
        self.data = ray.get(setting.data)
        self.tickets = TicketStore(setting.store)
        self.from_disk = 0  # of the masks that came from disk, those told of with a result
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._leave()
        self._begin(new_config)
        return True

    def _begin(self, config: dict[str, Any]) -> None:
        # What Ray assigned, not what torch can see: Ray leaves all GPUs visible to CPU trials.
        device = "cuda" if ray.get_gpu_ids() else "cpu"
        worker = Worker(self.setting, self.data, self.tickets, device)
        match config["work"]:
            case Chain() as chain:
                self.ids = chain.ids
                self.reports = worker.find_probed(chain, config["needed"], config.get("probes", {}))
            case Training() as training:
                self.ids = (training.id,)
                self.reports = worker.evaluate(training, watched=config.get("watched", False))
        self.is_halfway = False

    def step(self) -> Report:
        self.is_halfway = False  # nor is what fails: it is tried again, from its checkpoint
        report = next(self.reports, {"done": True})
        self.is_halfway = "progress" in report
        from_disk = self.tickets.num_from_disk - self.from_disk
        if "result" in report:
            # As text: Tune keeps statistics of each number in a dict, 100 kB a trial in the driver.
            report = {**report, "result": report["result"].to_line()}
            self.from_disk += from_disk
        notes, self.setting.store.notes = self.setting.store.notes, []
        return report | {"masks_from_disk": from_disk, "notes": notes}

    def cleanup(self) -> None:
        self._leave()

    def _leave(self) -> None:
        """Give up what was stopped: nobody is to go on with it."""
        self.reports.close()
        if self.is_halfway:
            # A checkpoint that stays does no harm.
            with contextlib.suppress(StoreError):
                for id in self.ids:
                    self.setting.store.drop_checkpoint(id)

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: what is done is in the store, and a trial that starts again looks there."""

    def load_checkpoint(self, checkpoint: Any) -> None: ...


@dataclass(frozen=True)
class Worker:
    """Does the trainings of a plan, and stores what comes out before it reports."""

    setting: Setting
    data: DataSet
    tickets: TicketStore
    device: str

    @cached_property
    def trainer(self) -> Trainer:
        setting = self.setting
        return Trainer(
            setting.model,
            setting.prune,
            setting.rewind,
            self.data,
            setting.store,
            self.tickets.get,
            self.device,
        )

    def find(self, chain: Chain, needed: Collection[str]) -> Iterator[Report]:
        """Train the rounds of a chain that are left; those before are only reported."""
        store, training = self.setting.store, chain.trainings[0]
        try:
            stored = store.stored(among=(*chain.ids, *chain.tickets, *chain.weights))
            lines = store.results(stored.results.intersection(chain.ids))
            results = read_lines(lines, {training.id: training for training in chain.trainings})
            stored = replace(stored, results=frozenset(results))
            left = rounds_left(chain, stored, needed)
            for training in chain.trainings[: left[0].round if left else None]:
                tickets = chain.found[training.round]
                yield {"result": results[training.id], "tickets": tickets}
            if left and left[0].round == 0:
                training, *left = left
                yield self._find_in_dense(chain, results.get(training.id))
            rounds = self._rounds(chain, left)
            for training in left:
                yield self._find_in_round(chain, training, next(rounds))
        except FAILURES as error:
            yield self._failure(training, error)

    def find_probed(
        self, chain: Chain, needed: Collection[str], probes: Mapping[int, Training]
    ) -> Iterator[Report]:
        """As `find`, but tell between its rounds how good its tickets are.

        How well a chain's own rounds do under H_find does not tell how good its masks are, so that
        chains are compared by their tickets, trained under one common H_eval.

        Args:
            chain: to find.
            needed: as of `find`.
            probes: by round, the training of its ticket: done here as soon as the ticket is found,
                or, where it is a round of the chain itself, by that. One that fails ends the chain.
        """
        needed = {*needed, *(probe.ticket for probe in probes.values())}
        for report in self.find(chain, needed):
            yield report
            for round, probe in sorted(probes.items()):
                if probe.id in chain.ids:
                    is_due = "result" in report and report["result"].id == probe.id
                else:
                    is_due = probe.ticket in report.get("tickets", ())
                if not is_due:
                    continue
                [probed] = self.evaluate(probe)
                if "failed" in probed:
                    yield probed
                    return
                result = probed["result"]
                yield {
                    "result": result,
                    "progress": "chain",
                    "time": round,
                    "val_accuracy": result.val_accuracy,
                }

    def _find_in_dense(self, chain: Chain, result: Result | None) -> Report:
        """The tickets of the dense network, which is not trained again for another pruning."""
        store, training = self.setting.store, chain.trainings[0]
        mask = self.trainer.mask(training)
        weights = None if result is None else store.weights(training.id)
        if weights is None:
            evaluation = self._train(training, mask)
            network = evaluation.model
            store.put_weights(training.id, arrays(rewind.state(network)))
        else:
            network = rewind.to_initialization(self.setting.model, self.data, seed=chain.seed)
            network.load_state_dict(tensors(weights))
        num_alive = self._num_alive(chain)
        for round, ticket in enumerate(chain.found[0], start=1):
            pruning = self.setting.prune.of_round(round)
            found = prune_trained(network, self.data, mask, pruning, num_alive.get(round))
            self.tickets.put(ticket, pack(found))
        if weights is None:
            result = self._keep(training, evaluation)
        return {"result": result, "tickets": chain.found[0]}

    def _rounds(self, chain: Chain, left: Sequence[Training]) -> Iterator[Round]:
        """The later rounds of a chain, as they are trained."""
        if left:
            weights = left[0].weights
            yield from find(
                self.setting.model,
                self.data,
                chain.find,
                self.setting.prune,
                rounds=left[-1].round,
                seed=chain.seed,
                rewinding=self.setting.rewind,
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
            self.setting.store.put_weights(id, arrays(round.next_start.weights))
        for ticket in found:
            self.tickets.put(ticket, pack(round.next_mask))
        return {"result": self._keep(training, round.evaluation), "tickets": found}

    def _num_alive(self, chain: Chain) -> dict[int, dict[str, int]]:
        """For a chain that takes the LPR of another: by round, the weights alive in each layer."""
        return {
            round: alive_by_layer(unpack(self.tickets.get(ticket)))
            for round, ticket in enumerate(chain.lpr_tickets, start=1)
        }

    def evaluate(self, training: Training, watched: bool = False) -> Iterator[Report]:
        """Train under one mask, unless it was done since it was planned.

        Where it is `watched`, also report between its epochs.
        """
        try:
            line = self.setting.store.result(training.id)
            if line is not None:
                result = Result.from_line(line, {training.id: training})
            else:
                mask = self.trainer.mask(training)
                if watched:
                    evaluation = yield from self._watched(training, mask)
                else:
                    evaluation = self._train(training, mask)
                result = self._keep(training, evaluation)
            yield {"result": result, "done": True}
        except FAILURES as error:
            yield self._failure(training, error)

    def _watched(self, training: Training, mask: Mask) -> Generator[Report, None, Evaluation]:
        epochs = self.trainer.watch(training, mask, self._checkpoints(training))
        while True:
            try:
                done = next(epochs)
            except StopIteration as end:
                return end.value
            yield {
                "progress": "evaluation",
                "time": done.epoch,
                "val_accuracy": done.val_accuracy,
            }

    def _train(self, training: Training, mask: Mask) -> Evaluation:
        return self.trainer.train(training, mask, self._checkpoints(training))

    def _checkpoints(self, training: Training) -> StoredCheckpoints:
        return StoredCheckpoints(self.setting.store, training.id, self.setting.checkpoint_every)

    def _keep(self, training: Training, evaluation: Evaluation) -> Result:
        """Store a finished training."""
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
        stop = isinstance(error, StoreError)
        return {"failed": training.id, "reason": reason, "stop": stop, "done": True}


FAILURES = (Diverged, Missing, StoreError)
"""What another try would not mend."""
