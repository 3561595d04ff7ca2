"""What a trial does, in this process: tickets go straight to their files."""

import dataclasses
import errno
import gzip
import json

import pytest
import torch
from tiny_sweep import Files, computed, file_of

from lt_core import data, models, rewind
from lt_core.chain import find
from lt_core.config import Rewinding
from lt_core.costing import Costing
from lt_core.erk import erk_counts
from lt_core.evaluation import evaluate, evaluating
from lt_core.mask import alive_by_layer, dense, num_alive, pack, sparsity, unpack
from lt_core.steps import Steps
from tune_app.plan.plan import make_plan
from tune_app.results.result import Result
from tune_app.store.checkpoints import StoredCheckpoints
from tune_app.store.files import Directory
from tune_app.store.store import Store
from tune_app.sweep.load import load_sweep
from tune_app.sweep.prune import Prune
from tune_app.sweep.sweep import Sweep
from tune_app.trial import trainer
from tune_app.trial.worker import Setting, Worker


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
    store = Store(str(tmp_path))
    store.create()
    setting = Setting(sweep.model, sweep.prune, "1ep", store, "c0ffee")
    return Worker(setting, data.load(sweep.dataset), Files(store), "cpu")


def test_a_chain_is_what_find_yields(worker, plan, sweep):
    chain = plan.chains[0]
    reports = list(worker.find(chain, needed=()))
    rounds = list(
        find(sweep.model, worker.data, chain.find, sweep.prune, rounds=2, seed=chain.seed)
    )
    assert [report.tickets for report in reports] == [(id,) for id in chain.tickets]
    for report, round in zip(reports, rounds, strict=True):
        stored = worker.tickets.get(report.tickets[0])
        assert stored.bits.tolist() == pack(round.next_mask).bits.tolist()
        assert report.result.test_accuracy == round.evaluation.test_accuracy
        assert report.result.lpr == round.evaluation.lpr
        assert report.result.commit == "c0ffee"
        assert worker.setting.store.result(report.result.id, bytes) == report.result.to_line()


def test_what_a_network_costs_is_counted_under_its_own_mask(worker, plan):
    chain = plan.chains[0]
    rounds = [report.result for report in worker.find(chain, needed=chain.tickets)]
    masks = [dense(models.build("small_resnet", **vars(worker.data.shape), seed=0))]
    masks += [unpack(worker.tickets.get(ticket)) for ticket in chain.tickets]
    counted = Costing(rewind.to_initialization("small_resnet", worker.data, seed=0), (1, 8, 8))
    assert [result.cost for result in rounds] == [
        counted.cost(mask) for mask in masks[: len(rounds)]
    ]
    assert [result.cost.alive for result in rounds] == [19_464, 9_732, 4_866]
    assert all(result.distance > 0 for result in rounds)
    assert all(0 <= result.sign_changes < 0.5 for result in rounds)


def test_a_cost_that_cannot_be_counted_loses_no_training(worker, plan, monkeypatch):
    def refuse(*_):
        raise TypeError("no images of zeros")

    monkeypatch.setattr(trainer, "Costing", refuse)
    training = plan.evaluations[0]
    if training.ticket is not None:
        list(worker.find(plan.chain_of_ticket[training.ticket], needed={training.ticket}))
    [report] = worker.evaluate(training)
    assert report.result.cost is None
    assert worker.setting.store.notes == [
        "what the networks cost cannot be counted: TypeError: no images of zeros"
    ]
    assert worker.setting.store.result(training.id, bytes) == report.result.to_line()


def test_a_chain_goes_on_to_the_same_bits(worker, plan):
    chain = plan.chains[0]
    going = worker.find(chain, needed=())
    first = next(going).result
    going.close()
    reports = list(worker.find(chain, needed=()))
    assert reports[0].result == first  # reported again, not trained again
    on = [report.result for report in reports]

    fresh = Store(f"{worker.setting.store.place}/fresh")
    fresh.create()
    setting = dataclasses.replace(worker.setting, store=fresh)
    undisturbed = Worker(setting, worker.data, Files(fresh), "cpu")
    straight = [report.result for report in undisturbed.find(chain, needed=())]
    for a, b in zip(on, straight, strict=True):
        assert (a.id, a.train_loss, a.lpr) == (b.id, b.train_loss, b.lpr)
    assert fresh.ticket(chain.tickets[-1]) == worker.setting.store.ticket(chain.tickets[-1])


