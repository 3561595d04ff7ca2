"""What a Ray Tune trial does: find the tickets of a chain, or evaluate one mask."""

import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import ray
import torch
from ray import tune

from lt_core import prune, rewind, seeds
from lt_core.config import ModelName, Pruning
from lt_core.data import DataSet
from lt_core.evaluate import Evaluation, evaluate
from lt_core.find import find
from lt_core.mask import Mask, dense, pack, prunable_weights, unpack
from lt_core.train import Diverged
from tune_app.plan import Chain, Training, rounds_left
from tune_app.store import Store
from tune_app.ticket_store import DamagedTicket, TicketStore

Report = dict[str, Any]
"""What a trial tells the driver: `result`, a line of results.jsonl; `ticket`, the id of what
this round found; `failed`, a training's id and the reason; `done`."""


@dataclass(frozen=True)
class Setting:
    """What all trials of a sweep have in common."""

    model: ModelName
    pruning: Pruning
    cpus: int
    store: Store
    data: ray.ObjectRef
    """To a DataSet: one copy on each node."""

    commit: str | None
    """Of this program."""


class TicketTrial(tune.Trainable):
    """A chain, reporting after each round, or one evaluation.

    One class for both, since Tune reuses an actor for any trial of equal resources: a fresh one
    costs more than a short training.
    """

    def setup(self, config: dict[str, Any], setting: Setting) -> None:
        torch.set_num_threads(setting.cpus)
        self.setting = setting
        self.data = ray.get(setting.data)
        self.tickets = TicketStore(setting.store)
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        # What Ray assigned, not what torch can see: Ray leaves all GPUs visible to CPU trials.
        device = "cuda" if ray.get_gpu_ids() else "cpu"
        worker = Worker(self.setting, self.data, self.tickets, device)
        match new_config["work"]:
            case Chain() as chain:
                self.reports = worker.find(chain, new_config["needed"])
            case Training() as training:
                self.reports = worker.evaluate(training)
        return True

    def step(self) -> Report:
        from_disk = self.tickets.num_from_disk
        report = next(self.reports, {"done": True})
        return report | {"masks_from_disk": self.tickets.num_from_disk - from_disk}

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

    def find(self, chain: Chain, needed: Collection[str]) -> Iterator[Report]:
        """Train the rounds of a chain that are left; those before are only reported."""
        store = self.setting.store
        stored = store.stored(among=(*chain.ids, *chain.tickets))
        left = rounds_left(chain, stored, needed)
        for training in chain.trainings[: left[0].round if left else None]:
            ticket = chain.tickets[training.round]
            yield {"result": store.result(training.id), "ticket": ticket}
        if left and stored.keeps_weights(left[0].id):
            self._prune_kept_weights(chain)
            yield {"result": store.result(left[0].id), "ticket": chain.tickets[0]}
            left = left[1:]
        if left:
            yield from self._train_rounds(chain, left)

    def _train_rounds(self, chain: Chain, left: Sequence[Training]) -> Iterator[Report]:
        training = left[0]
        try:
            rounds = find(
                self.setting.model,
                self.data,
                chain.find,
                self.setting.pruning,
                rounds=left[-1].round,
                seed=chain.seed,
                start=left[0].round,
                mask=self._mask(left[0]),
                device=self.device,
            )
            for training in left:
                round = next(rounds)
                # In this order: after a kill between the two, a result without its ticket would
                # have to be trained again for the mask.
                ticket = chain.tickets[training.round]
                self.tickets.put(ticket, pack(round.next_mask))
                result = self._keep(training, round.evaluation)
                yield {"result": result, "ticket": ticket}
        except FAILURES as error:
            yield {"failed": training.id, "reason": _reason(error), "done": True}

    def evaluate(self, training: Training) -> Iterator[Report]:
        """Train under one mask, unless it was done since it was planned."""
        result = self.setting.store.result(training.id)
        try:
            if result is None:
                evaluation = evaluate(
                    self.setting.model,
                    self.data,
                    self._mask(training),
                    training.eval,
                    seed=training.seed,
                    device=self.device,
                )
                result = self._keep(training, evaluation)
            yield {"result": result, "done": True}
        except FAILURES as error:
            yield {"failed": training.id, "reason": _reason(error), "done": True}

    def _mask(self, training: Training) -> Mask:
        """The mask that a training is under."""
        if training.ticket is not None:
            mask = unpack(self.tickets.get(training.ticket))
            if training.kind == "preserve_lpr":
                generator = seeds.generator(training.seed, "preserve_lpr", training.round)
                return prune.preserve_lpr(mask, generator)
            return mask
        network = rewind.to_initialization(self.setting.model, self.data, seed=training.seed)
        everything = dense(network)
        if training.round == 0:
            return everything
        fraction = self.setting.pruning.fraction
        generator = seeds.generator(training.seed, "global_random", training.round)
        num_alive = prune.num_alive_after(training.round, everything, fraction)
        return prune.global_random(everything, num_alive, generator)

    def _prune_kept_weights(self, chain: Chain) -> None:
        """Find a chain's first ticket in a dense network that was trained for another pruning."""
        weights = self.setting.store.dense_weights(chain.ids[0])
        tensors = {name: torch.from_numpy(weight) for name, weight in weights.items()}
        mask = self._mask(chain.trainings[0])
        found = prune.global_magnitude(tensors, mask, self.setting.pruning.fraction)
        self.tickets.put(chain.tickets[0], pack(found))

    def _keep(self, training: Training, evaluation: Evaluation) -> dict[str, Any]:
        """Store a finished training; its line of results.jsonl."""
        if training.round == 0:
            weights = prunable_weights(evaluation.model).items()
            arrays = {n: w.detach().cpu().contiguous().numpy() for n, w in weights}
            self.setting.store.put_dense_weights(training.id, arrays)
        result = training.described() | {
            "sparsity": evaluation.sparsity,
            "val_accuracy": evaluation.val_accuracy,
            "test_accuracy": evaluation.test_accuracy,
            "train_loss": evaluation.train_loss,
            "lpr": evaluation.lpr,
            "seconds": evaluation.seconds,
            "finished_at": time.time(),
            "commit": self.setting.commit,
        }
        self.setting.store.put_result(result)
        return result


FAILURES = (Diverged, OSError, DamagedTicket)
"""What another try would not mend."""


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
