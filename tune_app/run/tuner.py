"""Runs trials with Ray Tune. The only file that builds a Tuner."""

import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.exceptions import OutOfMemoryError, RayError
from ray.tune.execution import class_cache
from ray.tune.experiment import Trial

from lt_core.data import DataSet
from tune_app.plan.trainings import Chain
from tune_app.run.cluster import has_idle_gpu
from tune_app.run.crashes import in_a_line, is_loss, refused_by
from tune_app.run.events import (
    Ended,
    Failed,
    Finished,
    Listener,
    Retried,
    Said,
    Started,
    Stopped,
)
from tune_app.run.proven_nodes import ProvenNodes
from tune_app.run.ray_session import ClusterError
from tune_app.run.share import Share
from tune_app.run.trial_queue import StartAll, TrialQueue
from tune_app.run.waiting import Waiting
from tune_app.sweep.resources import Resources
from tune_app.sweep.sweep import Sweep
from tune_app.trial.ray_trial import TicketTrial
from tune_app.trial.report import Report
from tune_app.trial.store_keys import KEYS, keys_here
from tune_app.trial.worker import Setting

# Tune would copy them into each trial's runtime environment.
class_cache.ENV_VARS_TO_PROPAGATE.difference_update(KEYS)


@dataclass(frozen=True)
class Trials:
    """What the trials of one Tuner after another have in common."""

    sweep: Sweep
    setting: Setting
    data: ray.ObjectRef[DataSet]
    """To the DataSet that they train on."""

    scheduler: StartAll
    """Stops trials early, if it does."""

    scratch: Path
    """A directory for Tune's own files, which are of no use afterwards."""

    nodes: ProvenNodes | None = None
    """Those of a cluster that may train; None on this machine alone."""

    share: Share | None = None
    """Of a cluster; likewise."""

    def run(self, queue: TrialQueue, tell: Listener) -> None:
        """Run what `queue` hands out until it has finished or failed for good.

        Raises:
            ClusterError: when the cluster gives up.
        """
        queue.num_handed_out = 0
        try:
            self._tuner(queue, tell).fit()
        except RuntimeError as error:
            if isinstance(error.__cause__, OutOfMemoryError):
                raise ClusterError(
                    "Ray killed workers to save memory, which Tune does not survive: start the "
                    "nodes of the cluster with RAY_memory_monitor_refresh_ms=0"
                ) from None
            raise
        finally:
            shutil.rmtree(self.scratch, ignore_errors=True)

    def _tuner(self, queue: TrialQueue, tell: Listener) -> tune.Tuner:
        find, eval_ = self.sweep.find_resources, self.sweep.eval_resources
        trainable = tune.with_resources(
            tune.with_parameters(
                TicketTrial,
                setting=self.setting,
                data=self.data,
                keys=keys_here(),
                proof=None if self.nodes is None else self.nodes.proof,
            ),
            lambda config: _request(
                find if isinstance(config["orders"][0].work, Chain) else eval_, config["avoided"]
            ),
        )
        trainable.__name__ = trainable.__qualname__ = TicketTrial.__name__  # in Ray's tools and ps
        return tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                search_alg=queue,
                scheduler=self.scheduler,
                num_samples=-1,
                reuse_actors=True,
                trial_name_creator=_trial_name,
                trial_dirname_creator=_trial_name,
            ),
            run_config=tune.RunConfig(
                name="trials",
                storage_path=str(self.scratch.absolute()),
                verbose=0,
                callbacks=[_Callback(queue, tell, self.nodes, self.share)],
                stop=_Stop(queue, self.nodes),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        )


def _request(resources: Resources, avoided: tuple[str, ...]) -> tune.PlacementGroupFactory:
    bundles = [{"CPU": resources.cpu, "GPU": resources.gpu}]
    if not avoided:
        return tune.PlacementGroupFactory(bundles)
    others = {"ray.io/node-id": f"!in({','.join(avoided)})"}
    return tune.PlacementGroupFactory(bundles, bundle_label_selector=[others])