def test_a_training_that_is_killed_goes_on_from_its_checkpoint(worker, tiny, monkeypatch):
    plan, worker = changed(worker, tiny, train=LONGER)
    chain = plan.chains[0]
    straight = in_a_store_of_its_own(worker, "straight")
    list(straight.find(chain, needed=()))
    saved, save = [], StoredCheckpoints.save

    def save_and_die(self, checkpoint):
        save(self, checkpoint)
        saved.append((self.id, checkpoint.step))
        raise KeyboardInterrupt

    monkeypatch.setattr(StoredCheckpoints, "save", save_and_die)
    for id in chain.ids:
        for step in (15, 30):
            with pytest.raises(KeyboardInterrupt):
                list(worker.find(chain, needed=()))
            assert saved.pop() == (id, step)
        monkeypatch.setattr(StoredCheckpoints, "save", save)
        going = worker.find(chain, needed=())
        while next(going).result.id != id:
            pass
        going.close()
        assert worker.setting.store.checkpoint(id, bytes) is None
        monkeypatch.setattr(StoredCheckpoints, "save", save_and_die)
    for id in chain.ids:
        a, b = (
            Result.from_line(each.setting.store.result(id, bytes)) for each in (worker, straight)
        )
        assert (a.train_loss, a.test_accuracy) == (b.train_loss, b.test_accuracy)
    for ticket in chain.tickets:
        assert worker.setting.store.ticket(ticket) == straight.setting.store.ticket(ticket)


def test_a_lost_ticket_is_found_again_to_the_same_bits(worker, plan):
    chain = plan.chains[0]
    list(worker.find(chain, needed=()))
    store, lost = worker.setting.store, chain.tickets[1]
    before = store.ticket(lost)
    file_of(store, "tickets", lost).unlink()
    assert len(list(worker.find(chain, needed=()))) == 3
    assert store.ticket(lost) is None  # nobody needs it
    list(worker.find(chain, needed={lost}))
    assert store.ticket(lost) == before


def test_a_dense_network_is_pruned_in_another_way_without_training_it(worker, plan, sweep):
    chain = plan.chains[0]
    dense = next(worker.find(chain, needed=())).result
    other = make_plan(
        sweep.model_copy(update={"prune": sweep.prune.model_copy(update={"fraction": 0.3})})
    ).chains[0]
    assert other.ids[0] == chain.ids[0]
    setting = dataclasses.replace(
        worker.setting, prune=sweep.prune.model_copy(update={"fraction": 0.3})
    )
    report = next(Worker(setting, worker.data, worker.tickets, "cpu").find(other, needed=()))
    assert report.result == dense
    mask = unpack(worker.tickets.get(report.tickets[0]))
    assert sparsity(mask) == 5840 / 19464  # ceil(0.3 * 19,464)


def changed(worker, sweep_file, **keys):
    """The plan of the tiny sweep with other keys, and a worker for it."""
    spec = json.loads(load_sweep(sweep_file).model_dump_json()) | keys
    sweep = Sweep.model_validate_json(json.dumps(spec))
    setting = dataclasses.replace(worker.setting, prune=sweep.prune)
    return make_plan(sweep), dataclasses.replace(worker, setting=setting)


def in_a_store_of_its_own(worker, name):
    store = Store(f"{worker.setting.store.place}/{name}")
    store.create()
    setting = dataclasses.replace(worker.setting, store=store)
    return dataclasses.replace(worker, setting=setting, tickets=Files(store))


LONGER = {"lr": 0.1, "batch_size": 64, "weight_decay": 5e-4, "duration": "3ep"}
GRID = {"parameters": {"lr": {"values": [0.05, 0.2]}}}
CONSTRAINED = GRID | {"lpr_from": [{"lr": 0.05}]}
LR_REWINDING = {"method": "learning_rate"}
NO_MASKS = {"baselines": ["reinit"]}
PRUNE = Prune(fraction=0.5, rounds=2)


