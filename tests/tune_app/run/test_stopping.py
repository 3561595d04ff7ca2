"""What does badly is stopped before it ends, and nothing else is any different for it."""

import dataclasses
import logging
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray
import torch
from ray import tune
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher
from tiny_sweep import Files, computed

from lt_core import data
from tune_app.plan.plan import Plan, make_plan
from tune_app.plan.trainings import Chain, Training
from tune_app.results.result import Result
from tune_app.run.stopping import EarlyStopping, StoppingRules
from tune_app.store.store import Store
from tune_app.sweep.load import load_sweep
from tune_app.sweep.sweep import Sweep
from tune_app.trial.pack import Pack
from tune_app.trial.ray_trial import TicketTrial
from tune_app.trial.report import Order, Report, Standing
from tune_app.trial.ticket_store import start_holder
from tune_app.trial.worker import Setting, Worker

Reports = list[dict[str, Any]]


@pytest.fixture(scope="module")
def one_core() -> Iterator[None]:
    """A Ray of our own, where one trial runs after another."""
    for name in ("ray.tune", "ray.train", "ray.air"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    ray.init(
        address="local",
        num_cpus=1,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    yield
    ray.shutdown()


def time_of(result: dict[str, Any]) -> int | None:
    """When a trial was by a report; None of one that is not to be compared."""
    standing = result["report"].standing
    return None if standing is None else standing.time


class InOrder(Searcher):
    """Hands out one trial after the other, in this order, and keeps what each reports."""

    def __init__(self, configs: list[dict[str, Any]]) -> None:
        super().__init__()
        self.configs = list(configs)
        self.reports: list[Reports] = []
        self.num_ended = 0

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        if self.num_ended < len(self.reports):
            return None
        if not self.configs:
            return Searcher.FINISHED
        self.reports.append([])
        return self.configs.pop(0)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        self.reports[-1].append(result)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        assert not error
        self.reports[-1].append(result)
        self.num_ended += 1

    def save(self, checkpoint_path: str) -> None: ...

    def restore(self, checkpoint_path: str) -> None: ...


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(str(tmp_path / "store"))
    store.create()
    return store


def setting_of(sweep: Sweep, store: Store) -> Setting:
    return Setting(sweep.model, sweep.prune, "1ep", store, None)


def run(
    sweep: Sweep, store: Store, rules: StoppingRules, orders: list[Order], scratch: Path
) -> list[Reports]:
    """What each trial reports; the last of its reports is the one it ends with."""
    holder = start_holder(store.place)
    images = ray.put(data.load(sweep.dataset))
    search = InOrder([{"orders": (order,)} for order in orders])
    tune.Tuner(
        tune.with_resources(
            tune.with_parameters(
                TicketTrial, setting=setting_of(sweep, store), data=images, keys={}
            ),
            tune.PlacementGroupFactory([{"CPU": 1}]),
        ),
        tune_config=tune.TuneConfig(
            search_alg=search, scheduler=EarlyStopping(rules), num_samples=-1, reuse_actors=True
        ),
        run_config=tune.RunConfig(
            storage_path=str(scratch),
            verbose=0,
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    ).fit()
    ray.kill(holder)
    assert search.num_ended == len(search.reports) and not search.configs
    return search.reports


def undisturbed(sweep: Sweep, store: Store) -> Worker:
    """Trains in this process, in a store of its own."""
    alone = Store(f"{store.place}/alone")
    alone.create()
    torch.set_num_threads(1)
    return Worker(setting_of(sweep, alone), data.load(sweep.dataset), Files(alone), "cpu")


def checkpoints(store: Store) -> list[Path]:
    return list(Path(store.place, "checkpoints").rglob("*.gz"))


MEDIOCRE, GOOD, HOPELESS = (0.005, 0.006, 0.007), (0.1, 0.3), (1e-6, 2e-6)


def test_hopeless_evaluations_are_stopped_and_the_rest_is_as_unwatched(
    tiny, store, tmp_path, one_core
):
    lrs = [*MEDIOCRE, *GOOD, *HOPELESS]
    sweep = load_sweep(
        tiny, ["seeds=[0]", "train.duration=4ep", f"eval.parameters.lr.values={lrs}"]
    )
    dense = {training.eval.lr: training for training in make_plan(sweep).evaluations[: len(lrs)]}
    # The first three have too few to be compared with.
    order = [*MEDIOCRE, HOPELESS[0], GOOD[0], HOPELESS[1]]
    watched = [Order(dense[lr], watched=True) for lr in order]
    unwatched = Order(dense[GOOD[1]])  # in a process that gave up another
    again = watched[-1]  # as a search may, and the last that its process does
    rules = StoppingRules(evaluations="median", max_epochs=4, rounds=1, grace_epochs=2)
    reports = run(sweep, store, rules, [*watched, unwatched, again], tmp_path)

    whole, stopped = [1, 2, 3, None], [1, 2]
    assert [[time_of(report) for report in each] for each in reports] == [
        *(stopped if lr in HOPELESS else whole for lr in order),
        [None],
        [1],
    ]
    assert [time_of(each[-1]) is not None for each in reports] == [
        *(lr in HOPELESS for lr in order),
        False,
        True,
    ]
    assert len({report["pid"] for each in reports for report in each}) == 1

    alone = undisturbed(sweep, store)
    trained = [dense[lr] for lr in (*MEDIOCRE, *GOOD)]
    expected = [next(filter(None, alone.evaluate(training))).result for training in trained]
    lines = store.results(store.stored().results, bytes)
    assert computed(map(Result.from_line, lines.values())) == computed(expected)
    assert checkpoints(store) == []


@pytest.mark.nightly
def test_a_chain_whose_tickets_are_bad_is_stopped(tiny, store, tmp_path, one_core):
    sweep = load_sweep(
        tiny,
        [
            "seeds=[0]",
            "train.duration=3ep",
            "prune={fraction: 0.8, rounds: 3}",
            "find.parameters.lr.values=[0.1, 1.0e-6]",
            "eval.parameters.lr.values=[0.1]",
            "baselines=[]",
        ],
    )
    plan = make_plan(sweep)
    good, hopeless = plan.chains
    orders = [
        Order(
            chain,
            probes={
                t.round: t
                for t in plan.trainings.values()
                if t.ticket in chain.tickets and t.eval == good.find
            },
        )
        for chain in (good, hopeless)
    ]
    rules = StoppingRules(chains="asha", max_epochs=3, rounds=3)
    reports = run(sweep, store, rules, orders, tmp_path)

    times = [[time_of(report) for report in each] for each in reports]
    # The good one was to be evaluated where it was found: its probes are its own rounds.
    assert times == [[None, None, 1, None, 2, None, 3, None], [None, 1, None, 2]]
    assert [time_of(each[-1]) is not None for each in reports] == [False, True]
    last = reports[1][-1]["report"]
    assert last.result.id == orders[1].probes[2].id
    assert last.result.val_accuracy == last.standing.val_accuracy
    assert last.standing.val_accuracy < reports[0][4]["report"].standing.val_accuracy
    assert store.result(hopeless.ids[2], bytes) is None
    assert store.ticket(hopeless.tickets[1]) and store.ticket(hopeless.tickets[2]) is None

    alone = undisturbed(sweep, store)
    expected = [report.result for report in alone.find(good, ()) if report is not None]
    lines = store.results(good.ids, bytes)
    assert computed(map(Result.from_line, lines.values())) == computed(expected)
    assert checkpoints(store) == []


def test_what_crashes_keeps_its_checkpoint_to_go_on_from(store):
    def reports():
        yield Report(standing=Standing(1, 0.5))
        raise MemoryError

    def halfway() -> TicketTrial:
        store.put_checkpoint("a1", b"its state")
        trial = TicketTrial.__new__(TicketTrial)  # without Ray
        trial.setting = SimpleNamespace(store=store)
        trial.tickets, trial.from_disk = SimpleNamespace(num_from_disk=0), 0
        trial.printed = SimpleNamespace(text=lambda: "the trial printed nothing")
        trial.orders, trial.pack = (Order(SimpleNamespace(ids=("a1",))),), Pack([reports()])
        assert trial.step()["report"].standing.time == 1
        return trial

    crashed = halfway()
    with pytest.raises(MemoryError):
        crashed.step()
    crashed.cleanup()
    assert store.checkpoint("a1", bytes) is not None
    halfway().cleanup()
    assert store.checkpoint("a1", bytes) is None


# ---- decisions


@pytest.fixture
def plan(tiny) -> Plan:
    return make_plan(load_sweep(tiny))


def told(scheduler: EarlyStopping, work: Chain | Training, time: int, accuracy: float) -> bool:
    """Whether a trial is stopped at such a report."""
    trial = SimpleNamespace(config={"orders": (Order(work),)})
    result = {"report": Report(standing=Standing(time, accuracy)), "done": False}
    decision = scheduler.on_trial_result(None, trial, result)
    assert decision in (TrialScheduler.CONTINUE, TrialScheduler.STOP)
    return decision == TrialScheduler.STOP


def of(plan: Plan, kind: str, round: int) -> list[Training]:
    return [t for t in plan.evaluations if (t.kind, t.round) == (kind, round)]


def asha(**changes: Any) -> EarlyStopping:
    usual = {"evaluations": "asha", "chains": "asha", "max_epochs": 8, "rounds": 8}
    return EarlyStopping(StoppingRules(**usual | changes))


def median(**changes: Any) -> EarlyStopping:
    return asha(**{"evaluations": "median", "chains": "median"} | changes)


def test_only_what_is_equally_sparse_and_of_a_kind_is_compared(plan):
    scheduler = asha()
    groups = [of(plan, "preserve_lpr", 1), of(plan, "preserve_lpr", 2), of(plan, "lottery", 1)]
    for accuracy, (first, second, *_) in zip((0.9, 0.5, 0.3), groups, strict=True):
        assert not told(scheduler, first, 2, accuracy)
        assert told(scheduler, second, 2, accuracy - 0.1)
    assert not told(scheduler, plan.chains[0], 4, 0.1)
    assert told(scheduler, plan.chains[1], 4, 0.05)


@pytest.mark.parametrize("make", [asha, median])
def test_nothing_is_stopped_in_its_grace_period_or_at_its_end(plan, make):
    evaluations = of(plan, "preserve_lpr", 1)[:4]

    def first_stops(scheduler: EarlyStopping) -> list[int | None]:
        """When the first of the evaluations is stopped, and the first of the chains."""
        return [
            next(
                (
                    time
                    for time in range(1, 9)
                    for number, work in enumerate(works)
                    if told(scheduler, work, time, 0.9 if number < 3 else 0.1)
                ),
                None,
            )
            for works in (evaluations, plan.chains)
        ]

    assert first_stops(make()) == [2, 4]
    assert first_stops(make(grace_epochs=5, grace_rounds=3)) == [5, 3]
    assert first_stops(make(grace_epochs=8, grace_rounds=8)) == [None, None]
    assert first_stops(make(evaluations=None)) == [None, 4]
    assert first_stops(make(chains=None)) == [2, None]
    scheduler = make()
    accuracies = (0.9, 0.9, 0.9, 0.1)
    assert not any(map(told, [scheduler] * 4, plan.chains, [8] * 4, accuracies))


def test_the_median_rule_waits_for_enough_to_compare_with(plan):
    bad, *others = of(plan, "preserve_lpr", 1)[:4]
    scheduler = median()
    for number, other in enumerate(others):
        told(scheduler, other, 2, 0.9)
        assert told(scheduler, bad, 2, 0.1) == (number == 2)


def test_asha_compares_again_when_the_time_has_grown_by_its_factor(plan):
    first, second, *_ = of(plan, "preserve_lpr", 1)
    scheduler = asha()
    for time in (2, 3):
        assert not told(scheduler, first, time, 0.9)
    assert not told(scheduler, second, 2, 0.9)
    assert not told(scheduler, second, 3, 0.1)
    assert not told(scheduler, first, 4, 0.9)
    assert told(scheduler, second, 4, 0.8)


@pytest.mark.parametrize(("factor", "stops"), [(2, False), (4, True)])
def test_the_factor_of_asha_says_how_many_go_on(plan, factor, stops):
    best, worst, between, _ = of(plan, "preserve_lpr", 1)[:4]
    scheduler = asha(reduction_factor=factor)
    assert not told(scheduler, best, 2, 0.8)
    assert told(scheduler, worst, 2, 0.2)
    assert told(scheduler, between, 2, 0.6) == stops


def test_one_that_crashed_is_not_compared_with_itself(plan):
    first, *_ = of(plan, "preserve_lpr", 1)
    scheduler = asha()
    assert not told(scheduler, first, 2, 0.9)
    again = dataclasses.replace(first)  # Tune copies its configs
    assert not told(scheduler, again, 2, 0.8)


def test_ordinary_reports_go_on(plan):
    scheduler = asha()
    trial = SimpleNamespace(config={"order": Order(plan.chains[0])})
    for report in (Report(tickets=("a1",)), Report(done=True)):
        result = {"report": report, "done": report.done}
        assert scheduler.on_trial_result(None, trial, result) == TrialScheduler.CONTINUE
    assert scheduler.choose_trial_to_run(None) is None
