"""Goals of the service: how busy it keeps the cores, what it adds to a trial, how it grows."""

# ruff: noqa: E402  Ray reads its settings when it is imported

import dataclasses
import functools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from measure import Row

from tune_app.run import ray_settings

ray_settings.apply()

import numpy as np
import psutil
import ray
import torch
from ray import tune
from torch import nn

import lt_core.chain
from lt_core import data, prune, rewind, seeds
from lt_core.config import Recipe
from lt_core.data import DataSet, Split
from lt_core.evaluation import Evaluation, evaluate
from lt_core.lpr import layerwise_pruning_ratios
from lt_core.mask import dense, num_alive, sparsity, unpack
from lt_core.movement import Movement
from lt_core.packed_mask import PackedMask
from tune_app import launch
from tune_app.plan.plan import make_plan
from tune_app.results.result import Result
from tune_app.run import tuner
from tune_app.run.events import Ended, Event, Finished
from tune_app.run.ray_session import ray_session
from tune_app.run.record import Record
from tune_app.store.store import Store
from tune_app.sweep.load import load_sweep
from tune_app.sweep.sweep import Sweep
from tune_app.trial import trainer
from tune_app.trial.ray_trial import TicketTrial
from tune_app.trial.ticket_store import TicketStore, start_holder

REPOSITORY = Path(__file__).parents[2]
LR_GRID = REPOSITORY / "sweeps" / "lr_grid.yaml"


@dataclass(frozen=True)
class Command:
    """A command that ended."""

    output: str
    seconds: float
    """Wall time."""

    megabytes: float
    """The most memory that it had resident; without that of processes it started."""


def run(command: Sequence[str | Path]) -> Command:
    """Run a Python command line in the repository.

    Raises:
        RuntimeError: when it fails, with what it said.
    """
    begin = time.monotonic()
    with tempfile.NamedTemporaryFile("r") as weight:
        done = subprocess.run(
            [sys.executable, "-c", WEIGH, weight.name, *map(str, command)],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{command}: exit code {done.returncode}: {done.stdout}")
        return Command(done.stdout, time.monotonic() - begin, int(weight.read()) / 1024)


WEIGH = """\
import resource, subprocess, sys
code = subprocess.run([sys.executable, *sys.argv[2:]]).returncode
open(sys.argv[1], "w").write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(code)
"""
"""A process between: Linux counts to a child what its parent had in memory as it was forked."""


def run_launch(*arguments: str | Path) -> Command:
    return run(["-m", "tune_app.launch", *arguments])


def read_results(run_dir: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run_dir / "results.jsonl").read_text().splitlines()]


# How busy the cores are


def busy_cores() -> Iterator[Row]:
    """The main sweep, as a user launches it."""
    with tempfile.TemporaryDirectory() as folder:
        finished = run_launch(LR_GRID, "--out", folder)
        results = read_results(Path(folder) / "lr_grid")
    training = sum(result["seconds"] for result in results)
    begin = min(result["finished_at"] - result["seconds"] for result in results)
    end = max(result["finished_at"] for result in results)
    cores = os.cpu_count()
    trials, command = (training / (cores * wall) for wall in (end - begin, finished.seconds))
    what = f"training / ({cores} cores x wall), {len(results)} trainings of lr_grid.yaml"
    yield Row(
        f"{what}, first trial to last",
        f"{trials:.2f} ({end - begin:.0f} s)",
        ">= 0.90",
        trials >= 0.90,
    )
    yield Row(
        f"{what}, the whole command",
        f"{command:.2f} ({finished.seconds:.0f} s)",
        ">= 0.80",
        command >= 0.80,
    )


# Against the same grid in Ray Tune alone

GRID_LRS = (0.02, 0.05, 0.1, 0.5)