@pytest.mark.parametrize(
    "keys",
    [
        {"rewind": {"to": "2it"}},
        {"rewind": LR_REWINDING, **NO_MASKS},
        {"rewind": {"method": "fine_tuning", "to": "1it"}, **NO_MASKS},
        {"find": CONSTRAINED},
        {"find": CONSTRAINED, "rewind": LR_REWINDING, **NO_MASKS},
    ],
    ids=str,
)
def test_a_chain_that_is_killed_after_every_round_ends_with_the_same_bits(worker, tiny, keys):
    plan, worker = changed(worker, tiny, **keys)
    source, chain = plan.chains[0], plan.chains[-2]  # of seed 0
    straight = in_a_store_of_its_own(worker, "straight")
    for each in (worker, straight):
        list(each.find(source, needed=()))
    list(straight.find(chain, needed=()))
    for training in chain.trainings:
        going = worker.find(chain, needed=chain.tickets)
        while next(going).result.id != training.id:
            pass
        going.close()
    for id in chain.ids:
        a, b = (
            Result.from_line(each.setting.store.result(id, bytes)) for each in (worker, straight)
        )
        assert (a.train_loss, a.lpr) == (b.train_loss, b.lpr)
    for ticket in chain.tickets:
        stored = worker.setting.store.ticket(ticket)
        assert stored is not None and stored == straight.setting.store.ticket(ticket)


@pytest.mark.parametrize("rewind", [{"to": "2it"}, LR_REWINDING, {"method": "fine_tuning"}])
def test_a_chain_is_what_find_yields_however_is_rewound(worker, tiny, rewind):
    plan, worker = changed(worker, tiny, rewind=rewind, **NO_MASKS)
    chain = plan.chains[0]
    reports = list(worker.find(chain, needed=()))
    rounds = find(
        "small_resnet",
        worker.data,
        chain.find,
        worker.setting.prune,
        rounds=2,
        seed=chain.seed,
        rewinding=Rewinding(**rewind),
    )
    for report, round in zip(reports, rounds, strict=True):
        assert report.result.train_loss == round.evaluation.train_loss
        stored = worker.tickets.get(report.tickets[0])
        assert stored.bits.tolist() == pack(round.next_mask).bits.tolist()


def test_a_chain_takes_the_layerwise_ratios_of_another(worker, tiny):
    plan, worker = changed(worker, tiny, find=CONSTRAINED)
    source, chain = plan.chains[0], plan.chains[-2]
    theirs = [report.result.lpr for report in worker.find(source, needed=())]
    reports = [report.result for report in worker.find(chain, needed=())]
    assert [result.lpr for result in reports] == theirs
    assert [result.kind for result in reports] == ["lottery"] + 2 * ["lpr_constrained"]
    assert reports[1].lpr_find.lr == 0.05 and reports[1].find.lr == 0.2
    a, b = (unpack(worker.tickets.get(each.tickets[0])) for each in (source, chain))
    assert any(not torch.equal(a[name], b[name]) for name in a)


def test_one_shot_tickets_are_the_first_of_chains_that_prune_as_much(worker, tiny):
    plan, one_shot = changed(worker, tiny, prune={"one_shot": [0.3, 0.9]})
    chain = plan.chains[0]
    [report] = one_shot.find(chain, needed=())
    assert report.tickets == chain.tickets
    for fraction, id in zip((0.3, 0.9), chain.tickets, strict=True):
        other, iterative = changed(worker, tiny, prune={"fraction": fraction, "rounds": 1})
        iterative = in_a_store_of_its_own(iterative, str(fraction))
        list(iterative.find(other.chains[0], needed=()))
        assert other.chains[0].tickets[0] == id
        assert one_shot.setting.store.ticket(id) == iterative.setting.store.ticket(id)
    random = one_shot.trainer.mask(evaluation(plan, "global_random", 2, seed=0))
    assert num_alive(random) == 19_464 - 17_518  # 17517.6
    # Equal ids are equal masks: those of 90% do not know that they are the second here.
    for kind in ("global_random", "preserve_lpr"):
        here, there = (evaluation(p, kind, r, seed=0) for p, r in ((plan, 2), (other, 1)))
        assert here.id == there.id
        a, b = one_shot.trainer.mask(here), iterative.trainer.mask(there)
        assert all(torch.equal(a[name], b[name]) for name in a)


def test_random_masks_are_as_large_as_tickets_pruned_layer_by_layer(worker, tiny):
    prune = {
        "strategy": "layerwise_magnitude",
        "layer_fractions": {"fc": 0.1},
        "fraction": 0.3,
        "rounds": 2,
    }
    plan, worker = changed(worker, tiny, prune=prune)
    chain = plan.chains[0]
    list(worker.find(chain, needed=()))
    for round in (1, 2):
        ticket = unpack(worker.tickets.get(chain.tickets[round - 1]))
        random = worker.trainer.mask(evaluation(plan, "global_random", round, seed=0))
        assert num_alive(random) == num_alive(ticket)


