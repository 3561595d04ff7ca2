"""A search that takes seconds, and what tests need to go through it without Ray."""

import io

import torch
from tiny_sweep import Files

from lt_core import data
from tune_app.plan.trainings import Chain
from tune_app.results.run_directory import RunDirectory
from tune_app.run.console import Progress
from tune_app.search.samples import Samples
from tune_app.search.searching import Searching
from tune_app.store.store import Store
from tune_app.sweep.spec import load_sweep
from tune_app.trial.ray_trial import Setting, Worker

SEARCH = """\
name: best
model: small_resnet
dataset: digits
seeds: [0, 1]
train: {lr: 0.1, batch_size: 64, weight_decay: 5e-4, duration: 4it}
prune: {fraction: 0.5, rounds: 2}
find:
  method: tpe
  parameters:
    lr: {min: 0.02, max: 0.4, log: true}
eval:
  method: random
  parameters:
    lr: {min: 0.02, max: 0.4, log: true}
search:
  at: 0.75
  num_samples: 5
  report_seeds: [10, 11]
"""
# A chain is rounds 0 and 1 for each of two seeds, an evaluation is round 2: 4 trainings and 2.


def taken_up(runs, path, *overrides):
    """The record of a search, as a launch begins with it."""
    sweep = load_sweep(path, ["seeds=[0]", *overrides])
    store, run_dir = Store(str(runs / "_store")), RunDirectory(runs / sweep.name)
    store.create()
    run_dir.create(sweep)
    samples = Samples(run_dir.path / "search.json")
    return Searching(sweep, store, samples, run_dir, Progress(sweep, None, io.StringIO()))


def train(record):
    """Do what a search asks for; yields the id of each training when it has ended."""
    sweep, store = record.sweep, record.store
    setting = Setting(sweep.model, sweep.prune, sweep.rewind, "1ep", store, None, None)
    worker = Worker(setting, data.load(sweep.dataset), Files(store), "cpu")
    torch.set_num_threads(1)
    tickets = set(record.stored.tickets)
    while to_do := record.ask(tickets):
        for work in (*to_do.chains, *to_do.evaluations):
            is_chain = isinstance(work, Chain)
            for report in worker.find(work, to_do.needed) if is_chain else worker.evaluate(work):
                tickets.update(report.get("tickets", ()))
                record.finished(report["result"], masks_from_disk=0)
                yield report["result"]["id"]
            record.ended(work)
