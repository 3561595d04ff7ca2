"""What a search and its comparison will take."""

import pytest
from synthetic_run import result_of
from tiny_search import SEARCH

from tune_app.plan.plan import make_plan
from tune_app.run import estimate_words
from tune_app.search import outlook as outlook_module
from tune_app.search.chooser import Configuration
from tune_app.search.comparison import comparison
from tune_app.search.outlook import outlook
from tune_app.search.plan import SearchPlan
from tune_app.search.samples import Sample, Samples, Spent
from tune_app.store.store import Store
from tune_app.sweep.load import load_sweep


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with the search and a store that has one training of 36 s; 2 cores."""
    for module in (estimate_words, outlook_module):
        monkeypatch.setattr(module, "machine", lambda: (2, 0))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    (tmp_path / "best.yaml").write_text(SEARCH)
    sweep, store = load_sweep(tmp_path / "best.yaml"), Store(str(tmp_path / "_store"))
    store.create()
    dense = SearchPlan(sweep).ids.dense(sweep.train, 99)
    store.put_result(dense.id, result_of(dense, seconds=36.0).to_line())
    return tmp_path


def lines(place, *overrides, samples=None):
    sweep = load_sweep(place / "best.yaml", overrides)
    samples = samples or Samples(place / "search.json")
    return sweep, samples, outlook(sweep, samples, Store(str(place / "_store")))


WHENCE = " (from 1 like training in the store)"


def test_the_budget_and_the_comparison_each_have_a_line(place):
    # 50 x 36 s = 0.5 h. To compare: 2 H_find x 2 seeds x rounds 0 and 1, and of the two H_eval,
    # one of which is an H_find: coupled round 2 for that chain, and dense for the other, 2 seeds
    # each; decoupled 3 pairs x 2 rounds x 2 seeds. 8 + 2 + 2 + 12 = 24: 864 s.
    _, _, found = lines(place, "search.trainings=50", "search.num_samples=null")
    assert found == [
        "to search       about 0.5 core hours, 15m00s on 2 cores" + WHENCE,
        "to compare      about 0.24 core hours, 7m12s on 2 cores" + WHENCE,
    ]


def test_samples_may_share_a_chain(place):
    # 5 x (4 + 2) x 36 s = 0.3 h.
    _, _, (search, _) = lines(place)
    assert search == "to search       at most 0.3 core hours, 9m00s on 2 cores" + WHENCE


def test_a_time_budget_is_of_this_machine(place):
    budget = ("search.time_budget=2h", "search.num_samples=null")
    _, _, (search, _) = lines(place, *budget)
    assert search == "to search       at most 4 core hours, 2h00m on 2 cores" + WHENCE
    _, _, found = lines(place, *budget, "resources_per_trial.cpu=3")
    assert found == [
        "estimate        not known: only `time_budget` ends the search, and this machine cannot "
        "hold a trial"
    ]


def test_what_was_spent_is_spent(place):
    samples = Samples(place / "search.json")
    samples.last_spent = Spent(trainings=40)
    _, _, (search, _) = lines(place, "search.trainings=50", samples=samples)
    assert search == "to search       about 0.1 core hours, 3m00s on 2 cores" + WHENCE
    samples.last_spent = Spent(trainings=50)
    _, _, (compare,) = lines(place, "search.trainings=50", samples=samples)
    assert compare.startswith("to compare ")


def test_the_comparison_is_as_large_before_it_is_known_of_what_as_after(place):
    sweep, samples, before = lines(place)
    low, high = (sweep.train.model_copy(update={"lr": lr}) for lr in (0.05, 0.3))
    for find, eval_ in ((low, low), (high, low.model_copy(update={"lr": 0.2}))):
        samples.all.append(Sample(Configuration(find, eval_), "id", "complete", value=0.9))
    _, _, after = lines(place, samples=samples)
    assert after[-1] == before[-1]
    assert len(make_plan(comparison(sweep, samples)).trainings) == 24


def test_without_like_trainings_it_is_said_once_why_it_is_not_known(place):
    _, _, found = lines(place, "dataset=cifar10")
    assert found == [
        "estimate        not known: no like training is stored; --check tries cifar10, and "
        "measures a few steps"
    ]