@pytest.fixture
def calls(monkeypatch):
    """The keywords that each evaluation is called with."""
    taken = []

    def recorded(*arguments, **keywords):
        taken.append(keywords)
        return evaluating(*arguments, **keywords)

    monkeypatch.setattr("tune_app.trial.trainer.evaluating", recorded)
    return taken


def test_random_filters_are_as_many_of_each_layer_as_the_tickets_have(worker, tiny, calls):
    plan, worker = changed(
        worker,
        tiny,
        prune={"strategy": "filter_l1", "one_shot": [0.25, 0.5]},
        baselines=["global_random"],
    )
    chain = plan.chains[0]
    list(worker.find(chain, needed=()))
    for round in (1, 2):
        ticket = unpack(worker.tickets.get(chain.tickets[round - 1]))
        random = worker.trainer.mask(evaluation(plan, "global_random", round, seed=0))
        assert alive_by_layer(random) == alive_by_layer(ticket)
        assert not torch.equal(random["conv"], ticket["conv"])
    training = evaluation(plan, "lottery", 2, ticket=chain.tickets[1])
    [report] = worker.evaluate(training)
    assert report.result.sparsity == sparsity(ticket)
    # A pruned network is trained without its filters, a dense one is the same however it is pruned.
    strategies = [call["pruning"].strategy for call in calls]
    assert strategies == ["global_magnitude", "filter_l1"]


def test_random_masks_leave_skipped_layers_alone(worker, tiny):
    plan, worker = changed(worker, tiny, prune={"fraction": 0.5, "rounds": 2, "skip": ["fc"]})
    random = worker.trainer.mask(evaluation(plan, "global_random", 1))
    assert "fc" not in random and num_alive(random) == (19_464 - 320) // 2


@pytest.mark.parametrize("whose", ["find", "eval"])
def test_whose_early_weights_an_evaluation_starts_from(worker, tiny, calls, whose):
    plan, worker = changed(
        worker,
        tiny,
        rewind={"to": "2it"},
        eval=GRID | {"rewind_from": whose},
        baselines=["global_random", "preserve_lpr", "reinit", "signs"],
    )
    chain = plan.chains[0]
    list(worker.find(chain, needed=()))
    early = {
        recipe.lr: rewind.to_step("small_resnet", worker.data, recipe, Steps(2, "it"), seed=0)
        for recipe in (chain.find, plan.chains[2].find)
    }
    assert not torch.equal(early[0.05]["conv.weight"], early[0.2]["conv.weight"])
    for kind in ("lottery", "preserve_lpr", "global_random"):
        training = evaluation(plan, kind, 1, seed=0, eval=plan.chains[2].find)
        calls.clear()
        list(worker.evaluate(training))
        lr = 0.05 if whose == "find" and kind != "global_random" else 0.2
        assert calls[0]["start"].step == Steps(2, "it")
        assert all(
            torch.equal(calls[0]["start"].weights[name], early[lr][name]) for name in early[lr]
        )

    for kind in ("reinit", "signs"):
        calls.clear()
        list(worker.evaluate(evaluation(plan, kind, 1, seed=0)))
        again = rewind.to_another_initialization(
            "small_resnet", worker.data, seed=0, keeps_signs=kind == "signs"
        )
        assert calls[0]["start"].step == Steps(0, "ep")
        assert torch.equal(calls[0]["start"].weights["fc.weight"], again.weights["fc.weight"])


def test_an_early_step_is_trained_to_once(worker, tiny, monkeypatch):
    plan, worker = changed(worker, tiny, rewind={"to": "2it"})
    training = evaluation(plan, "global_random", 1, seed=0)
    made = worker.trainer.weights(training)
    monkeypatch.setattr("tune_app.trial.trainer.rewind.to_step", None)
    kept = worker.trainer.weights(training)
    assert made.keys() == kept.keys()
    assert all(torch.equal(made[name], kept[name]) for name in made)


