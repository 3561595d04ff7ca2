"""A search that takes seconds, and what tests need to go through it without Ray."""

import torch
from tiny_sweep import Files

from lt_core import data
from tune_app.plan.trainings import Chain
from tune_app.results.run_directory import RunDirectory
from tune_app.run.events import Ended, Finished, Found, Listeners
from tune_app.run.record import Record
from tune_app.search.agenda import SearchAgenda
from tune_app.search.samples import Samples
from tune_app.store.claims import Claims
from tune_app.store.store import Store
from tune_app.sweep.load import load_sweep
from tune_app.trial.worker import Setting, Worker

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


class Taken:
    """A search as a launch takes it up, with its run directory, without Ray."""

    def __init__(self, runs, path, *overrides):
        self.sweep = load_sweep(path, ["seeds=[0]", *overrides])
        self.store = Store(str(runs / "_store"))
        self.store.create()
        run_dir = RunDirectory(runs / self.sweep.name)
        run_dir.create(self.sweep)
        samples = Samples(run_dir.path / "search.json")
        self.listeners = Listeners()
        self.claims = Claims(self.store)
        self.agenda = SearchAgenda(self.sweep, self.claims, samples, self.listeners.tell)
        self.record = Record(self.agenda, run_dir, {}, print)
        self.listeners.all = [self.record.on_event, self.agenda.on_event]
        self.listeners.tell(Found(self.agenda.known))

    def interrupt(self):
        """Leave to others what it claimed, as where its process ends."""
        self.claims.release()

    def train(self):
        """Do what it asks for; yields the id of each training when it has ended."""
        sweep, store = self.sweep, self.store
        setting = Setting(sweep.model, sweep.prune, "1ep", store, None)
        worker = Worker(setting, data.load(sweep.dataset), Files(store), "cpu")
        torch.set_num_threads(1)
        tickets = set(self.agenda.stored.tickets)
        while to_do := self.agenda.next(frozenset(tickets)):
            for work in (*to_do.chains, *to_do.evaluations):
                is_chain = isinstance(work, Chain)
                reports = worker.find(work, to_do.needed) if is_chain else worker.evaluate(work)
                for report in reports:
                    tickets.update(report.tickets)
                    self.listeners.tell(Finished(report.result))
                    yield report.result.id
                self.listeners.tell(Ended(work))
