"""The orders of one trial, by turns."""

import dataclasses
import weakref

import pytest
import torch
from tiny_sweep import TINY, Files, computed

from lt_core import data
from lt_core.training_loop import Diverged
from tune_app.plan.plan import make_plan
from tune_app.store.store import Store
from tune_app.sweep.load import load_sweep
from tune_app.trial.pack import Pack
from tune_app.trial.report import Report
from tune_app.trial.worker import Setting, Worker


def order(name: str, log: list[str], *steps: Report | Exception | None):
    """What a worker does for an order, as far as its pack sees it."""
    try:
        for step in steps:
            log.append(name)
            if isinstance(step, Exception):
                raise step
            yield step
    finally:
        log.append(f"{name} closed")


def drained(pack: Pack) -> list[Report]:
    reports = []
    while not pack.is_done:
        reports.append(pack.next())
    return reports


LAST = Report(done=True)


def test_each_has_its_turn_and_reports_by_its_number():
    log = []
    pack = Pack([order("a", log, None, None, LAST), order("b", log, Report(), None, LAST)])
    reports = drained(pack)
    assert [(report.of, report.done) for report in reports] == [(1, False), (0, True), (1, True)]
    assert [name for name in log if "closed" not in name] == ["a", "b", "a", "b", "a", "b"]


def test_one_alone_is_what_it_is_without_a_pack():
    reports = [Report(masks_from_disk=1), Report(notes=("said",)), LAST]
    assert drained(Pack([order("a", [], *reports)])) == reports


def test_an_order_that_only_ends_ends_with_an_empty_report():
    assert drained(Pack([order("chain", [], Report(tickets=("t",)))])) == [
        Report(tickets=("t",)),
        LAST,
    ]


def test_one_that_crashes_leaves_the_others_alone_and_is_told_at_the_end():
    log, error = [], OSError("of the user's own code")
    pack = Pack([order("a", log, None, error), order("b", log, None, None, None, LAST)])
    assert pack.next() == dataclasses.replace(LAST, of=1)
    assert not pack.is_done
    with pytest.raises(OSError) as told:
        pack.next()
    assert told.value is error


def test_all_that_crashed_are_told():
    errors = [OSError("first"), KeyError("second")]
    pack = Pack([order("a", [], errors[0]), order("b", [], errors[1])])
    with pytest.raises(OSError) as told:
        pack.next()
    assert told.value is errors[0]
    [note] = told.value.__notes__
    assert note.startswith("another order of the trial crashed: KeyError: 'second'")


def test_one_that_crashes_keeps_nothing_of_its_own_meanwhile():
    kept = []

    def crashing():
        network = torch.nn.Linear(2, 2)
        kept.append(weakref.ref(network))
        yield None
        raise OSError

    pack = Pack([crashing(), order("b", [], None, None, LAST)])
    assert pack.next().of == 1
    assert kept[0]() is None


def test_given_up_it_closes_what_has_not_ended():
    log = []
    pack = Pack([order("a", log, LAST), order("b", log, None, Report(), LAST)])
    assert [pack.next().of, pack.next().of] == [0, 1]
    log.clear()
    pack.close()
    assert log == ["b closed"]


# ---- of real trainings


LONGER = TINY.replace("duration: 4it", "duration: 3ep")


@pytest.fixture
def worker_in(tmp_path):
    path = tmp_path / "sweep.yaml"
    path.write_text(LONGER)
    sweep, images = load_sweep(path), data.load("digits")
    torch.set_num_threads(1)

    def make(name: str) -> Worker:
        store = Store(str(tmp_path / name))
        store.create()
        setting = Setting(sweep.model, sweep.prune, "1ep", store, None)
        return Worker(setting, images, Files(store), "cpu")

    return make_plan(sweep), make


def test_a_pack_of_evaluations_comes_to_what_each_comes_to_alone(worker_in):
    plan, make = worker_in
    trainings = [t for t in plan.evaluations if t.kind == "global_random"][:3]
    alone, packed = make("alone"), make("packed")
    expected = [
        report.result for t in trainings for report in alone.evaluate(t) if report is not None
    ]
    taken = []

    def noted(training):
        for report in packed.evaluate(training):
            taken.append(training.id)
            yield report

    reports = drained(Pack(map(noted, trainings)))
    ids = [t.id for t in trainings]
    assert taken == ids * 3  # epoch by epoch
    assert [report.result.id for report in reports] == ids == [ids[r.of] for r in reports]
    assert computed(report.result for report in reports) == computed(expected)


def test_a_pack_of_chains_finds_the_tickets_that_each_finds_alone(worker_in):
    plan, make = worker_in
    alone, packed = make("alone"), make("packed")
    chains = plan.chains[:2]
    expected = [report for chain in chains for report in alone.find(chain, chain.tickets) if report]
    reports = drained(Pack(packed.find(chain, chain.tickets) for chain in chains))
    results = [report.result for report in reports if report.result is not None]
    assert computed(results) == computed(report.result for report in expected)
    for chain in chains:
        for ticket in chain.tickets:
            bits = (w.tickets.get(ticket).bits.tolist() for w in (alone, packed))
            assert next(bits) == next(bits)


def test_one_that_diverges_is_its_own_failure(worker_in, monkeypatch):
    plan, make = worker_in
    worker = make("store")
    trainings = [t for t in plan.evaluations if t.kind == "global_random"][:2]
    evaluating = worker.trainer.training

    def diverging(training, *given):
        if training == trainings[0]:
            raise Diverged("loss is nan")
        return evaluating(training, *given)

    monkeypatch.setattr(type(worker.trainer), "training", lambda _, *given: diverging(*given))
    first, second = drained(Pack(map(worker.evaluate, trainings)))
    assert (first.of, first.failure.training) == (0, trainings[0].id)
    assert (second.of, second.result.id, second.failure) == (1, trainings[1].id, None)


def test_given_up_halfway_each_goes_on_from_its_own_checkpoint(worker_in):
    plan, make = worker_in
    worker, alone = make("store"), make("alone")
    trainings = [t for t in plan.evaluations if t.kind == "global_random"][:2]
    pack = Pack(map(worker.evaluate, trainings))
    turns = [next(reports) for _, reports in pack._left]  # an epoch of each
    assert turns == [None, None]
    pack.close()
    assert all(worker.setting.store.checkpoint(t.id, bytes) for t in trainings)
    reports = drained(Pack(map(worker.evaluate, trainings)))
    expected = [r.result for t in trainings for r in alone.evaluate(t) if r is not None]
    assert computed(report.result for report in reports) == computed(expected)