def holds_evaluations(sweep: Sweep) -> Callable[[], bool] | None:
    """`TrialQueue`'s argument for the resources of a sweep."""
    find, eval_ = sweep.find_resources, sweep.eval_resources
    if (find.cpu, find.gpu) == (eval_.cpu, eval_.gpu):
        return None
    if find.gpu and not eval_.gpu:
        # They are only in the way where they have taken all cores of a node with a GPU.
        return lambda: has_idle_gpu(find.gpu)
    return lambda: True


class _Stop(tune.Stopper):
    """Ends all trials at once where none of them can come to a result."""

    def __init__(self, queue: TrialQueue, nodes: ProvenNodes | None) -> None:
        self.queue = queue
        self.nodes = nodes

    def __getstate__(self) -> dict[str, Any]:
        return {}  # as of the callback

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        if not self.queue.stopped_by and self.nodes is not None:
            self.queue.stopped_by = self.nodes.none_left_by_now()
        return bool(self.queue.stopped_by)


def _trial_name(trial: Trial) -> str:
    return trial.trial_id


class _Callback(tune.Callback):
    """Tells what Tune says as events, without Tune's types."""

    def __init__(
        self,
        queue: TrialQueue,
        tell: Listener,
        nodes: ProvenNodes | None,
        share: Share | None,
    ) -> None:
        self.queue = queue
        self.tell = tell
        self.nodes = nodes
        self.share = share
        self.said: set[str] = set()
        """The notes of trials, since each worker tells the same of the network."""

        self.waiting = Waiting(tell)

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles its callbacks, to restore runs in a way that is not used here

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        num_running, num_handed_out = len(self.waiting.running), len(self.queue.running)
        if self.nodes is not None:
            with suppress(RayError):  # the head is away
                self.nodes.look()
        if self.share is not None:
            self.waiting.look(num_handed_out)
            with suppress(RayError):  # the head is away
                self.share.look(num_running, num_handed_out - num_running)

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        self.queue.started(trial.trial_id)
        self.waiting.started(trial.trial_id)
        for order in trial.config["orders"]:
            self.tell(Started(order.work))

    def on_trial_result(
        self,
        iteration: int,
        trials: list[Trial],
        trial: Trial,
        result: dict[str, Any],
        **info: Any,
    ) -> None:
        report: Report = result["report"]
        if report.result is not None:
            self.tell(Finished(report.result, report.masks_from_disk))
        if report.failure is not None:
            failure = report.failure
            work = trial.config["orders"][report.of].work
            self.tell(Failed(work, failure.kind, failure.reason, failure.training))
        for note in report.notes:
            if note not in self.said:
                self.said.add(note)
                self.tell(Said(note))

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        self.waiting.ended(trial.trial_id)
        report: Report | None = (trial.last_result or {}).get("report")
        works = [order.work for order in trial.config["orders"]]
        is_over = bool(self.queue.stopped_by)  # then no scheduler gave it up
        if report is not None and report.standing is not None and not is_over:
            self.tell(Stopped(works[0], report.standing.time, report.standing.val_accuracy))
        for work in works:
            self.tell(Ended(work))

    def on_trial_error(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        self.waiting.ended(trial.trial_id)
        # Not trial.get_error(), which looks where the file comes to lie later.
        traceback = Path(trial.error_file).read_text()
        reason = in_a_line(traceback)
        refusal = refused_by(traceback)
        if refusal is not None and self.nodes is not None:
            self.nodes.refuse(*refusal)
        unfinished = self.queue.unfinished(trial.trial_id)
        for order in trial.config["orders"]:
            work = order.work
            if work in unfinished:
                if refusal is not None:
                    self.queue.put_back(work)
                elif self.queue.try_again(work, None if is_loss(traceback) else reason):
                    self.tell(Retried(work, reason))
                else:
                    self.tell(Failed(work, "crashed", reason, traceback=traceback))
            self.tell(Ended(work))
