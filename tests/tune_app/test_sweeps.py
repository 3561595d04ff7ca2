"""Every shipped sweep really runs, at a size of seconds, and its figures are drawn."""

import re
from pathlib import Path

import pytest
import torch
from tiny_sweep import Files

from lt_core import data
from tune_app.plan import make_plan
from tune_app.report import write_report
from tune_app.run_directory import RunDirectory, provenance
from tune_app.spec import Sweep, load_sweep
from tune_app.store import Store
from tune_app.trainables import Setting, Worker

SWEEPS = Path(__file__).parents[2] / "sweeps"

# fig1 needs an H that is in both spaces, fig3 also one that is not.
FIGURES = {
    "bs_grid": {"fig1", "fig2", "fig3", "fig6"},
    "early_pruning": {"fig1", "fig2", "fig3", "fig6"},
    "lr_grid": {"fig1", "fig2", "fig3", "fig6"},
    "no_weight_decay": {"fig2", "fig6"},
    "warmup": {"fig1", "fig2", "fig3", "fig6"},
    "wd_grid": {"fig1", "fig2", "fig3", "fig6"},
}


def in_seconds(path: Path) -> Sweep:
    """The sweep with its epochs as iterations, one seed and three rounds."""
    text = load_sweep(path, ["seeds=[0]", "prune.rounds=2", "eval.at_sparsity=null"])
    return Sweep.model_validate_json(re.sub(r"(\d)ep\b", r"\1it", text.model_dump_json()))


@pytest.mark.parametrize("path", sorted(SWEEPS.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_shipped_sweep_runs_and_is_drawn(path, tmp_path):
    torch.set_num_threads(1)
    sweep = in_seconds(path)
    plan = make_plan(sweep)
    store = Store(tmp_path / "store")
    store.create()
    setting = Setting(sweep.model, sweep.prune, 1, store, None, None)
    worker = Worker(setting, data.load(sweep.dataset), Files(store), "cpu")

    reports = [report for chain in plan.chains for report in worker.find(chain, needed=())]
    reports += [report for t in plan.evaluations for report in worker.evaluate(t)]
    run_dir = RunDirectory(tmp_path / sweep.name)
    run_dir.create(sweep)
    run_dir.write_results([report["result"] for report in reports])
    run_dir.write_provenance(provenance("pytest"))
    write_report(run_dir.path)

    assert store.stored().results == plan.trainings.keys()
    drawn = {figure.stem for figure in (run_dir.path / "figures").iterdir()}
    assert drawn == FIGURES[path.stem]
