import dataclasses
import shutil
from pathlib import Path

import pytest
from tiny_sweep import Files, file_of

from lt_core import data
from tune_app.plan.plan import make_plan
from tune_app.results.result import parser
from tune_app.run.identity import Identified
from tune_app.run.older_results import with_costs
from tune_app.store.store import Store
from tune_app.sweep.load import load_sweep
from tune_app.trial import trainer
from tune_app.trial.worker import Setting, Worker

PATH = Path("tiny.yaml")


@pytest.fixture(scope="module")
def sweep(tiny):
    return load_sweep(tiny, ["seeds=[0]", "baselines=[global_random, preserve_lpr, reinit]"])


@pytest.fixture(scope="module")
def plan(sweep):
    return make_plan(sweep)


@pytest.fixture(scope="module")
def trained(sweep, plan, tmp_path_factory):
    """The place of a store with all that the sweep trains."""
    place = tmp_path_factory.mktemp("store")
    store = Store(str(place))
    store.create()
    setting = Setting(sweep.model, sweep.prune, "1ep", store, "c0ffee")
    worker = Worker(setting, data.load(sweep.dataset), Files(store), "cpu")
    for chain in plan.chains:
        list(worker.find(chain, needed=chain.tickets))
    for training in plan.evaluations:
        list(worker.evaluate(training))
    return place


@pytest.fixture
def store(trained, tmp_path):
    """A copy of it."""
    return Store(str(shutil.copytree(trained, tmp_path / "store")))


def results(store, plan):
    return store.results(plan.trainings, parser(plan.trainings))


def forget_costs(store, plan):
    for id, result in results(store, plan).items():
        store.put_result(id, dataclasses.replace(result, cost=None).to_line())


def test_early_results_get_the_costs_that_trials_would_have_given_them(sweep, plan, store):
    full = results(store, plan)
    assert len(full) == len(plan.trainings) == 30
    assert len({result.cost for result in full.values()}) > 5
    forget_costs(store, plan)
    early = results(store, plan)
    counted, notes = with_costs(Identified(sweep), plan.trainings, early, store, PATH)
    assert counted == full == results(store, plan)
    assert notes == ["counted what 30 networks of an earlier version cost"]
    assert with_costs(Identified(sweep), plan.trainings, counted, store, PATH) == (full, [])


def test_a_mask_that_is_gone_is_said(sweep, plan, store):
    forget_costs(store, plan)
    lost = plan.chains[0].tickets[0]
    file_of(store, "tickets", lost).unlink()
    counted, [note] = with_costs(
        Identified(sweep), plan.trainings, results(store, plan), store, PATH
    )
    without = {id for id, result in counted.items() if result.cost is None}
    assert without == {id for id, training in plan.trainings.items() if training.ticket == lost}
    assert note == (
        f"counted what {30 - len(without)} networks of an earlier version cost; of {len(without)} "
        "more the mask is not stored"
    )


def test_a_network_whose_costs_cannot_be_counted_is_said(sweep, plan, store, monkeypatch):
    def refuse(*_):
        raise TypeError("no images of zeros")

    forget_costs(store, plan)
    monkeypatch.setattr(trainer, "Costing", refuse)
    early = results(store, plan)
    assert with_costs(Identified(sweep), plan.trainings, early, store, PATH) == (
        early,
        ["what the networks cost cannot be counted: TypeError: no images of zeros"],
    )
