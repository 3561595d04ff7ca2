"""The Ray Tune trainable: the trials of one actor, one after the other."""

import contextlib
from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import ray
import torch
from ray import tune

from lt_core.data import DataSet
from lt_core.import_path import told
from tune_app.plan.trainings import Chain
from tune_app.store.store import StoreError
from tune_app.trial.pack import Pack
from tune_app.trial.printed import Printed
from tune_app.trial.proof import Proof, UnfitNode
from tune_app.trial.report import Order, Report
from tune_app.trial.store_keys import take_up
from tune_app.trial.ticket_store import TicketStore
from tune_app.trial.worker import Setting, Worker


def _prove(proof: Proof) -> None:
    """Raise UnfitNode where this machine lacks what the launch has, or cannot tell."""
    try:
        why = "; ".join(proof.lacks())
    except Exception as error:  # its packages may be anything
        why = f"its code cannot prove it ({type(error).__name__}: {' '.join(str(error).split())})"
    if why:
        raise UnfitNode(f"{ray.get_runtime_context().get_node_id()}: {why}")


class TicketTrial(tune.Trainable):
    """Chains, reporting after each round, or evaluations; its config has the `orders`.

    One class for both, since Tune reuses an actor for any trial of equal resources: a fresh one
    costs more than a short training.
    """

    def setup(  # type: ignore[override]  # tune.with_parameters adds the other four
        self,
        config: dict[str, Any],
        setting: Setting,
        data: DataSet,
        keys: Mapping[str, str],
        proof: Proof | None = None,
    ) -> None:
        """Take up the first trial.

        Args:
            config: of the trial.
            setting: what all trials of the sweep have in common.
            data: to train on; its arrays are mapped from the one copy on each node.
            keys: of the launch to the store, by the names of their variables; for a node that has
                none of its own.
            proof: of what the node is to have; None on the launch's own machine.

        Raises:
            UnfitNode: when it has not.
        """
        take_up(keys)
        if proof is not None:
            _prove(proof)
        resources = self.trial_resources
        assert resources is not None  # Tune sets it before
        torch.set_num_threads(max(1, int(resources.required_resources["CPU"])))
        self.setting = setting
        self.data = data
        self.tickets = TicketStore(setting.store)
        self.printed = Printed()
        self.from_disk = 0  # of the masks that came from disk, those told of with a result
        self._take(config["orders"])

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._leave()
        self._take(new_config["orders"])
        return True

    def _take(self, orders: Sequence[Order]) -> None:
        """Take orders; nothing is begun, since Tune may give their trial another actor."""
        self.orders = orders
        self.printed.clear()
        self.pack: Pack | None = None
        self.is_halfway = False

    def _begin(self, order: Order) -> Generator[Report | None, None, None]:
        # What Ray assigned, not what torch can see: Ray leaves all GPUs visible to CPU trials.
        device = "cuda" if ray.get_gpu_ids() else "cpu"
        worker = Worker(self.setting, self.data, self.tickets, device)
        if isinstance(order.work, Chain):
            return worker.find_probed(order.work, order.needed, order.probes)
        return worker.evaluate(order.work, order.watched)

    def step(self) -> dict[str, Any]:
        if self.pack is None:
            self.pack = Pack(map(self._begin, self.orders))
        self.is_halfway = False  # nor is what fails: it is tried again, from its checkpoint
        try:
            report = self.pack.next()
        except Exception as error:
            # Below the traceback: what a user's own code printed, and in the last line where in it.
            error.add_note(self.printed.text())
            error.add_note(told(error))
            raise
        self.is_halfway = report.standing is not None
        if report.result is not None:
            from_disk = self.tickets.num_from_disk - self.from_disk
            self.from_disk += from_disk
            report = replace(report, masks_from_disk=from_disk)
        notes, self.setting.store.notes = self.setting.store.notes, []
        # As one object: Tune keeps statistics of each number that it sees, 100 kB a trial.
        return {"report": replace(report, notes=tuple(notes)), "done": self.pack.is_done}

    def cleanup(self) -> None:
        self._leave()

    def _leave(self) -> None:
        """Give up what was stopped: nothing goes on with it."""
        if self.pack is not None:
            self.pack.close()
        if self.is_halfway:
            # A checkpoint that stays does no harm.
            with contextlib.suppress(StoreError):
                for id in self.orders[0].work.ids:
                    self.setting.store.drop_checkpoint(id)

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: what is done is in the store, and a trial that starts again looks there."""

    def load_checkpoint(self, checkpoint: Any) -> None: ...
