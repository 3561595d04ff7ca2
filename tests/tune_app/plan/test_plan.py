"""The plan: which trainings a sweep needs, what it shares, and what is left."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tune_app.plan.left import rounds_left, used, what_is_left, without
from tune_app.plan.plan import Plan, make_plan
from tune_app.plan.trainings import Chain
from tune_app.store.inventory import Stored
from tune_app.sweep.load import load_sweep
from tune_app.sweep.sweep import Sweep

GRID = Path(__file__).parents[3] / "sweeps" / "lr_grid.yaml"


def small(**changes) -> Sweep:
    """2 H_find x 2 H_eval x 2 seeds, 3 rounds, both baselines; `changes` replace top-level keys."""
    spec = {
        "name": "small",
        "model": "small_resnet",
        "dataset": "digits",
        "seeds": [0, 1],
        "train": {"lr": 0.1, "batch_size": 64, "duration": "2it"},
        "prune": {"fraction": 0.5, "rounds": 3},
        "find": {"parameters": {"lr": {"values": [0.1, 0.2]}}},
        "eval": {"parameters": {"lr": {"values": [0.1, 0.2]}}},
        "baselines": ["global_random", "preserve_lpr"],
    }
    return Sweep.model_validate_json(json.dumps(spec | changes))


def counts(plan: Plan) -> dict[str, int]:
    return {row.stage: len(row.requested) for row in plan.rows}


def everything(plan: Plan) -> Stored:
    tickets = frozenset(ticket for chain in plan.chains for ticket in chain.tickets)
    return Stored(frozenset(plan.trainings), tickets)


def test_counts_of_a_small_sweep():
    plan = make_plan(small())
    # 2 H_find x 2 seeds chains of rounds 0, 1, 2, 3.
    assert len(plan.chains) == 4
    assert [len(chain.trainings) for chain in plan.chains] == [4, 4, 4, 4]
    assert counts(plan) == {
        "find": 16,
        "dense": 4,
        "lottery": 24,  # 2 x 2 x 3 rounds x 2 seeds
        "global_random": 24,
        "preserve_lpr": 24,
    }
    # Coupled evaluations are rounds of the chains, the dense ones too; random masks have no H_find.
    kinds = [training.kind for training in plan.evaluations]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "lottery": 12,
        "global_random": 12,
        "preserve_lpr": 24,
    }
    assert len(plan.trainings) == 16 + 12 + 12 + 24


def test_iterations_that_are_whole_epochs_share_the_ids_of_epochs():
    """digits have 1,000 images to train on: 15 iterations an epoch at batch size 64."""

    def ids(duration, milestones, batch_size=64):
        train = {"duration": duration, "milestones": milestones, "batch_size": batch_size}
        return make_plan(small(train={"lr": 0.1, **train})).trainings.keys()

    epochs = ids("2ep", ["1ep"])
    assert ids("30it", ["15it"]) == ids("2ep", ["15it"]) == epochs
    assert ids("30it", ["14it"]).isdisjoint(epochs)
    assert ids("30it", ["15it"], batch_size=100).isdisjoint(ids("2ep", ["1ep"], batch_size=100))


def test_random_masks_need_no_ticket_where_the_sparsity_gives_them():
    kinds = ["global_random", "erk", "preserve_lpr", "preserve_lpr_live"]
    plan = make_plan(small(baselines=kinds))
    found = [t.kind for t in plan.evaluations if t.kind != "lottery"]
    assert {kind: found.count(kind) for kind in kinds} == {
        "global_random": 12,  # 2 H_eval x 3 rounds x 2 seeds
        "erk": 12,
        "preserve_lpr": 24,  # and x 2 H_find
        "preserve_lpr_live": 24,
    }
    assert {t.kind for t in plan.evaluations if t.ticket is None} == {"global_random", "erk"}


def test_masks_found_at_initialization_need_no_ticket_and_no_chain():
    kinds = ["snip", "grasp", "synflow"]
    plan = make_plan(small(baselines=kinds))
    found = [t for t in plan.evaluations if t.kind != "lottery"]
    assert {kind: sum(t.kind == kind for t in found) for kind in kinds} == dict.fromkeys(kinds, 12)
    assert all(t.ticket is None and t.find is None for t in found)
    assert len({t.id for t in found}) == 36
    without = make_plan(small(baselines=[]))
    assert plan.chains == without.chains


def test_another_score_finds_other_tickets_and_shares_what_none_is_for():
    by_magnitude, by_score = (
        make_plan(small(prune={"rounds": 3, "strategy": strategy}, baselines=["reinit"]))
        for strategy in ("global_magnitude", "taylor")
    )
    tickets = [{t for chain in p.chains for t in chain.tickets} for p in (by_magnitude, by_score)]
    assert tickets[0].isdisjoint(tickets[1])
    shared = by_magnitude.trainings.keys() & by_score.trainings.keys()
    assert {by_score.trainings[id].round for id in shared} == {0}
    layerwise = make_plan(small(prune={"rounds": 3, "strategy": "taylor", "scope": "layerwise"}))
    assert tickets[1].isdisjoint(t for chain in layerwise.chains for t in chain.tickets)


def test_counts_of_the_shipped_grid():
    plan = make_plan(load_sweep(GRID))
    assert counts(plan) == {
        "find": 240,  # 4 H_find x 6 seeds x 10 rounds
        "dense": 24,
        "lottery": 288,  # 4 x 4 x 3 sparsities x 6 seeds
        "global_random": 288,
        "preserve_lpr_live": 288,
    }
    # 240 + 216 decoupled + 72 random (no H_find) + 288.
    assert len(plan.trainings) == 816


def test_a_coupled_evaluation_is_a_round_of_its_chain():
    plan = make_plan(small())
    for chain in plan.chains:
        assert [training.round for training in chain.trainings] == [0, 1, 2, 3]
        assert all(t.find == t.eval == chain.find for t in chain.trainings)
    assert not any(t.find == t.eval for t in plan.evaluations if t.kind == "lottery")


def test_every_round_trains_under_the_ticket_that_the_round_before_found():
    for chain in make_plan(small()).chains:
        assert [t.ticket for t in chain.trainings] == [None, *chain.tickets[:-1]]
        assert len(chain.tickets) == len(chain.trainings)


def test_a_chain_comes_before_the_evaluations_of_its_tickets_in_the_plan():
    plan = make_plan(small())
    for evaluation in plan.evaluations:
        if evaluation.kind != "global_random":
            assert plan.chain_of_ticket[evaluation.ticket].find == evaluation.find
            assert plan.chain_of_ticket[evaluation.ticket].seed == evaluation.seed


def test_the_last_ticket_is_not_trained_at_h_find_if_that_is_not_asked():
    plan = make_plan(small(find={"parameters": {"lr": {"values": [0.3]}}}, baselines=[]))
    assert [len(chain.trainings) for chain in plan.chains] == [3, 3]  # rounds 0, 1, 2
    assert sorted(t.round for t in plan.evaluations) == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4


def test_a_sparsity_picks_the_nearest_round_and_the_chain_ends_at_the_last():
    at = {"parameters": {"lr": {"values": [0.1]}}, "at_sparsity": [0.7]}  # 0.75: round 2
    plan = make_plan(small(eval=at, baselines=[]))
    # Coupled chains train rounds 0 to 2; the others only what finds the ticket of round 2.
    assert [len(chain.trainings) for chain in plan.chains] == [3, 3, 2, 2]
    assert plan.rows[0].what == "2 H_find x 2 to 3 rounds"
    assert [(t.find.lr, t.eval.lr, t.round) for t in plan.evaluations] == [(0.2, 0.1, 2)] * 2


IDS = {
    "data_dir": {"data_dir": "elsewhere"},
    "rounds": {"prune": {"fraction": 0.5, "rounds": 4}},
    "name": {"name": "other", "description": "other"},
    "resources": {"resources_per_trial": {"cpu": 2}, "max_failures": 0},
    "select_on": {"select_on": "test"},
    "final_sparsity for rounds": {"prune": {"fraction": 0.5, "final_sparsity": 0.87}},
    "a default said aloud": {
        "train": {"lr": 0.1, "batch_size": 64, "duration": "2it", "momentum": 0.9, "warmup": "0ep"}
    },
    "an axis more": {"find": {"parameters": {"lr": {"values": [0.4, 0.1, 0.2]}}}},
    "a seed more": {"seeds": [7, 0, 1]},
    "layerwise pruning ratios taken over": {
        "find": {"parameters": {"lr": {"values": [0.1, 0.2]}}, "lpr_from": [{"lr": 0.1}]}
    },
    "no rewinding, said in iterations": {"rewind": {"to": "0it"}},
    "rewound to initialization, of whom": {
        "eval": {"parameters": {"lr": {"values": [0.1, 0.2]}}, "rewind_from": "eval"}
    },
}


@pytest.mark.parametrize("change", IDS)
def test_what_does_not_change_a_result_changes_no_id(change):
    before = make_plan(small()).trainings
    after = make_plan(small(**IDS[change])).trainings
    assert before.keys() <= after.keys()


MOVES = {
    "fraction": {"prune": {"fraction": 0.4, "rounds": 3}},
    "model": {"model": "resnet20"},
    "model of one's own": {"model": "my_package.nets:make_net"},
    "dataset": {"dataset": "my_package.data:load"},
    "weight_decay": {
        "train": {"lr": 0.1, "batch_size": 64, "duration": "2it", "weight_decay": 1e-4}
    },
    "duration": {"train": {"lr": 0.1, "batch_size": 64, "duration": "3it"}},
    "seeds": {"seeds": [2, 3]},
    "skipped layers": {"prune": {"fraction": 0.5, "rounds": 3, "skip": ["fc"]}},
    "strategy": {"prune": {"fraction": 0.5, "rounds": 3, "strategy": "layerwise_magnitude"}},
    "late rewinding": {"rewind": {"to": "1it"}},
}


@pytest.mark.parametrize("change", MOVES)
def test_what_changes_a_result_changes_its_id(change):
    before = {id: t for id, t in make_plan(small()).trainings.items() if t.round > 0}
    after = make_plan(small(**MOVES[change])).trainings
    assert not before.keys() & after.keys()


def test_the_dense_network_is_shared_by_all_ways_of_pruning_it():
    before = {t.id for t in make_plan(small()).trainings.values() if t.round == 0}
    after = make_plan(small(prune={"fraction": 0.4, "rounds": 3})).trainings
    assert len(before) == 4
    assert before <= after.keys()


def by_kind(plan: Plan, **fields) -> dict[str, set[str]]:
    """Ids of what is under a pruned mask, by kind."""
    ids: dict[str, set[str]] = {}
    for id, t in plan.trainings.items():
        if t.round > 0 and all(getattr(t, name) == value for name, value in fields.items()):
            ids.setdefault(t.kind, set()).add(id)
    return ids


ALL_KINDS = {"baselines": ["global_random", "preserve_lpr", "reinit", "signs"]}


def test_where_weights_start_moves_what_starts_from_them():
    plain = by_kind(make_plan(small(**ALL_KINDS)))
    late = by_kind(make_plan(small(**ALL_KINDS, rewind={"to": "1it"})))
    grid = {"parameters": {"lr": {"values": [0.1, 0.2]}}, "rewind_from": "eval"}
    of_eval = by_kind(make_plan(small(**ALL_KINDS, rewind={"to": "1it"}, eval=grid)))
    for kind in plain:
        assert not plain[kind] & of_eval[kind] or kind in ("reinit", "signs")
    # A new initialization is rewound to nothing, and the ticket of round 1 to nothing yet.
    assert len(plain["reinit"]) == 24 and len(plain["reinit"] & late["reinit"]) == 8
    assert not plain["lottery"] & late["lottery"]
    # Whose weights they are makes no difference where H_find is H_eval: half of the pairs.
    assert len(late["lottery"]) == 24 and len(late["lottery"] & of_eval["lottery"]) == 12
    assert len(late["preserve_lpr"] & of_eval["preserve_lpr"]) == 12
    # A global random mask has no H_find whose weights it could start from.
    assert late["global_random"] == of_eval["global_random"]
    assert late["reinit"] == of_eval["reinit"]
    assert late["signs"] == of_eval["signs"] and not late["signs"] & late["reinit"]


@pytest.mark.parametrize("rewind_from", ["find", "eval"])
def test_whose_weights_a_late_rewound_network_starts_from(rewind_from):
    grid = {"parameters": {"lr": {"values": [0.1, 0.2]}}, "rewind_from": rewind_from}
    plan = make_plan(small(**ALL_KINDS, rewind={"to": "1it"}, eval=grid))
    names = {}
    for t in plan.trainings.values():
        if t.round == 0 or t.kind in ("reinit", "signs"):
            assert (t.weights, t.rewound_at) == (None, None)
            continue
        expected = t.eval if t.kind == "global_random" else getattr(t, rewind_from)
        assert t.rewound_at == expected
        names.setdefault((t.rewound_at.lr, t.seed), set()).add(t.weights)
    assert sorted(names) == [(0.1, 0), (0.1, 1), (0.2, 0), (0.2, 1)]
    assert all(len(ids) == 1 for ids in names.values())
    assert len(set.union(*names.values())) == 4


def test_weights_that_go_on_are_those_that_the_round_before_was_trained_to():
    plan = make_plan(small(baselines=["reinit"], rewind={"method": "learning_rate"}))
    for chain in plan.chains:
        assert chain.weights == (chain.ids[0], *chain.tickets[1:])
        assert [t.weights for t in chain.trainings] == [None, *chain.weights[:-1]]
    for t in plan.evaluations:
        chain = plan.chain_of_ticket[t.ticket]
        if t.kind == "lottery":
            assert t.weights == chain.weights[t.round - 1]
        else:
            assert t.weights is None
    other = by_kind(make_plan(small(baselines=[], rewind={"method": "fine_tuning"})))
    assert not other["lottery"] & by_kind(plan)["lottery"]


def test_stages_that_rewind_apart_share_the_chains_of_sweeps_that_rewind_as_they_do():
    together, initial = small(baselines=[], rewind={"to": "1it"}), small(baselines=[])
    find, eval_ = together.find.model_dump(mode="json"), together.eval.model_dump(mode="json")
    apart = small(baselines=[], find=find | {"rewind": {"to": "1it"}})
    same = small(baselines=[], find=find, eval=eval_, rewind={"to": "1it"})
    assert make_plan(same).trainings.keys() == make_plan(together).trainings.keys()
    plan, late = make_plan(apart), make_plan(together)
    # 4 chains of rounds 0, 1, 2: no evaluation is a round of a chain, so none has a last one.
    assert [[t.kind for t in chain.trainings] for chain in plan.chains] == [
        ["lottery", "chain", "chain"]
    ] * 4
    assert counts(plan) == {"find": 12, "dense": 4, "lottery": 24}
    assert len(plan.trainings) == 4 + 8 + 24
    # The chains are those of late rewinding, with its tickets.
    assert {c.ids for c in plan.chains} == {c.ids[:3] for c in late.chains}
    assert {c.tickets for c in plan.chains} == {c.tickets[:3] for c in late.chains}
    # Evaluated from initialization the first tickets, found in the dense network, are as ever.
    initially = by_kind(make_plan(initial), round=1)["lottery"]
    assert by_kind(plan, round=1)["lottery"] == initially
    assert by_kind(plan, round=2)["lottery"].isdisjoint(by_kind(make_plan(initial))["lottery"])
    other_way = make_plan(small(baselines=[], eval=eval_ | {"rewind": {"to": "1it"}}))
    assert by_kind(other_way)["lottery"].isdisjoint(by_kind(late, round=2)["lottery"])
    assert by_kind(other_way, round=1)["lottery"] == by_kind(late, round=1)["lottery"]


def test_no_rewinding_is_the_same_in_whatever_unit():
    find = {"parameters": {"lr": {"values": [0.1, 0.2]}}}
    plain, same = (make_plan(small(find=find | more)) for more in ({}, {"rewind": {"to": "0it"}}))
    assert same.trainings.keys() == plain.trainings.keys()
    assert {t.kind for t in same.trainings.values()} == {t.kind for t in plain.trainings.values()}


def test_parts_as_large_as_the_batch_are_no_parts():
    def ids(**train):
        changed = {"lr": 0.1, "batch_size": 64, "duration": "2it", **train}
        return make_plan(small(train=changed)).trainings.keys()

    assert ids(micro_batch=64) == ids(micro_batch=100) == ids()
    assert ids(micro_batch=63).isdisjoint(ids())


def test_a_stage_trains_otherwise_at_each_of_its_points():
    grid = {"parameters": {"lr": {"values": [0.1, 0.2]}}}
    short = {"duration": "4it", "weight_decay": 0.01}
    by_train = make_plan(small(find=grid | {"train": short}, baselines=[]))
    one_by_one = [{"lr": lr} | short for lr in (0.1, 0.2)]
    assert (
        by_train.trainings.keys()
        == make_plan(small(find={"points": one_by_one}, baselines=[])).trainings.keys()
    )
    assert not any(
        t.find == t.eval for t in by_train.evaluations if t.kind == "lottery" and t.round
    )


def test_a_round_whose_weights_are_lost_is_trained_again_where_they_are_needed():
    chain = make_plan(small(baselines=[], rewind={"method": "learning_rate"})).chains[0]
    results, tickets = frozenset(chain.ids), frozenset(chain.tickets)
    without = frozenset(chain.weights) - {chain.weights[1]}
    assert left_of(chain, Stored(results, tickets, without)) == []
    needed = {chain.tickets[1]}
    assert left_of(chain, Stored(results, tickets, without), needed) == [1]
    assert left_of(chain, Stored(results, tickets, frozenset(chain.weights)), needed) == []
    assert left_of(chain, Stored(results, tickets), needed) == [0, 1]


def test_one_shot_finds_every_ticket_in_the_dense_network():
    plan = make_plan(small(prune={"one_shot": [0.5, 0.7, 0.9]}))
    # 2 H_find x 2 seeds; lottery and preserve LPR 2 x 2 x 3 x 2, random 2 x 3 x 2.
    assert counts(plan) == {
        "find": 4,
        "dense": 4,
        "lottery": 24,
        "global_random": 24,
        "preserve_lpr": 24,
    }
    assert len(plan.trainings) == 4 + 24 + 12 + 24
    for chain in plan.chains:
        assert len(chain.trainings) == 1
        assert [len(tickets) for tickets in chain.found] == [3]
    stored = Stored(frozenset(plan.chains[0].ids), frozenset(plan.chains[0].tickets[:2]))
    assert left_of(plan.chains[0], stored, {plan.chains[0].tickets[1]}) == []
    assert left_of(plan.chains[0], stored, {plan.chains[0].tickets[2]}) == [0]


def test_a_one_shot_ticket_is_the_first_of_a_chain_that_prunes_as_much():
    one_shot = make_plan(small(prune={"one_shot": [0.3, 0.5]}))
    chain = make_plan(small())  # 0.5 a round
    for kind, ids in by_kind(chain, round=1).items():
        assert ids == by_kind(one_shot, round=2)[kind]
    # Pruned once, nothing has been rewound before.
    late = make_plan(small(prune={"one_shot": [0.3, 0.5]}, rewind={"to": "1it"}))
    assert {c.tickets for c in late.chains} == {c.tickets for c in one_shot.chains}


CONSTRAINED = {
    "find": {
        "parameters": {"lr": {"values": [0.1, 0.2, 0.4]}},
        "lpr_from": [{"lr": 0.1}, {"lr": 0.4}],
    },
    "baselines": [],
}


def test_a_chain_takes_the_ratios_of_another_of_its_seed():
    plan = make_plan(small(**CONSTRAINED))
    regular = {(c.find.lr, c.seed): c for c in plan.chains if not c.lpr_tickets}
    constrained = [c for c in plan.chains if c.lpr_tickets]
    assert plan.chains[:6] == tuple(regular.values())
    sources = {0: [], 1: []}
    for chain in constrained:
        [source] = [c for c in regular.values() if set(chain.lpr_tickets) <= set(c.tickets)]
        assert [len(tickets) for tickets in chain.found] == (
            [1, 1, 1] if chain.find.lr == 0.4 else [1, 1, 1, 0]
        )
        assert chain.lpr_tickets == source.tickets[:3]
        assert not set(chain.tickets) & set(source.tickets)
        sources[chain.seed].append((chain.find.lr, source.find.lr))
        assert chain.ids[0] == regular[chain.find.lr, chain.seed].ids[0]
        for training in chain.trainings[1:]:
            assert (training.kind, training.lpr_find) == ("lpr_constrained", source.find)
    expected = [(0.2, 0.1), (0.4, 0.1), (0.1, 0.4), (0.2, 0.4)]
    assert sources == {0: expected, 1: expected}
    assert counts(plan)["lpr_constrained"] == 4 * 2 * 3 * 2


def test_what_a_constrained_chain_needs_of_another_is_found_again():
    plan = make_plan(small(**CONSTRAINED))
    source = plan.chains[0]
    done = everything(plan)
    lost = Stored(done.results, done.tickets - {source.tickets[1]})
    assert what_is_left(plan, lost).num_trials == 0
    # A constrained chain that is left, of the same seed, needs the ratios.
    [chain] = [c for c in plan.chains if source.tickets[1] in c.lpr_tickets][:1]
    left = what_is_left(plan, Stored(lost.results - {chain.ids[-1]}, lost.tickets))
    assert left.chains == (source, chain)
    assert left.trainings == {source.ids[1], chain.ids[-1]}


def test_ids_are_frozen():
    """A change here makes every stored result useless: raise plan.FORMAT and say so instead."""
    plan = make_plan(small())
    chain = plan.chains[0]
    assert [training.id for training in chain.trainings[:2]] == [
        "832acc5c4cc068bd1f46",
        "a0013998d83ee3ebef15",
    ]
    assert chain.tickets[0] == "e3b492498aecb3665780"
    first = {t.kind: t.id for t in reversed(plan.evaluations)}
    assert first == {
        "lottery": "43433477d88f5fc84b1a",
        "global_random": "0dab7af7ea3c7dc50b10",
        "preserve_lpr": "ab2157cdcf02b7d8f9bf",
    }


def test_with_nothing_stored_everything_is_left():
    plan = make_plan(small())
    left = what_is_left(plan, Stored())
    assert left.trainings == plan.trainings.keys()
    assert left.num_trials == 4 + 48


def test_with_everything_stored_nothing_is_left():
    plan = make_plan(small())
    left = what_is_left(plan, everything(plan))
    assert (left.num_trials, left.trainings) == (0, frozenset())


def test_tickets_that_nobody_needs_are_not_found_again():
    plan = make_plan(small())
    assert what_is_left(plan, Stored(frozenset(plan.trainings))).num_trials == 0


def left_of(chain: Chain, stored: Stored, needed=frozenset()) -> list[int]:
    return [training.round for training in rounds_left(chain, stored, needed)]


def test_a_chain_goes_on_after_its_last_finished_round():
    plan = make_plan(small())
    chain = plan.chains[0]
    stored = Stored(frozenset(chain.ids[:2]), frozenset(chain.tickets[:2]))
    assert left_of(chain, stored) == [2, 3]
    # Killed between a ticket and its result: the round is trained again.
    stored = Stored(frozenset(chain.ids[:2]), frozenset(chain.tickets[:3]))
    assert left_of(chain, stored) == [2, 3]


def test_a_lost_ticket_is_found_again_where_something_needs_it():
    chain = make_plan(small()).chains[0]
    without = frozenset(chain.tickets) - {chain.tickets[1]}
    stored = Stored(frozenset(chain.ids), without)
    assert left_of(chain, stored) == []
    assert left_of(chain, stored, needed={chain.tickets[1]}) == [1]
    # Round 1 needs the ticket of round 0 to be trained again.
    stored = Stored(frozenset(chain.ids), without - {chain.tickets[0]})
    assert left_of(chain, stored, needed={chain.tickets[1]}) == [0, 1]
    # A later round that is left needs it too.
    stored = Stored(frozenset(chain.ids[:3]), frozenset(chain.tickets[:2]))
    assert left_of(chain, stored) == [2, 3]


def test_kept_weights_of_a_dense_network_are_pruned_without_training_it_again():
    sweep = small(seeds=[0], find={"parameters": {}}, eval={"parameters": {}}, baselines=[])
    plan = make_plan(sweep)
    dense = plan.chains[0].ids[0]
    left = what_is_left(plan, Stored(frozenset({dense}), frozenset(), frozenset({dense})))
    assert len(left.chains) == 1
    assert left.trainings == set(plan.chains[0].ids) - {dense}
    left = what_is_left(plan, Stored(frozenset({dense})))
    assert left.trainings == set(plan.chains[0].ids)


def test_what_a_run_that_goes_on_reads_of_what_is_stored():
    plan = make_plan(small())
    chain = plan.chains[0]
    all_tickets = everything(plan).tickets
    # Round 2 of the first chain is left, under its second ticket, and what is under its last one.
    results = plan.trainings.keys() - {chain.ids[2], chain.ids[3]}
    results -= {t.id for t in plan.evaluations if t.ticket == chain.tickets[2]}
    stored = Stored(frozenset(results), all_tickets)
    assert used(what_is_left(plan, stored), stored).tickets == {chain.tickets[1], chain.tickets[2]}
    nothing = Stored()
    assert used(what_is_left(plan, nothing), nothing) == Stored()


def test_a_dense_network_that_is_pruned_in_another_way_is_read():
    plan = make_plan(small())
    dense = frozenset(chain.ids[0] for chain in plan.chains)
    stored = Stored(results=dense, weights=dense | {"another"})
    assert used(what_is_left(plan, stored), stored) == Stored(weights=dense)


def test_what_another_launch_trains_is_left_out_with_what_waits_for_it():
    plan = make_plan(small())
    to_do = what_is_left(plan, Stored())
    chain = plan.chains[0]
    rest = without(to_do, Stored(), {chain.ids[2]})
    assert rest.chains == plan.chains[1:]
    lost = {t.id for t in plan.evaluations if t.ticket in chain.tickets}
    assert {t.id for t in rest.evaluations} == {t.id for t in plan.evaluations} - lost
    # Decoupled at 3 rounds, and preserve LPR at 3 rounds and 2 H_eval.
    assert len(lost) == 3 + 6
    assert rest.trainings == plan.trainings.keys() - lost - set(chain.ids)
    # Under tickets that exist already they need not wait.
    there = without(to_do, Stored(tickets=frozenset(chain.tickets)), {chain.ids[2]})
    assert set(there.evaluations) == set(plan.evaluations)


def test_an_evaluation_that_another_launch_trains_is_left_out_alone():
    plan = make_plan(small())
    to_do = what_is_left(plan, Stored())
    taken = plan.evaluations[3].id
    rest = without(to_do, Stored(), {taken})
    assert rest.chains == plan.chains
    assert rest.trainings == plan.trainings.keys() - {taken}
    assert without(to_do, Stored(), plan.trainings.keys()).num_trials == 0


def test_a_chain_that_takes_the_ratios_of_one_that_is_left_out_is_left_out():
    find = {"parameters": {"lr": {"values": [0.1, 0.2]}}, "lpr_from": [{"lr": 0.1}]}
    plan = make_plan(small(find=find, seeds=[0]))
    rest = without(what_is_left(plan, Stored()), Stored(), {plan.chains[0].ids[1]})
    assert rest.chains == plan.chains[1:2]


def test_planning_imports_neither_torch_nor_ray_nor_mlflow_nor_numpy():
    code = (
        "import sys, tune_app.plan.plan, tune_app.plan.left; "
        "print({'torch', 'ray', 'mlflow', 'numpy'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
