"""A few optimization steps on this machine: what trainings take that no store has the like of."""

import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import ParamSpec, TypeVar

import torch
from torch import nn

from lt_core import data as data_sets
from lt_core import rewind
from lt_core.chain import prune_trained
from lt_core.config import Pruning, Recipe
from lt_core.data import DataSet, Split
from lt_core.data.batches import Batches
from lt_core.evaluation import evaluate
from lt_core.mask import dense
from lt_core.training_loop import EVALUATION_BATCH, accuracy
from tune_app.run.estimate import Pace, Workload
from tune_app.sweep.sweep import Sweep

P = ParamSpec("P")
T = TypeVar("T")

ENOUGH_S = 0.5
"""How long the longest run of steps takes; a single step may take longer."""


def seconds(
    sweep: Sweep, workloads: Iterable[Workload], data: DataSet | None
) -> tuple[Mapping[Workload, float], int]:
    """Seconds of trainings, and the number of steps that were taken to tell.

    Args:
        sweep: its network is trained.
        workloads: of the trainings.
        data: the sweep's data set; None loads it.

    Raises:
        ValueError: when data, network or recipe do not go together, or a trial needs a GPU and
            there is none.
    """
    loaded = data_sets.load(sweep.dataset, sweep.data_dir) if data is None else data
    taken: dict[Pace, tuple[float, float, int]] = {}
    found: dict[Workload, float] = {}
    for workload in workloads:
        num_steps = _num_steps(workload, len(loaded.train))
        if workload.pace not in taken:
            taken[workload.pace] = _measured(sweep, workload.pace, loaded)
        fixed, step, _ = taken[workload.pace]
        found[workload] = workload.times * (fixed + step * num_steps)
    return found, sum(steps for _, _, steps in taken.values())


def _num_steps(workload: Workload, num_images: int) -> int:
    per_epoch = num_images // workload.pace.batch_size
    if per_epoch == 0:
        raise ValueError(
            f"batch_size must be at most the {num_images:,} training images, "
            f"got {workload.pace.batch_size:,}"
        )
    return workload.end.iterations(per_epoch) - workload.begin.iterations(per_epoch)


def _measured(sweep: Sweep, pace: Pace, data: DataSet) -> tuple[float, float, int]:
    """Seconds of a training without its steps, seconds of a step, and the most steps in a row."""
    cores = os.cpu_count() or 1
    if pace.cpu > cores:
        raise ValueError(f"a trial has {pace.cpu:,} cores, and this machine has {cores}")
    if pace.gpu and not torch.cuda.is_available():
        raise ValueError("a trial has a GPU, and this machine has none")
    device, threads = "cuda" if pace.gpu else "cpu", torch.get_num_threads()
    torch.set_num_threads(pace.cpu)
    try:
        train = _training(sweep, pace, data, device)
        (first, network), steps = _timed(device, train, 1), 2
        if pace.gpu or first < 10 * ENOUGH_S:  # which also loaded what the others find
            first, _ = _timed(device, train, 1)
        while (last := _timed(device, train, steps)[0]) < ENOUGH_S:
            steps *= 2
        step = max(0.0, last - first) / (steps - 1)
        fixed = max(0.0, first - step) + _evaluation_seconds(network, data, device)
    finally:
        torch.set_num_threads(threads)
    return fixed, step, steps


def _timed(device: str, do: Callable[P, T], *given: P.args, **named: P.kwargs) -> tuple[float, T]:
    """The seconds that a call takes of a core or a GPU, and what it returns."""
    wall, own = time.perf_counter(), time.process_time()
    returned = do(*given, **named)
    wall, own = time.perf_counter() - wall, time.process_time() - own
    # Other programs may have the core meanwhile: what this one has of it is what trials take.
    return min(wall, own) if device == "cpu" else wall, returned


def _training(sweep: Sweep, pace: Pace, data: DataSet, device: str) -> Callable[[int], nn.Module]:
    """A training of so many steps, as trials train, but evaluated on one image; its network."""
    one = [Split(split.images[:1], split.labels[:1]) for split in (data.validation, data.test)]
    hardly_evaluated = replace(data, validation=one[0], test=one[1])
    if data.is_normalized:
        vars(hardly_evaluated)["mean_and_std"] = data.mean_and_std  # where cached_property keeps it
    network = rewind.to_initialization(sweep.model, data, seed=0)
    mask, pruning = dense(network, sweep.prune.skip), Pruning()
    if pace.filters_pruned:
        pruning = sweep.prune.model_copy(update={"fraction": pace.filters_pruned})
        mask = prune_trained(network, data, mask, pruning)

    def train(steps: int) -> nn.Module:
        recipe = Recipe(
            lr=1e-4,  # which diverges nowhere
            batch_size=pace.batch_size,
            micro_batch=sweep.train.micro_batch,
            optimizer=sweep.train.optimizer,
            weight_decay=sweep.train.weight_decay,
            momentum=sweep.train.momentum,
            clip_norm=sweep.train.clip_norm,
            label_smoothing=sweep.train.label_smoothing,
            ema=sweep.train.ema,
            duration=f"{steps}it",
            precision=pace.precision,
        )
        return evaluate(
            sweep.model, hardly_evaluated, mask, recipe, seed=0, pruning=pruning, device=device
        ).model

    return train


def _evaluation_seconds(network: nn.Module, data: DataSet, device: str) -> float:
    """Of the passes over validation and test images."""
    images, labels = data.test.images[:EVALUATION_BATCH], data.test.labels[:EVALUATION_BATCH]
    batches = Batches(data, Split(images, labels), device)
    for _ in range(2):  # the first one also finds memory for a batch of another size
        taken, _ = _timed(device, accuracy, network, batches)
    return taken * (len(data.validation) + len(data.test)) / len(batches)
