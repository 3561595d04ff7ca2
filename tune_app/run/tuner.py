"""Runs what is left of a plan as Ray Tune trials. The only file that builds a Tuner."""

import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import ray
from ray import tune
from ray.exceptions import OutOfMemoryError

from lt_core.data import DataSet
from tune_app.plan.trainings import Chain, Training
from tune_app.results.result import Result
from tune_app.run.cluster import Watch, connect, has_idle_gpu
from tune_app.run.stopping import was_stopped
from tune_app.run.trial_queue import PlanSearch, StartAll
from tune_app.store.store import Store, StoreError
from tune_app.sweep.spec import Resources, Sweep
from tune_app.sweep.yaml_source import SpecError
from tune_app.trial.ray_trial import Setting, TicketTrial
from tune_app.trial.ticket_store import start_holder
from tune_app.words import plural

_QUIET = {"log_to_driver": False, "logging_level": logging.ERROR}


class ClusterError(Exception):
    """The cluster cannot go on; says what to change."""


class Listener(Protocol):
    """Hears what the trials report, in the driver's thread."""

    def started(self, work: Chain | Training) -> None: ...

    def finished(self, result: Result, masks_from_disk: int) -> None:
        """A training is stored; so many masks for it were not in the object store."""

    def failed(self, work: Chain | Training, training: str | None, reason: str) -> None:
        """A trial failed for good, at the training with that id if it could say."""

    def tried_again(self, work: Chain | Training, reason: str) -> None:
        """A trial failed, and is handed out once more."""

    def stopped(self, work: Chain | Training, time: int, val_accuracy: float) -> None:
        """A trial was given up after so many epochs, or a chain at that round."""

    def noted(self, note: str) -> None:
        """Something that the user is to be told."""

    def ended(self, work: Chain | Training) -> None: ...