def against_naive_tune() -> Iterator[Row]:
    """A 4x4 grid of one seed with both baselines: our command, and what a user would write."""
    values = f"{{values: {list(GRID_LRS)}}}"
    overrides = (
        *(f"find.parameters.lr={values}", f"eval.parameters.lr={values}", "seeds=[0]"),
        "baselines=[global_random, preserve_lpr]",
    )
    with tempfile.TemporaryDirectory() as folder:
        ours = run_launch(LR_GRID, *overrides, "--out", folder)
        num_ours = len(read_results(Path(folder) / "lr_grid"))
        naive = run([__file__, "naive", Path(folder) / "lr_grid" / "sweep.yaml"])
    num_naive = int(naive.output.split()[-1])
    faster = naive.seconds / ours.seconds
    yield Row(
        "4x4 LRs of lr_grid.yaml, one seed, both baselines: each grid point a plain Ray Tune trial "
        "/ our command",
        f"{faster:.2f} ({num_naive} trainings in {naive.seconds:.0f} s, {num_ours} in "
        f"{ours.seconds:.0f} s)",
        ">= 2",
        faster >= 2,
    )


def naive(path: Path) -> None:
    """The grid of a sweep file in Ray Tune, as one would write it without this program.

    It is spared what it could get wrong: masks are found once for all sparsities of a grid point,
    and no dense network is trained at H_eval.
    """
    sweep = load_sweep(path)
    ray.init(address="local", include_dashboard=False, log_to_driver=False)
    lrs = [recipe.lr for recipe in sweep.find_recipes]
    with tempfile.TemporaryDirectory() as folder:
        results = tune.Tuner(
            tune.with_parameters(_naive_trial, sweep=sweep),
            param_space={"find": tune.grid_search(lrs), "eval": tune.grid_search(lrs)},
            run_config=tune.RunConfig(storage_path=folder, verbose=0),
        ).fit()
        assert not results.errors, results.errors
        print(sum(result.metrics["num_trainings"] for result in results))
    ray.shutdown()


def _naive_trial(config: dict[str, float], sweep: Sweep) -> None:
    torch.set_num_threads(1)
    images = data.load(sweep.dataset)
    h_find = Recipe(**{**dict(sweep.train), "lr": config["find"]})
    h_eval = Recipe(**{**dict(sweep.train), "lr": config["eval"]})
    [seed] = sweep.seeds
    everything = dense(rewind.to_initialization(sweep.model, images, seed=seed))
    asked = sweep.eval_rounds[1:]
    metrics = {"num_trainings": asked[-1]}
    # The last training would find a mask that nobody asks for.
    for found in lt_core.chain.find(
        sweep.model, images, h_find, sweep.prune, rounds=asked[-1] - 1, seed=seed
    ):
        round = found.number + 1
        if round not in asked:
            continue
        ticket = found.next_mask
        masks = {
            "lottery": ticket,
            "preserve_lpr": prune.preserve_lpr(ticket, seeds.generator(seed, "lpr", round)),
            "global_random": prune.global_random(
                everything, num_alive(ticket), seeds.generator(seed, "random", round)
            ),
        }
        for kind, mask in masks.items():
            evaluation = evaluate(sweep.model, images, mask, h_eval, seed=seed)
            metrics[f"{kind}/{round}"] = evaluation.test_accuracy
            metrics["num_trainings"] += 1
    tune.report(metrics)


# What a trial costs the driver


class UntrainedTrial(TicketTrial):
    """All that a trial does, but without the steps of the training."""

    def setup(self, config: dict[str, Any], **given: Any) -> None:
        trainer.evaluating = lt_core.chain.evaluating = _without_training
        super().setup(config, **given)


def _without_training(model, data, mask, recipe, *, seed, **_) -> Generator[None, None, Evaluation]:
    yield None
    network = rewind.to_initialization(model, data, seed=seed)
    canned = dict.fromkeys((field.name for field in dataclasses.fields(Evaluation)), 0.5)
    measured = {"sparsity": sparsity(mask), "lpr": layerwise_pruning_ratios(mask)}
    others = {
        "model": network,
        "precision": "fp32",
        "movement": Movement(0.5, 0.5),
        "not_deterministic": frozenset(),
        "not_captured": "",
    }
    return Evaluation(**canned | measured | others)


