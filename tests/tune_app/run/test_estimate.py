"""What a sweep will take: from like trainings in the store, or from a probe of a few steps."""

import dataclasses

import pytest
import torch
from synthetic_run import result_of
from tiny_sweep import file_of

from lt_core.data import load
from lt_core.steps import Steps
from tune_app.plan.left import what_is_left
from tune_app.plan.plan import make_plan
from tune_app.run import estimate_words, probe
from tune_app.run.estimate import SAMPLE, Estimate, NotKnown, Pace, Workload, estimate
from tune_app.run.estimate_words import estimate_text, machine, show_estimate
from tune_app.store.inventory import Stored
from tune_app.store.store import Store
from tune_app.sweep.load import load_sweep

NOT_SHIPPED = "dataset=cifar10"  # of which no probe is taken unasked


@pytest.fixture
def store(tmp_path) -> Store:
    store = Store(str(tmp_path / "_store"))
    store.create()
    return store


def put(store, trainings, *seconds):
    for training, s in zip(trainings, seconds, strict=True):
        store.put_result(training.id, result_of(training, seconds=s).to_line())


def estimated(sweep, store, data=None) -> Estimate:
    plan, stored = make_plan(sweep), store.stored()
    return estimate(sweep, plan, what_is_left(plan, stored), store, stored.results, data)


def test_what_is_left_takes_the_median_of_what_is_done(tiny, store):
    sweep = load_sweep(tiny, [NOT_SHIPPED])
    plan = make_plan(sweep)
    put(store, plan.evaluations[:3], 1.0, 2.0, 30.0)
    found = estimated(sweep, store)
    # 32 evaluations, of which 3 are done; 4 chains of 3 rounds.
    assert found.eval_seconds == 29 * 2
    assert found.find_seconds == 12 * 2
    assert found.longest == 3 * 2
    assert len(found.seconds) == 41
    assert found.whence == "from 3 like trainings in the store"


def test_a_long_one_that_is_not_like_the_others_is_not_counted_like_them(tiny, store):
    overrides = (NOT_SHIPPED, "find.parameters.batch_size.values=[64,128]")
    sweep = load_sweep(tiny, [*overrides, "eval.parameters.batch_size.values=[64,128]"])
    trainings = make_plan(sweep).trainings.values()
    small = [t for t in trainings if t.eval.batch_size == 64]
    large = [t for t in trainings if t.eval.batch_size == 128]
    put(store, small[:2], 1.0, 1.0)
    with pytest.raises(NotKnown, match="no like training is stored; --check tries cifar10"):
        estimated(sweep, store)
    put(store, large[:1], 5.0)
    seconds = estimated(sweep, store).seconds
    assert {seconds[t.id] for t in small if t.id in seconds} == {1.0}
    assert {seconds[t.id] for t in large if t.id in seconds} == {5.0}


def test_trainings_of_other_sweeps_tell_if_they_are_of_this_network_and_data(tiny, store):
    sweep = load_sweep(tiny, [NOT_SHIPPED, "seeds=[0]"])
    other_network = load_sweep(tiny, [NOT_SHIPPED, "seeds=[7]", "model=resnet20"])
    other_sweep = load_sweep(tiny, [NOT_SHIPPED, "seeds=[7]", "prune.rounds=1"])
    put(store, make_plan(other_network).evaluations[:2], 100.0, 100.0)
    with pytest.raises(NotKnown):
        estimated(sweep, store)
    put(store, make_plan(other_sweep).evaluations[:2], 3.0, 3.0)
    put(store, [make_plan(other_sweep).chains[0].trainings[0]], 3.0)
    found = estimated(sweep, store)
    assert found.whence == "from 3 like trainings in the store"
    assert set(found.seconds.values()) == {3.0}


def test_longer_trainings_tell_by_their_length(tiny, store):
    put(store, make_plan(load_sweep(tiny, [NOT_SHIPPED])).chains[0].trainings[:1], 2.0)  # 4it
    found = estimated(load_sweep(tiny, [NOT_SHIPPED, "train.duration=6it"]), store)
    assert set(found.seconds.values()) == {3.0}
    assert found.whence == "from 1 like training of other lengths in the store"
    with pytest.raises(NotKnown):  # what an epoch is in iterations is not known without the data
        estimated(load_sweep(tiny, [NOT_SHIPPED, "train.duration=6ep"]), store)


def test_a_rewound_training_is_shorter_and_a_reinitialized_one_is_not(tiny, store):
    sweep = load_sweep(tiny, [NOT_SHIPPED, "rewind.to=1it", "baselines=[reinit]"])
    plan = make_plan(sweep)
    dense = plan.chains[0].trainings[0]
    put(store, [dense], 4.0)  # 4it
    seconds = estimated(sweep, store).seconds
    expected = {t.id: 4.0 if t.round == 0 or t.kind == "reinit" else 3.0 for t in _all(plan)}
    assert seconds == {id: s for id, s in expected.items() if id in seconds}
    assert set(seconds.values()) == {3.0, 4.0}


