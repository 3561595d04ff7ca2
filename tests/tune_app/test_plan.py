"""The plan: which trainings a sweep needs, what it shares, and what is left."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tune_app.plan import Chain, Plan, Stored, make_plan, rounds_left, what_is_left
from tune_app.spec import Sweep, load_sweep

GRID = Path(__file__).parents[2] / "sweeps" / "lr_grid.yaml"


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


def test_counts_of_the_shipped_grid():
    plan = make_plan(load_sweep(GRID))
    assert counts(plan) == {
        "find": 126,  # 3 H_find x 3 seeds x 14 rounds
        "dense": 9,
        "lottery": 108,  # 3 x 3 x 4 sparsities x 3 seeds
        "global_random": 108,
        "preserve_lpr": 108,
    }
    # 126 + 72 decoupled + 36 random (no H_find) + 108.
    assert len(plan.trainings) == 342


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
    assert plan.rows[0].what == "2 H_find x 2 seeds x 2 to 3 rounds"
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


def test_planning_imports_neither_torch_nor_ray():
    code = "import sys, tune_app.plan; print({'torch', 'ray', 'mlflow'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