HUNDRED_TRIALS = """\
name: trials
model: small_resnet
dataset: digits
seeds: {seeds}
train: {{lr: 0.1, batch_size: 64, duration: 1it}}
prune: {{rounds: 3}}
find: {{parameters: {{lr: {{values: [0.1, 0.2, 0.3, 0.4]}}}}}}
eval: {{parameters: {{lr: {{values: [0.1, 0.2, 0.3, 0.4]}}}}}}
baselines: [global_random, preserve_lpr]
"""
"""For each seed 4 chains, 36 decoupled tickets, 12 global random and 48 preserve LPR."""


def driver_per_trial() -> Iterator[Row]:
    """The real command with trials that take no time, MLflow and figures included."""
    for num_trials in (100, 1_000, 10_000):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "trials.yaml"
            path.write_text(HUNDRED_TRIALS.format(seeds=list(range(num_trials // 100))))
            finished = run([__file__, "untrained", path, "--out", folder])
        measured = json.loads(finished.output.splitlines()[-1])
        assert measured["num_trials"] == num_trials
        milliseconds, driver = (
            1000 * measured[of] / num_trials for of in ("seconds", "driver_seconds")
        )
        yield Row(
            f"a trial without training, of {num_trials:,}: from the first to the last on "
            f"{os.cpu_count()} cores",
            f"{milliseconds:.0f} ms, of which {driver:.0f} ms CPU time of the driver",
            "<= 50 ms, flat",
            milliseconds <= 50,
        )
    yield Row(
        f"memory of the launching process at {num_trials:,} trials, at most",
        f"{finished.megabytes:.0f} MB",
        "< 2000 MB",
        finished.megabytes < 2000,
    )


def two_layers(channels: int, classes: int, image_size: tuple[int, int]) -> nn.Module:
    """A network of this module that is built in no time."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, classes))


def driver_growth() -> Iterator[Row]:
    """A hundred thousand trials that take no time: half an hour and more on two cores."""
    milliseconds = []
    for num_trials in (1_000, 100_000):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "trials.yaml"
            text = HUNDRED_TRIALS.replace("small_resnet", "service:two_layers")
            path.write_text(text.format(seeds=list(range(num_trials // 100))))
            finished = run([__file__, "untrained", path, "--out", folder])
        measured = json.loads(finished.output.splitlines()[-1])
        assert measured["num_trials"] == num_trials
        milliseconds.append(1000 * measured["seconds"] / num_trials)
    few, many = milliseconds
    yield Row(
        f"memory of the launching process at {num_trials:,} trials, at most",
        f"{finished.megabytes:.0f} MB",
        "< 3000 MB",
        finished.megabytes < 3000,
    )
    yield Row(
        "time of each of 100,000 trials against that of each of 1,000",
        f"{many / few:.2f} ({many:.0f} and {few:.0f} ms)",
        "<= 1.10",
        many / few <= 1.10,
    )


def untrained(arguments: Sequence[str]) -> None:
    """Launch with `UntrainedTrial`; the last line says how long it took, first trial to last."""
    ends = []
    listen = Record.on_event

    def note_the_end(record: Record, event: Event) -> None:
        if isinstance(event, Ended):
            ends.append((time.monotonic(), time.process_time()))
        listen(record, event)

    Record.on_event = note_the_end
    tuner.TicketTrial = UntrainedTrial
    assert launch.main(arguments) == 0
    seconds, driver_seconds = (last - first for first, last in zip(ends[0], ends[-1], strict=True))
    measured = {"seconds": seconds, "driver_seconds": driver_seconds, "num_trials": len(ends)}
    print(json.dumps(measured))


# Large sweeps


LARGE = """\
name: large
model: small_resnet
dataset: digits
seeds: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
train: {lr: 0.1, batch_size: 64, duration: 16ep}
prune: {rounds: 33}
find: {parameters: {lr: {values: [0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.2, 0.3, 0.4, 0.5]}}}
eval: {parameters: {lr: {values: [0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.2, 0.3, 0.4, 0.5]}}}
baselines: [global_random, preserve_lpr, reinit]
"""


def large_sweep() -> Iterator[Row]:
    """The real command on a sweep of 100,000 trainings that are all done."""
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder) / "large.yaml", Path(folder) / "runs"
        path.write_text(LARGE)
        num_trainings = _make_results(load_sweep(path), Store(str(out / "_store")))
        planned = run_launch(path, "--out", out, "--dry-run")
        first = run_launch(path, "--out", out)
        second = run_launch(path, "--out", out)
        assert len(read_results(out / "large")) == num_trainings
    what = f"{num_trainings:,} trainings, all stored"
    is_met = planned.seconds < 5 and planned.megabytes < 500
    yield Row(f"plan of {what} (--dry-run)", _costs(planned), "< 5 s, < 500 MB", is_met)
    yield Row(f"launch of {what}, none logged in MLflow yet", _costs(first), "")
    yield Row(f"launch of {what}, again", _costs(second), "< 15 s", second.seconds < 15)


def _costs(finished: Command) -> str:
    return f"{finished.seconds:.1f} s, {finished.megabytes:.0f} MB"


def _make_results(sweep: Sweep, store: Store) -> int:
    """Store a result for every training of a sweep, and something for every ticket."""
    plan = make_plan(sweep)
    network = rewind.to_initialization(sweep.model, data.load(sweep.dataset), seed=0)
    layers = list(dense(network))
    store.create()
    with mock.patch("os.fsync"):  # the power may fail here
        for i, training in enumerate(plan.trainings.values()):
            pruned = sweep.prune.sparsity(training.round)
            accuracy = 0.9 * (1 - pruned**9) + 0.001 * (i % 7)
            result = Result(
                id=training.id,
                kind=training.kind,
                find=training.find,
                lpr_find=training.lpr_find,
                eval=training.eval,
                seed=training.seed,
                round=training.round,
                sparsity=pruned,
                val_accuracy=accuracy,
                test_accuracy=accuracy,
                train_loss=0.1,
                lpr=dict.fromkeys(layers, pruned),
                precision="fp32",
                seconds=1.0,
                finished_at=1_760_000_000.0 + i,
            )
            store.put_result(result.id, result.to_line())
        for ticket in plan.chain_of_ticket:
            store.put_ticket(ticket, b"")
    return len(plan.trainings)


# What a node holds


def load_images(data_dir: Path) -> DataSet:
    """A data set of this module, by import path: `NUM_IMAGES` of it to train on."""
    train, rest = (_noise(num_images) for num_images in (int(os.environ["NUM_IMAGES"]), 100))
    return DataSet("noise", train, rest, rest, classes=10)


def _noise(num_images: int) -> Split:
    images = np.random.default_rng(0).integers(256, size=(num_images, 3, 64, 64), dtype=np.uint8)
    return Split(images, np.arange(num_images, dtype=np.int64) % 10)


EIGHT_CHAINS = """\
name: images
model: resnet20
dataset: service:load_images
seeds: [0, 1, 2, 3, 4, 5, 6, 7]
train: {lr: 0.1, batch_size: 4, duration: 20it}
prune: {rounds: 3}
"""
"""Small batches, so that what is measured is not what a step has in memory; and rounds enough that
all eight train at the same time."""


def data_set_on_a_node() -> Iterator[Row]:
    """Eight trials at a time on a data set as large as Tiny ImageNet, and on a hundredth of it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "images.yaml"
        path.write_text(EIGHT_CHAINS)
        large, small = (
            _weigh(path, Path(folder) / str(num_images), num_images)
            for num_images in (100_000, 1_000)
        )
    size = 99_000 * 3 * 64 * 64
    more = max(large["trials"]) - max(small["trials"])
    copies = (large["node"] - small["node"]) / size
    megabytes = (round(max(of["trials"]) / 1e6) for of in (large, small))
    what = f"8 trials at a time, 100,000 images of 3x64x64 against 1,000 ({size / 1e9:.1f} GB more)"
    yield Row(
        f"{what}: private memory of a trial, the largest of 8",
        f"{more / 1e6:.0f} MB more ({' and '.join(map(str, megabytes))} MB)",
        "<= 50 MB more",
        more <= 50e6,
    )
    yield Row(
        f"{what}: copies on the node",
        f"{copies:.1f}",
        "1",
        copies < 1.5,
    )


def _weigh(path: Path, out: Path, num_images: int) -> dict[str, Any]:
    with mock.patch.dict(os.environ, NUM_IMAGES=str(num_images)):
        finished = run([__file__, "weighed", path, "--out", out])
    return json.loads(finished.output.splitlines()[-1])


def weighed(arguments: Sequence[str]) -> None:
    """Launch on eight cores; the last line says what was in memory while all trials trained.

    Bytes: of each trial what it has to itself, and of all processes, shared memory counted once.
    """
    measured, trained = {}, set()
    listen = Record.on_event

    def weigh_at_the_end(record: Record, event: Event) -> None:
        if isinstance(event, Finished):
            trained.add(event.result.seed)
        if len(trained) == 8 and not measured:
            here = psutil.Process()
            memory = {p: p.memory_full_info() for p in (here, *here.children(recursive=True))}
            trials = [p for p in memory if "TicketTrial" in p.cmdline()[0]]
            measured["trials"] = [memory[trial].uss for trial in trials]
            measured["node"] = sum(of.pss for of in memory.values())
        listen(record, event)

    Record.on_event = weigh_at_the_end
    ray.init = functools.partial(ray.init, num_cpus=8)
    assert launch.main(arguments) == 0
    assert len(measured["trials"]) == 8, measured
    print(json.dumps(measured))


# Masks


def mask_to_a_trial() -> Iterator[Row]:
    """Masks as large as ResNet-50's, each read for the first time by a worker of Ray's."""
    shapes = {f"layer{i}": (1_000, 1_000) for i in range(25)}
    bits = np.random.default_rng(0).integers(256, size=25_000_000 // 8, dtype=np.uint8)
    ids = [f"{i:02}" for i in range(20)]
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        store.create()
        with ray_session({}, print):
            holder = start_holder(store.place)
            tickets = TicketStore(store)
            for id in ids:
                tickets.put(id, PackedMask(shapes, bits))
            seconds = ray.get(_read_masks.remote(store, ids))
            ray.kill(holder)
    median = 1000 * statistics.median(seconds)
    yield Row(
        "a mask of 25,000,000 weights, from the object store to bool tensors in a worker of the "
        "node",
        f"{median:.0f} ms (median of {len(ids)} masks, at most {1000 * max(seconds):.0f} ms)",
        "< 50 ms",
        median < 50,
    )


@ray.remote
def _read_masks(store: Store, ids: Sequence[str]) -> list[float]:
    tickets = TicketStore(store)
    seconds = []
    for id in ids:
        begin = time.perf_counter()
        unpack(tickets.get(id))
        seconds.append(time.perf_counter() - begin)
    assert tickets.num_from_disk == 0
    return seconds


BENCHMARKS = [
    busy_cores,
    against_naive_tune,
    driver_per_trial,
    driver_growth,
    large_sweep,
    data_set_on_a_node,
    mask_to_a_trial,
]

if __name__ == "__main__":  # what some benchmarks run in a process of its own
    match sys.argv[1:]:
        case ["naive", path]:
            naive(Path(path))
        case ["untrained", *arguments]:
            untrained(arguments)
        case ["weighed", *arguments]:
            weighed(arguments)
