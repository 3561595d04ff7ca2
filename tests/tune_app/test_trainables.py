"""What a trial does, in this process: tickets go straight to their files."""

import errno

import pytest
import torch
from tiny_sweep import Files

from lt_core import data
from lt_core.find import find
from lt_core.mask import pack, sparsity, unpack
from tune_app.plan import make_plan
from tune_app.spec import load_sweep
from tune_app.store import Store
from tune_app.trainables import Setting, Worker


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def sweep(tiny):
    return load_sweep(tiny)


@pytest.fixture
def plan(sweep):
    return make_plan(sweep)


@pytest.fixture
def worker(sweep, tmp_path):
    store = Store(tmp_path)
    store.create()
    setting = Setting(sweep.model, sweep.prune, 1, store, None, "c0ffee")
    return Worker(setting, data.load(sweep.dataset), Files(store), "cpu")


def test_a_chain_is_what_find_yields(worker, plan, sweep):
    chain = plan.chains[0]
    reports = list(worker.find(chain, needed=()))
    rounds = list(
        find(sweep.model, worker.data, chain.find, sweep.prune, rounds=2, seed=chain.seed)
    )
    assert [report["ticket"] for report in reports] == list(chain.tickets)
    for report, round in zip(reports, rounds, strict=True):
        stored = worker.tickets.get(report["ticket"])
        assert stored.bits.tolist() == pack(round.next_mask).bits.tolist()
        assert report["result"]["test_accuracy"] == round.evaluation.test_accuracy
        assert report["result"]["lpr"] == round.evaluation.lpr
        assert report["result"]["commit"] == "c0ffee"
        assert worker.setting.store.result(report["result"]["id"]) == report["result"]


def test_a_chain_goes_on_to_the_same_bits(worker, plan):
    chain = plan.chains[0]
    going = worker.find(chain, needed=())
    first = next(going)["result"]
    going.close()
    reports = list(worker.find(chain, needed=()))
    assert reports[0]["result"] == first  # reported again, not trained again
    on = [report["result"] for report in reports]

    fresh = Store(worker.setting.store.root / "fresh")
    fresh.create()
    setting = Setting(worker.setting.model, worker.setting.pruning, 1, fresh, None, None)
    undisturbed = Worker(setting, worker.data, Files(fresh), "cpu")
    straight = [report["result"] for report in undisturbed.find(chain, needed=())]
    for a, b in zip(on, straight, strict=True):
        assert (a["id"], a["train_loss"], a["lpr"]) == (b["id"], b["train_loss"], b["lpr"])
    assert fresh.ticket(chain.tickets[-1]) == worker.setting.store.ticket(chain.tickets[-1])


def test_a_lost_ticket_is_found_again_to_the_same_bits(worker, plan):
    chain = plan.chains[0]
    list(worker.find(chain, needed=()))
    store, lost = worker.setting.store, chain.tickets[1]
    before = store.ticket(lost)
    store._path("tickets", lost).unlink()
    assert len(list(worker.find(chain, needed=()))) == 3
    assert store.ticket(lost) is None  # nobody needs it
    list(worker.find(chain, needed={lost}))
    assert store.ticket(lost) == before


def test_a_dense_network_is_pruned_in_another_way_without_training_it(worker, plan, sweep):
    chain = plan.chains[0]
    dense = next(worker.find(chain, needed=()))["result"]
    other = make_plan(
        sweep.model_copy(update={"prune": sweep.prune.model_copy(update={"fraction": 0.3})})
    ).chains[0]
    assert other.ids[0] == chain.ids[0]
    setting = Setting(
        sweep.model,
        sweep.prune.model_copy(update={"fraction": 0.3}),
        1,
        worker.setting.store,
        None,
        None,
    )
    report = next(Worker(setting, worker.data, worker.tickets, "cpu").find(other, needed=()))
    assert report["result"] == dense
    mask = unpack(worker.tickets.get(report["ticket"]))
    assert sparsity(mask) == 5840 / 19464  # ceil(0.3 * 19,464)


def evaluation(plan, kind, round, **fields):
    return next(
        t
        for t in plan.evaluations
        if (t.kind, t.round) == (kind, round)
        and all(getattr(t, name) == value for name, value in fields.items())
    )


def test_random_masks_keep_what_they_promise_and_do_not_depend_on_h_eval(worker, plan):
    chain = plan.chains[0]
    list(worker.find(chain, needed=()))
    ticket = unpack(worker.tickets.get(chain.tickets[0]))
    low, high = (
        t
        for t in plan.evaluations
        if t.kind == "preserve_lpr" and t.round == 1 and t.ticket == chain.tickets[0]
    )
    assert low.eval != high.eval
    a, b = worker._mask(low), worker._mask(high)
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert {n: int(m.sum()) for n, m in a.items()} == {n: int(m.sum()) for n, m in ticket.items()}
    assert not all(torch.equal(a[name], ticket[name]) for name in a)

    random = {
        (t.eval.lr, t.seed, t.round): worker._mask(t)
        for t in plan.evaluations
        if t.kind == "global_random"
    }
    same = random[0.05, 0, 1], random[0.2, 0, 1]
    assert all(torch.equal(x, y) for x, y in zip(*(m.values() for m in same), strict=True))
    assert not torch.equal(random[0.05, 0, 1]["fc"], random[0.05, 1, 1]["fc"])
    assert [sparsity(random[0.05, 0, round]) for round in (1, 2)] == [0.5, 0.75]


def test_an_evaluation_is_done_once(worker, plan):
    training = evaluation(plan, "global_random", 1)
    [first] = worker.evaluate(training)
    [again] = worker.evaluate(training)
    assert first["result"] == again["result"]
    assert first["result"]["find"] is None


def test_a_full_disk_fails_the_training_and_says_so(worker, plan, monkeypatch):
    def no_space(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Store, "put_ticket", no_space)
    *_, last = worker.find(plan.chains[0], needed=())
    assert last["failed"] == plan.chains[0].ids[0]
    assert "No space left on device" in last["reason"]
    assert last["done"]
    assert worker.setting.store.stored().results == frozenset()