@pytest.mark.parametrize("method", ["learning_rate", "fine_tuning"])
def test_a_ticket_found_by_one_rewinding_is_evaluated_by_another(worker, tiny, calls, method):
    plan, worker = changed(
        worker, tiny, eval=GRID | {"rewind": {"method": method, "to": "1it"}}, **NO_MASKS
    )
    chain = plan.chains[0]
    assert [(t.kind, t.round) for t in chain.trainings] == [("lottery", 0), ("chain", 1)]
    straight = in_a_store_of_its_own(worker, "straight")
    reports = list(worker.find(chain, needed=chain.tickets))
    rounds = list(find("small_resnet", worker.data, chain.find, PRUNE, rounds=1, seed=chain.seed))
    for report, round in zip(reports, rounds, strict=True):  # rewound to initialization
        assert report.result.train_loss == round.evaluation.train_loss
    for number in (1, 2):
        calls.clear()
        coupled = evaluation(plan, "lottery", number, find=chain.find, eval=chain.find, seed=0)
        [report] = filter(None, worker.evaluate(coupled))
        start = calls[0]["start"]
        assert (start.step, start.at_last_rate) == (Steps(1, "it"), method == "fine_tuning")
        trained = rewind.state(rounds[number - 1].evaluation.model)
        assert all(torch.equal(start.weights[name], trained[name]) for name in trained)
        assert (report.result.kind, report.result.round) == ("lottery", number)

    # Killed after its first round, the chain keeps the weights of each for evaluations.
    going = straight.find(chain, needed=chain.tickets)
    next(going)
    going.close()
    list(straight.find(chain, needed=chain.tickets))
    for id in chain.weights:
        kept, again = (w.setting.store.weights(id) for w in (worker, straight))
        assert all((kept[name] == again[name]).all() for name in kept)


def test_the_error_barrier_is_of_a_ticket_and_is_the_same_after_a_kill(worker, tiny):
    plan, worker = changed(worker, tiny, train=LONGER, baselines=["interpolated"])
    worker = dataclasses.replace(
        worker, setting=dataclasses.replace(worker.setting, checkpoint_every="1ep")
    )
    chain = plan.chains[0]
    list(worker.find(chain, needed=chain.tickets))
    training = evaluation(plan, "interpolated", 2, find=chain.find, eval=chain.find, seed=0)
    assert training.ticket == chain.tickets[1]
    killed = worker.evaluate(training)
    while worker.setting.store.checkpoint(training.id, bytes) is None:  # of its second training
        next(killed)
    killed.close()
    [report] = filter(None, worker.evaluate(training))

    straight = in_a_store_of_its_own(worker, "straight")
    list(straight.find(chain, needed=chain.tickets))
    [again] = filter(None, straight.evaluate(training))
    assert (report.result.kind, report.result.round) == ("interpolated", 2)
    for name in ("val_accuracy", "test_accuracy", "train_loss", "distance", "cost"):
        assert getattr(report.result, name) == getattr(again.result, name)


def test_chains_and_evaluations_that_rewind_apart_start_from_weights_of_their_own(worker, tiny):
    grid = GRID | {"rewind": {"to": "1it"}}
    plan, worker = changed(worker, tiny, find=GRID | {"rewind": {"to": "2it"}}, eval=grid)
    chain = plan.chains[0]
    list(worker.find(chain, needed=chain.tickets))
    at_2, at_1 = (
        worker.trainer.weights(training)
        for training in (
            chain.trainings[1],
            evaluation(plan, "lottery", 1, find=chain.find, seed=0),
        )
    )
    for found, step in ((at_2, 2), (at_1, 1)):
        expected = rewind.to_step(
            "small_resnet", worker.data, chain.find, Steps(step, "it"), seed=0
        )
        assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_weights_that_are_gone_fail_the_training_and_say_so(worker, tiny):
    plan, worker = changed(worker, tiny, rewind=LR_REWINDING, **NO_MASKS)
    chain = plan.chains[0]
    list(worker.find(chain, needed=()))
    store = worker.setting.store
    file_of(store, "weights", chain.weights[1]).unlink()
    [report] = worker.evaluate(evaluation(plan, "lottery", 2, ticket=chain.tickets[1]))
    assert report.failure.reason == (
        f"Missing: there are no weights {chain.weights[1]}; the same command trains them again"
    )
    assert report.failure.kind == "missing"


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
    a, b = worker.trainer.mask(low), worker.trainer.mask(high)
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert {n: int(m.sum()) for n, m in a.items()} == {n: int(m.sum()) for n, m in ticket.items()}
    assert not all(torch.equal(a[name], ticket[name]) for name in a)

    random = {
        (t.eval.lr, t.seed, t.round): worker.trainer.mask(t)
        for t in plan.evaluations
        if t.kind == "global_random"
    }
    same = random[0.05, 0, 1], random[0.2, 0, 1]
    assert all(torch.equal(x, y) for x, y in zip(*(m.values() for m in same), strict=True))
    assert not torch.equal(random[0.05, 0, 1]["fc"], random[0.05, 1, 1]["fc"])
    assert [sparsity(random[0.05, 0, round]) for round in (1, 2)] == [0.5, 0.75]