def _all(plan):
    return plan.trainings.values()


def test_networks_without_filters_are_no_like_of_whole_ones(tiny, store):
    structured = ("prune={strategy: filter_l1, one_shot: [0.25, 0.5]}", "baselines=[]")
    sweep = load_sweep(tiny, [NOT_SHIPPED, *structured])
    plan = make_plan(sweep)
    put(store, plan.chains[0].trainings, 9.0)
    with pytest.raises(NotKnown):
        estimated(sweep, store)
    quarter, half = (next(t for t in plan.evaluations if t.round == n) for n in (1, 2))
    put(store, [quarter, half], 6.0, 3.0)
    seconds = estimated(sweep, store).seconds
    by_round = {plan.trainings[id].round: s for id, s in seconds.items()}
    assert by_round == {0: 9.0, 1: 6.0, 2: 3.0}
    masked = load_sweep(tiny, [NOT_SHIPPED, *structured, "prune.shrink=false"])
    assert set(estimated(masked, store).seconds.values()) == {9.0}  # of the dense networks


def test_no_more_than_a_sample_of_the_store_is_read(tiny, store, monkeypatch):
    seeds = f"seeds={list(range(20))}"
    sweep = load_sweep(tiny, [NOT_SHIPPED, seeds])  # 440 trainings
    plan = make_plan(sweep)
    some = list(plan.evaluations)[: SAMPLE + 50]
    put(store, some, *[1.0] * len(some))
    read, whole = [], store.storage.read
    monkeypatch.setattr(store.storage, "read", lambda name: read.append(name) or whole(name))
    assert estimated(sweep, store).whence == f"from {SAMPLE} like trainings in the store"
    assert len([name for name in read if name.startswith("results/")]) == SAMPLE


def test_a_result_of_no_time_is_none(tiny, store):
    sweep = load_sweep(tiny, [NOT_SHIPPED])
    put(store, make_plan(sweep).evaluations[:3], 1.0, 0.0, -1.0)
    assert estimated(sweep, store).whence == "from 1 like training in the store"


def test_a_damaged_result_is_passed_over_and_stays_where_it_is(tiny, store):
    sweep = load_sweep(tiny, [NOT_SHIPPED])
    put(store, make_plan(sweep).evaluations[:2], 1.0, 2.0)
    damaged = file_of(store, "results", make_plan(sweep).evaluations[1].id)
    damaged.write_bytes(b"")
    assert set(estimated(sweep, store).seconds.values()) == {1.0}
    assert damaged.exists()


# From a probe


def test_without_like_trainings_a_few_steps_are_taken(tiny, store):
    overrides = ("train.duration=2ep", "find.parameters.stop.values=[1ep, null]")
    sweep = load_sweep(tiny, overrides)
    threads = torch.get_num_threads()
    found = estimated(sweep, store)
    assert torch.get_num_threads() == threads
    assert found.whence.startswith("from a probe of ")
    trainings = make_plan(sweep).trainings
    short, long = (
        next(s for id, s in found.seconds.items() if str(trainings[id].eval.trains_for) == length)
        for length in ("1ep", "2ep")
    )
    assert 0 < short < long < 2 * short  # what no step takes is the same for both
    assert store.stored() == Stored()


def test_a_probe_is_linear_in_the_steps_of_a_training(tiny):
    data = load("synthetic")
    sweep = load_sweep(tiny, ["dataset=synthetic"])
    pace = Pace(batch_size=200, precision="fp32", filters_pruned=0.0, cpu=1, gpu=0.0)
    works = [Workload(pace, Steps(0, "ep"), Steps(n, unit)) for n, unit in ((1, "it"), (2, "it"))]
    # 400 images are 2 steps an epoch, from which on the third trains.
    works.append(Workload(pace, Steps(1, "ep"), Steps(3, "it")))
    found, _ = probe.seconds(sweep, works, data)
    one, two, rewound = (found[work] for work in works)
    assert rewound == one
    assert two > one > 0


def test_networks_without_filters_are_probed_as_they_are(tiny, store, monkeypatch):
    structured = ("prune={strategy: filter_l1, one_shot: [0.5]}", "baselines=[]")
    sizes = []
    trained = probe.evaluate

    def evaluate(*arguments, **options):
        evaluation = trained(*arguments, **options)
        sizes.append(sum(p.numel() for p in evaluation.model.parameters()))
        return evaluation

    monkeypatch.setattr(probe, "evaluate", evaluate)
    estimated(load_sweep(tiny, structured), store)
    whole, smaller = sorted(set(sizes), reverse=True)
    assert smaller < 0.5 * whole


