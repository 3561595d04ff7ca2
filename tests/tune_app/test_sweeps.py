"""Every shipped grid really runs, at a size of seconds, and its figures are drawn."""

import re
from pathlib import Path

import pytest
import torch
from tiny_sweep import Files

from lt_core import data
from tune_app.plan.plan import make_plan
from tune_app.report.write import write_report
from tune_app.results.run_directory import RunDirectory, provenance
from tune_app.store.store import Store
from tune_app.sweep.load import load_sweep
from tune_app.sweep.sweep import Sweep
from tune_app.trial.worker import Setting, Worker

SWEEPS = Path(__file__).parents[2] / "sweeps"
GRIDS = [path for path in sorted(SWEEPS.glob("*.yaml")) if load_sweep(path).search is None]

# fig1 needs an H that is in both spaces, fig3 also one that is not.
GRID = {"fig1", "fig2", "figA3", "fig3", "fig6"}
FIGURES = {
    "adamw": GRID,
    "bs_grid": GRID,
    "criteria": GRID,
    "given_masks": GRID - {"figA3"},
    "early_pruning": {"fig1", "fig2", "fig3", "fig6", "fig9"},
    "late_rewinding": GRID,
    "lpr_constrained": {"fig2", "fig6", "fig7"},
    "lr_grid": GRID,
    "lr_rewinding": GRID,
    "lr_wd_pairs": GRID,
    "n_of_m": GRID,
    "no_weight_decay": {"fig2", "fig6"},
    "other_data": GRID,
    "other_network": GRID,
    "strong_decay": {"fig2", "fig6"},
    "structured_bs": GRID - {"fig6"},
    "structured_lr": GRID - {"fig6"},
    "structured_wd": GRID - {"fig6"},
    "tabular": GRID,
    "two_rewindings": GRID,
    "text": GRID,
    "warmup": GRID,
    "wd_grid": GRID,
}

AT_ONCE = {"given_masks", "lpr_constrained", "n_of_m", "two_rewindings"}
"""One of each kind of mask and starting point."""


def in_seconds(path: Path) -> Sweep:
    """The sweep with its epochs as iterations, one seed and at most three rounds."""
    sweep = load_sweep(path, ["seeds=[0]", "eval.at_sparsity=null"])
    if not sweep.prune.is_one_shot:
        sweep = load_sweep(path, ["seeds=[0]", "eval.at_sparsity=null", "prune.rounds=2"])
    return Sweep.model_validate_json(re.sub(r"(\d)ep\b", r"\1it", sweep.model_dump_json()))


def test_every_shipped_grid_is_a_plan():
    assert {path.stem for path in GRIDS} == FIGURES.keys() > AT_ONCE
    for path in GRIDS:
        plan = make_plan(in_seconds(path))
        assert plan.chains or plan.evaluations, path


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=() if path.stem in AT_ONCE else pytest.mark.nightly)
        for path in GRIDS
    ],
    ids=lambda path: path.stem,
)
def test_a_shipped_sweep_runs_and_is_drawn(path, tmp_path, rendered):
    torch.set_num_threads(1)
    sweep = in_seconds(path)
    plan = make_plan(sweep)
    store = Store(str(tmp_path / "store"))
    store.create()
    setting = Setting(sweep.model, sweep.prune, "1ep", store, None)
    worker = Worker(setting, data.load(sweep.dataset), Files(store), "cpu")

    reports = [report for chain in plan.chains for report in worker.find(chain, needed=())]
    reports += [report for t in plan.evaluations for report in worker.evaluate(t)]
    run_dir = RunDirectory(tmp_path / sweep.name)
    run_dir.create(sweep)
    run_dir.write_results([report.result for report in reports if report is not None])
    run_dir.write_provenance(provenance("pytest"))
    write_report(run_dir.path)

    assert store.stored().results == plan.trainings.keys()
    drawn = {figure.stem for figure in (run_dir.path / "figures").iterdir()}
    # After two iterations, masks may be too much alike to be told apart by what they cost.
    assert drawn - {"costs"} == FIGURES[path.stem]