@contextmanager
def ray_cluster(
    resources: Mapping[str, Resources], say: Callable[[str], None]
) -> Iterator[int | None]:
    """Connect to RAY_ADDRESS, or start Ray on this machine.

    Args:
        resources: of trials, by the key that says so.
        say: told of the nodes of a cluster.

    Yields:
        The number of this machine's cores; None for a cluster, where it may change.

    Raises:
        SpecError: when no cluster answers, or this machine cannot hold a trial.
    """
    address = os.environ.get("RAY_ADDRESS")
    if address is None:
        ray.init(address="local", include_dashboard=False, **_QUIET)
    else:
        say(f"cluster: {connect(address, **_QUIET)}")
    for name in ("ray.tune", "ray.train", "ray.air"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        if address is not None:
            with Watch(resources.values(), say):
                yield None
            return
        has = ray.cluster_resources()
        cpus, gpus = int(has.get("CPU", 0)), has.get("GPU", 0)
        problems = [
            f"`{key}` asks for {_words(asked)}, this machine has {cpus} and {gpus:g}"
            for key, asked in resources.items()
            if asked.cpu > cpus or asked.gpu > gpus
        ]
        if problems:
            raise SpecError(problems)
        yield cpus
    finally:
        ray.shutdown()


def _words(resources: Resources) -> str:
    """`1 CPU and 0.5 GPUs`."""
    cpus = "1 CPU" if resources.cpu == 1 else f"{resources.cpu} CPUs"
    return f"{cpus} and {plural(resources.gpu, 'GPU')}"


def num_slots(resources: Resources) -> int:
    """How many trials fit the cluster as it is now; 1 where it has no node for one yet."""
    has = ray.cluster_resources()
    fit = has.get("CPU", 0) // resources.cpu
    if resources.gpu:
        fit = min(fit, has.get("GPU", 0) // resources.gpu)
    return max(1, int(fit))


def share(data: list[DataSet]) -> ray.ObjectRef:
    """Put a data set where every node maps it; taken out of the list, so that only Ray has it."""
    return ray.put(data.pop())


def run_trials(
    sweep: Sweep,
    search: PlanSearch,
    store: Store,
    data: ray.ObjectRef,
    commit: str | None,
    scratch: Path,
    listener: Listener,
    scheduler: StartAll,
) -> None:
    """Run the trials that `search` hands out until each has finished or failed for good.

    Args:
        sweep: where they come from.
        search: what to run.
        store: where the trials keep what they make.
        data: the DataSet that they train on.
        commit: of this program, for the results.
        scratch: a directory for Tune's own files, which are of no use afterwards.
        listener: told of everything.
        scheduler: what stops trials early, if it does.

    Raises:
        StoreError: when the store refuses to work, and so not all were tried.
        ClusterError: when the cluster does.
    """
    start_holder(store.place)
    setting = Setting(
        sweep.model, sweep.prune, sweep.rewind, sweep.checkpoint_every, store, data, commit
    )
    find, eval_ = _request(sweep.find_resources), _request(sweep.eval_resources)
    trainable = tune.with_resources(
        tune.with_parameters(TicketTrial, setting=setting),
        lambda config: find if isinstance(config["work"], Chain) else eval_,
    )
    trainable.__name__ = trainable.__qualname__ = TicketTrial.__name__  # in Ray's tools and ps
    search.holds_evaluations = _holds_evaluations(sweep.find_resources, sweep.eval_resources)
    tuner = tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=search,
            scheduler=scheduler,
            num_samples=-1,
            reuse_actors=True,
            trial_name_creator=_trial_name,
            trial_dirname_creator=_trial_name,
        ),
        run_config=tune.RunConfig(
            name="trials",
            storage_path=str(scratch.absolute()),
            verbose=0,
            callbacks=[_Callback(search, listener)],
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    )
    try:
        tuner.fit()
    except RuntimeError as error:
        if isinstance(error.__cause__, OutOfMemoryError):
            raise ClusterError(
                "Ray killed workers to save memory, which Tune does not survive: start the nodes "
                "of the cluster with RAY_memory_monitor_refresh_ms=0"
            ) from None
        raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if search.stopped_by:
        raise StoreError(search.stopped_by)


def _request(resources: Resources) -> tune.PlacementGroupFactory:
    return tune.PlacementGroupFactory([{"CPU": resources.cpu, "GPU": resources.gpu}])


def _holds_evaluations(find: Resources, eval_: Resources) -> Callable[[], bool] | None:
    """What `PlanSearch.holds_evaluations` is to be."""
    if find == eval_:
        return None
    if find.gpu and not eval_.gpu:
        # They are only in the way where they have taken all cores of a node with a GPU.
        return lambda: has_idle_gpu(find.gpu)
    return lambda: True


def forget_tickets(store: Store) -> None:
    """Take the masks of a store out of Ray's object store."""
    ray.kill(start_holder(store.place))


def _trial_name(trial: Any) -> str:
    return trial.trial_id


class _Callback(tune.Callback):
    """Hands on what Tune says, without Tune's types."""

    def __init__(self, search: PlanSearch, listener: Listener) -> None:
        self.search = search
        self.listener = listener

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles its callbacks, to restore runs in a way that is not used here

    def on_trial_start(self, iteration, trials, trial, **info) -> None:
        self.search.started(trial.trial_id)
        self.listener.started(trial.config["work"])

    def on_trial_result(self, iteration, trials, trial, result, **info) -> None:
        if "result" in result:
            self.listener.finished(Result.from_line(result["result"]), result["masks_from_disk"])
        if "failed" in result:
            self.listener.failed(trial.config["work"], result["failed"], result["reason"])
        for note in result["notes"]:
            self.listener.noted(note)

    def on_trial_complete(self, iteration, trials, trial, **info) -> None:
        last = trial.last_result
        if was_stopped(last):
            time, val_accuracy = (last[name] for name in ("time", "val_accuracy"))
            self.listener.stopped(trial.config["work"], time, val_accuracy)
        self.listener.ended(trial.config["work"])

    def on_trial_error(self, iteration, trials, trial, **info) -> None:
        # Not trial.get_error(), which looks where the file comes to lie later.
        work, reason = trial.config["work"], Path(trial.error_file).read_text()
        if self.search.gives_up(work):
            self.listener.failed(work, None, reason)
        else:
            self.listener.tried_again(work, reason)
        self.listener.ended(work)