def test_where_a_probe_fails_it_is_said_why(tiny, store):
    with pytest.raises(NotKnown, match="a probe of a few steps fails: batch_size must be at most"):
        estimated(load_sweep(tiny, ["train.batch_size=2000"]), store)
    with pytest.raises(NotKnown, match="a trial has a GPU, and this machine has none"):
        estimated(load_sweep(tiny, ["resources_per_trial.gpu=1"]), store)
    with pytest.raises(NotKnown, match="a trial has 1,000 cores, and this machine has "):
        estimated(load_sweep(tiny, ["resources_per_trial.cpu=1000"]), store)


def test_what_is_loaded_and_tried_is_probed_whatever_it_is(tiny, store):
    data = dataclasses.replace(load("digits"), name="cifar10")
    assert "probe" in estimated(load_sweep(tiny, [NOT_SHIPPED]), store, data).whence


# In words


@pytest.fixture
def four_cores(monkeypatch):
    monkeypatch.setattr(estimate_words, "machine", lambda: (4, 2))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


def an_estimate(find_s, eval_s, longest=0.0) -> Estimate:
    return Estimate({}, find_s, eval_s, longest, "from 1 like training in the store")


@pytest.mark.parametrize(
    ("overrides", "find_s", "eval_s", "words"),
    [
        # 3,600 s of training on 4 cores.
        ([], 1800, 1800, "about 1 core hour, 15m00s on 4 cores"),
        # Two trials of two cores at a time.
        (["resources_per_trial.cpu=2"], 1800, 1800, "about 2 core hours, 30m00s on 4 cores"),
        # Chains 1 h on 2 GPUs, evaluations 2 h on 4 cores.
        (
            ["find.resources.gpu=1"],
            3600,
            7200,
            "about 1 GPU hour and 2 core hours, 1h00m on 2 GPUs",
        ),
        # Four trials on each of two GPUs, but the cores are for four trials.
        (["resources_per_trial.gpu=0.25"], 0, 14400, "about 1 GPU hour, 1h00m on 2 GPUs"),
        ([], 3_600_000, 3_960_000, "about 2,100 core hours, 21d21h on 4 cores"),
        # What has no room here has no wall time here.
        (["resources_per_trial.cpu=5"], 0, 3600, "about 5 core hours"),
        (
            ["resources_per_trial.price_per_hour=1.2"],
            0,
            864,
            "about 0.24 core hours, 3m36s on 4 cores; at 1.2 an hour of a trial: 0.29",
        ),
        # 1 h at 2 and 0.5 h at 0.1.
        (
            ["find.resources.price_per_hour=2", "eval.resources.price_per_hour=0.1"],
            3600,
            1800,
            "about 1.5 core hours, 22m30s on 4 cores; at 2 and 0.1 an hour of a trial: 2.05",
        ),
    ],
)
def test_hours_wall_time_and_money(tiny, four_cores, overrides, find_s, eval_s, words):
    assert estimate_text(load_sweep(tiny, overrides), an_estimate(find_s, eval_s)) == words


def test_rounds_of_a_chain_follow_each_other(tiny, four_cores):
    text = estimate_text(load_sweep(tiny), an_estimate(3600, 3600, longest=3600))
    assert text == "about 2 core hours, 1h00m on 4 cores"


def test_how_long_a_cluster_takes_is_not_said(tiny, four_cores, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert estimate_text(load_sweep(tiny), an_estimate(3600, 3600)) == "about 2 core hours"


def test_gpus_that_are_hidden_are_not_counted(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,2")
    assert machine()[1] == 2
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert machine()[1] == 0


def test_where_nothing_is_left_nothing_is_estimated(tiny, store, capsys):
    sweep = load_sweep(tiny, [NOT_SHIPPED])
    plan = make_plan(sweep)
    nothing = what_is_left(plan, Stored(frozenset(plan.trainings), frozenset(plan.chain_of_ticket)))
    assert show_estimate(sweep, plan, nothing, store, Stored()) is None
    assert capsys.readouterr().out == ""


def test_what_is_not_known_is_said_with_its_reason(tiny, store, capsys):
    sweep = load_sweep(tiny, [NOT_SHIPPED])
    plan = make_plan(sweep)
    assert show_estimate(sweep, plan, what_is_left(plan, Stored()), store, Stored()) is None
    assert capsys.readouterr().out == (
        "estimate        not known: no like training is stored; --check tries cifar10, and "
        "measures a few steps\n"
    )