def test_masks_of_other_controls_keep_what_they_promise(worker, tiny):
    kinds = ("erk", "preserve_lpr", "preserve_lpr_live")
    plan = make_plan(load_sweep(tiny, [f"baselines=[{', '.join(kinds)}]", "prune.fraction=0.9"]))
    setting = dataclasses.replace(worker.setting, prune=Prune(fraction=0.9, rounds=2))
    worker = dataclasses.replace(worker, setting=setting)
    chain = plan.chains[0]
    list(worker.find(chain, needed=chain.tickets))
    mine = [t for t in plan.evaluations if t.seed == chain.seed and t.round == 2]
    mine = [t for t in mine if t.ticket in (None, chain.tickets[1])]
    masks = {t.kind: worker.trainer.mask(t) for t in mine}
    ticket = unpack(worker.tickets.get(chain.tickets[1]))
    by_layer = {kind: alive_by_layer(masks[kind]) for kind in kinds}
    assert by_layer["preserve_lpr"] == by_layer["preserve_lpr_live"] == alive_by_layer(ticket)
    assert num_alive(masks["erk"]) == num_alive(ticket) == 194
    assert by_layer["erk"] == erk_counts({n: tuple(m.shape) for n, m in ticket.items()}, 194)
    live = {kind: worker.trainer.costing.paths.num_live(mask) for kind, mask in masks.items()}
    assert live["preserve_lpr_live"] >= worker.trainer.costing.paths.num_live(ticket)
    # Another draw than that of the baseline without.
    assert not torch.equal(masks["preserve_lpr"]["fc"], masks["preserve_lpr_live"]["fc"])


@pytest.mark.parametrize("kind", ["snip", "grasp", "synflow"])
def test_masks_found_at_initialization_are_the_seed_s(worker, tiny, kind):
    plan, worker = changed(worker, tiny, baselines=[kind])
    masks = {
        (t.seed, t.round, t.eval.lr): worker.trainer.mask(t)
        for t in plan.evaluations
        if t.kind == kind
    }
    assert {r: num_alive(mask) for (_, r, _), mask in masks.items()} == {1: 9_732, 2: 4_866}
    assert all(torch.equal(m, masks[0, 2, 0.2][n]) for n, m in masks[0, 2, 0.05].items())
    assert any(not torch.equal(m, masks[1, 2, 0.05][n]) for n, m in masks[0, 2, 0.05].items())


@pytest.mark.parametrize("one_shot", [False, True])
def test_a_chain_prunes_by_a_score(worker, tiny, one_shot):
    by = {"one_shot": [0.5, 0.75]} if one_shot else {"fraction": 0.5, "rounds": 2}
    plan, worker = changed(worker, tiny, prune={"strategy": "magnitude_increase", **by})
    chain = plan.chains[0]
    list(worker.find(chain, needed=chain.tickets))
    initial = rewind.to_initialization("small_resnet", worker.data, seed=chain.seed)
    masks = [unpack(worker.tickets.get(ticket)) for ticket in chain.tickets[:2]]
    assert [num_alive(mask) for mask in masks] == [9_732, 4_866]
    dense_ = worker.trainer.everything
    network = evaluate("small_resnet", worker.data, dense_, chain.find, seed=chain.seed).model
    grown = {
        name: (
            network.get_parameter(f"{name}.weight").abs()
            - initial.get_parameter(f"{name}.weight").abs()
        ).detach()
        for name in dense_
    }
    kept = torch.cat([grown[name][masks[0][name]] for name in dense_])
    gone = torch.cat([grown[name][~masks[0][name]] for name in dense_])
    assert gone.max() <= kept.min()


def test_an_evaluation_is_done_once(worker, plan):
    training = evaluation(plan, "global_random", 1)
    [first] = worker.evaluate(training)
    [again] = worker.evaluate(training)
    assert first.result == again.result
    assert first.result.find is None


def test_a_full_disk_fails_the_training_and_says_so(worker, plan, monkeypatch):
    def no_space(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Directory, "write", no_space)
    *_, last = worker.find(plan.chains[0], needed=())
    assert last.failure.training == plan.chains[0].ids[0]
    assert last.failure.reason.startswith("StoreError: ")
    assert "No space left on device" in last.failure.reason
    assert last.done and last.failure.kind == "store"  # others would train in vain
    assert worker.setting.store.stored().results == frozenset()


