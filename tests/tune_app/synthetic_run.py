"""Results of a sweep by formula, as a finished run would have written them."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lt_core.config import Recipe
from lt_core.cost import Cost
from tune_app.plan.plan import make_plan
from tune_app.plan.trainings import Training
from tune_app.results.result import Result
from tune_app.results.run_directory import RunDirectory
from tune_app.sweep.load import load_sweep
from tune_app.sweep.sweep import Sweep

SWEEP = """\
name: tiny
description: does the learning rate that finds the best mask also train it best?
model: small_resnet
dataset: digits
seeds: [0, 1, 2]
train: {lr: 0.1, batch_size: 64, weight_decay: 5e-3, duration: 2ep}
prune: {fraction: 0.5, rounds: 4}
find:
  parameters:
    lr: {values: [0.1, 0.5]}
eval:
  parameters:
    lr: {values: [0.1, 0.5]}
  at_sparsity: [0.75, 0.94]
baselines: [global_random, preserve_lpr]
"""
"""Evaluated at rounds 2 (75.0%) and 4 (93.8%)."""

LAYERS = ("conv", "blocks.0.conv1", "blocks.0.conv2", "fc")

Accuracy = Callable[[str, Recipe | None, Recipe, int], float]
"""Kind, H_find, H_eval and round -> mean test accuracy."""


COST = Cost(
    weights=100,
    alive=50,
    live=40,
    macs=600,
    dense_macs=1_000,
    dense_bytes=440,
    bitmask_bytes=253,
    csr_bytes=480,
)


def result_of(training: Training, **measured: Any) -> Result:
    """The result of a training; what is not given is the same for all."""
    same = {
        "sparsity": 0.5,
        "val_accuracy": 0.5,
        "test_accuracy": 0.5,
        "train_loss": 0.1,
        "lpr": {"conv": 0.5, "fc": 0.5},
        "cost": COST,
        "distance": 0.25,
        "sign_changes": 0.125,
        "precision": "fp32",
        "seconds": 1.5,
        "finished_at": 1_760_000_000.0,
        "commit": "c0ffee",
    }
    return Result(
        id=training.id,
        kind=training.kind,
        find=training.find,
        lpr_find=training.lpr_find,
        eval=training.eval,
        seed=training.seed,
        round=training.round,
        **same | measured,
    )


def synthetic_results(
    sweep: Sweep,
    accuracy: Accuracy,
    layers: Sequence[str] = LAYERS,
    sparsity_of: Callable[[int], float] | None = None,
) -> list[Result]:
    """Every result that a sweep plans.

    Seeds lie 1% apart around `accuracy`, so three have a standard deviation of exactly 1%.
    Validation accuracy is 0.5% below test accuracy, and later layers are pruned more.
    The multiply-adds left are the density; of masks of other H_find than the first, 0.75 of it.
    `sparsity_of` gives the measured sparsity of a round; else it is the nominal one.
    """
    results = []
    for training in make_plan(sweep).trainings.values():
        offset = 0.01 * (sweep.seeds.index(training.seed) - (len(sweep.seeds) - 1) / 2)
        test = accuracy(training.kind, training.find, training.eval, training.round) + offset
        sparsity = (sparsity_of or sweep.prune.sparsity)(training.round)
        steepness = [3 - 2 * place / (len(layers) - 1) for place in range(len(layers))]
        results.append(
            result_of(
                training,
                sparsity=sparsity,
                val_accuracy=test - 0.005,
                test_accuracy=test,
                lpr={name: sparsity**k for name, k in zip(layers, steepness, strict=True)},
                cost=_cost(sparsity, training.find == sweep.find_recipes[0]),
                finished_at=1_760_000_000.0 + len(results),
            )
        )
    return results


def _cost(sparsity: float, is_first: bool) -> Cost:
    """Masks of the first H_find leave a third more multiply-adds than the others."""
    density = 1 - sparsity
    return replace(
        COST,
        alive=round(100 * density),
        live=round(90 * density),
        macs=round(1_000 * density * (1 if is_first or not sparsity else 0.75)),
    )


def write_run(folder: Path, sweep_text: str, results_of: Callable[[Sweep], list]) -> Path:
    """A run directory with the three files of a finished run."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sweep.yaml").write_text(sweep_text)
    RunDirectory(folder).write_results(results_of(load_sweep(folder / "sweep.yaml")))
    run = {
        "command": "python -m tune_app.launch sweeps/lr_grid.yaml",
        "commit": "a83d773f0000-dirty",
        "started_at": 1_760_000_000.0,
        "versions": {"python": "3.11.2", "torch": "2.6.0"},
        "hardware": "2 cores, 24 GB, no GPU",
    }
    (folder / "run.json").write_text(json.dumps(run))
    return folder