@pytest.mark.parametrize("kind", ["results", "weights"])
def test_what_is_damaged_while_a_sweep_runs_is_made_again(worker, plan, kind):
    chain, store = plan.chains[0], worker.setting.store
    list(worker.find(chain, needed=()))
    before, ticket = store.results(chain.ids, bytes), store.ticket(chain.tickets[0])
    file_of(store, kind, chain.ids[0]).write_bytes(b"garbled")
    file_of(store, "tickets", chain.tickets[0]).unlink()  # the dense network is to be pruned again
    list(worker.find(chain, needed=chain.tickets))
    after = store.results(chain.ids, bytes)
    after, before = (map(Result.from_line, lines.values()) for lines in (after, before))
    assert computed(after) == computed(before)
    assert store.ticket(chain.tickets[0]) == ticket
    [note] = store.notes
    assert f"{chain.ids[0]}" in note and "set aside" in note


def test_a_damaged_ticket_fails_what_is_under_it_and_is_found_by_the_next_run(worker, plan):
    chain, store = plan.chains[0], worker.setting.store
    list(worker.find(chain, needed=()))
    ticket = store.ticket(chain.tickets[0])
    file_of(store, "tickets", chain.tickets[0]).write_bytes(b"garbled")
    [report] = worker.evaluate(evaluation(plan, "lottery", 1, ticket=chain.tickets[0]))
    assert report.failure.reason == (
        f"Missing: there is no ticket {chain.tickets[0]}; the same command finds it again"
    )
    list(worker.find(chain, needed=chain.tickets))
    assert store.ticket(chain.tickets[0]) == ticket


# ---- watched, and probed


def test_watched_it_tells_of_each_epoch_and_comes_to_the_same_result(worker, tiny):
    plan, worker = changed(worker, tiny, train=LONGER)
    training = evaluation(plan, "global_random", 1)
    *told, last = worker.evaluate(training, watched=True)
    assert [report.standing.time for report in told] == [1, 2]
    assert not any(report.done or report.result for report in told)
    assert told[0].standing.val_accuracy != told[1].standing.val_accuracy
    [unwatched] = filter(None, in_a_store_of_its_own(worker, "unwatched").evaluate(training))
    assert computed([last.result]) == computed([unwatched.result])
    assert list(worker.evaluate(training, watched=True)) == [last]  # it was done


def test_watched_it_goes_on_from_its_checkpoint(worker, tiny):
    plan, worker = changed(worker, tiny, train=LONGER)
    training = evaluation(plan, "global_random", 1)
    killed = worker.evaluate(training, watched=True)
    first = next(killed)
    killed.close()
    again, last = worker.evaluate(training, watched=True)
    assert (first.standing.time, again.standing.time) == (1, 2)
    [unwatched] = filter(None, in_a_store_of_its_own(worker, "unwatched").evaluate(training))
    assert computed([last.result]) == computed([unwatched.result])


def probed(plan, chain, lr):
    """The tickets of a chain, trained at an LR."""
    return {
        t.round: t
        for t in plan.trainings.values()
        if t.kind == "lottery" and t.ticket in chain.tickets and t.eval.lr == lr
    }


def told_by(reports) -> list[tuple[str, int, bool]]:
    """Of a chain's reports: what each is, of which round, and whether it brings tickets."""
    return [
        ("chain" if report.standing else "round", report.result.round, bool(report.tickets))
        for report in reports
    ]


def test_a_probed_chain_trains_its_tickets_as_it_finds_them(worker, plan):
    chain = plan.chains[0]
    probes = probed(plan, chain, 0.2)  # which is found at 0.05
    reports = list(worker.find_probed(chain, (), probes))
    assert told_by(reports) == [
        ("round", 0, True),
        ("chain", 1, False),
        ("round", 1, True),
        ("chain", 2, False),
        ("round", 2, True),
    ]
    for report in reports:
        if report.standing is not None:
            result = report.result
            assert result.id == probes[report.standing.time].id
            assert report.standing.val_accuracy == result.val_accuracy
            assert result.eval.lr == 0.2 and result.find.lr == 0.05
    alone = in_a_store_of_its_own(worker, "alone")
    rounds = [report.result for report in alone.find(chain, ())]
    evaluations = [next(alone.evaluate(probe)).result for probe in probes.values()]
    assert computed([r.result for r in reports]) == computed(rounds + evaluations)


def test_a_probed_chain_that_goes_on_tells_again_of_what_is_done(worker, plan, calls):
    chain = plan.chains[0]
    probes = probed(plan, chain, 0.2)
    straight = in_a_store_of_its_own(worker, "straight")
    undisturbed = list(straight.find_probed(chain, (), probes))
    going = worker.find_probed(chain, (), probes)
    before = [next(going) for _ in range(4)]
    going.close()
    calls.clear()
    reports = list(worker.find_probed(chain, (), probes))
    assert reports[:4] == before
    assert told_by(reports) == told_by(undisturbed)
    assert computed([r.result for r in reports]) == computed([r.result for r in undisturbed])
    assert not calls  # what is left is a round


def test_a_probe_that_was_lost_is_trained_under_its_ticket_found_again(worker, plan):
    chain = plan.chains[0]
    probes, store = probed(plan, chain, 0.2), worker.setting.store
    list(worker.find_probed(chain, (), probes))
    before = Result.from_line(store.result(probes[1].id, bytes))
    file_of(store, "results", probes[1].id).unlink()
    file_of(store, "tickets", chain.tickets[0]).unlink()
    reports = list(worker.find_probed(chain, (), probes))
    assert reports[-1].failure is None
    assert computed([Result.from_line(store.result(probes[1].id, bytes))]) == computed([before])


def test_a_probe_that_is_a_round_of_its_chain_is_that_round(worker, plan, calls):
    chain = plan.chains[0]
    probes = probed(plan, chain, 0.05)
    assert [probe.id for probe in probes.values()] == list(chain.ids[1:])
    reports = list(worker.find_probed(chain, (), probes))
    assert told_by(reports) == [
        ("round", 0, True),
        ("round", 1, True),
        ("chain", 1, False),
        ("round", 2, True),
        ("chain", 2, False),
    ]
    assert len(calls) == 1  # the dense network


def test_only_the_rounds_that_have_a_probe_are_told(worker, plan):
    chain = plan.chains[0]
    probes = {2: probed(plan, chain, 0.2)[2]}
    reports = list(worker.find_probed(chain, (), probes))
    assert [kind for kind, *_ in told_by(reports)] == ["round", "round", "chain", "round"]


def test_a_probe_that_diverges_ends_its_chain_and_says_so(worker, tiny):
    bad = {"parameters": {"lr": {"values": [0.05, 1e20]}}}
    plan, worker = changed(worker, tiny, eval=bad)
    chain = plan.chains[0]
    probes = probed(plan, chain, 1e20)
    *reports, last = worker.find_probed(chain, (), probes)
    assert told_by(reports) == [("round", 0, True)]
    assert last.failure.training == probes[1].id and last.done
    assert (last.failure.kind, last.failure.reason[:10]) == ("diverged", "Diverged: ")


# ---- tickets that are others'


@pytest.mark.parametrize(
    ("other", "why"),
    [
        # Of 19,464 weights, of which a round prunes half.
        (
            lambda worker, chain: worker.tickets.get(chain.tickets[1]),
            "4,866 weights alive, not 9,732",
        ),
        (
            lambda worker, chain: pack(dense(models.build("lenet_300_100", **DIGITS, seed=0))),
            "it is of a network of other layers than small_resnet",
        ),
    ],
    ids=["of another round", "of another network"],
)
def test_a_ticket_that_cannot_be_what_was_found_is_set_aside_and_found_again(
    worker, plan, other, why
):
    """In a store of an early version, whose files carry no names."""
    chain, store = plan.chains[0], worker.setting.store
    list(worker.find(chain, needed=chain.tickets))
    before = store.ticket(chain.tickets[0])
    [training, *_] = (t for t in plan.evaluations if t.ticket == chain.tickets[0])
    content = other(worker, chain).to_bytes()
    file_of(store, "tickets", chain.tickets[0]).write_bytes(gzip.compress(content, 0, mtime=0))
    [report] = worker.evaluate(training)
    assert report.failure.kind == "missing"
    assert "was damaged; the same command finds it again" in report.failure.reason
    assert why in store.notes[0]
    list(worker.find(chain, needed=chain.tickets))
    assert store.ticket(chain.tickets[0]) == before
    [report] = worker.evaluate(training)
    assert report.result.round == 1


DIGITS = {"channels": 1, "classes": 10, "image_size": (8, 8)}
