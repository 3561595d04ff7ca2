"""The smallest set of trainings that answers a sweep, each with a stable id.

A training is one network trained under one mask. Its id is a hash of everything that
determines its result and of nothing else, so that equal trainings are one: a coupled
evaluation is a round of the chain that found its mask, all chains of one H and seed share the
dense network, and whatever another sweep has trained is there already. What changes a result
by no more than rounding (the hardware, the number of threads) is not part of it.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lt_core.config import Recipe
from tune_app.spec import Kind, Sweep

FORMAT = 1
"""Part of every id; to be raised when the same description gives another result."""


@dataclass(frozen=True, slots=True)
class Training:
    """One network to train under one mask."""

    id: str
    kind: Kind
    find: Recipe | None
    """H_find of its mask; None for a mask that no training found."""

    eval: Recipe
    seed: int
    round: int
    ticket: str | None
    """The ticket whose mask it needs; None where the seed alone gives the mask."""

    def described(self) -> dict[str, Any]:
        """How a line of results.jsonl begins: what was trained, recipes with every field."""
        return {
            "id": self.id,
            "kind": self.kind,
            "find": self.find and self.find.model_dump(mode="json"),
            "eval": self.eval.model_dump(mode="json"),
            "seed": self.seed,
            "round": self.round,
        }


@dataclass(frozen=True, slots=True)
class Chain:
    """All rounds of one H_find and seed: train, prune, rewind, again."""

    trainings: tuple[Training, ...]
    """Round 0, 1, ...; each but round 0 under the ticket of its number."""

    tickets: tuple[str, ...]
    """What round 0, 1, ... finds: the tickets of round 1, 2, ..."""

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(training.id for training in self.trainings)

    @property
    def find(self) -> Recipe:
        return self.trainings[0].eval

    @property
    def seed(self) -> int:
        return self.trainings[0].seed


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the plan: a part of the sweep and the ids of the trainings it asks for."""

    stage: str
    what: str
    requested: tuple[str, ...]
    """With repeats, where the part asks for one training several times."""


@dataclass(frozen=True)
class Plan:
    """What a sweep asks for, each training once."""

    chains: tuple[Chain, ...]
    evaluations: tuple[Training, ...]
    """Trainings that are no round of a chain."""

    rows: tuple[Row, ...]

    @cached_property
    def trainings(self) -> Mapping[str, Training]:
        """Every training by id: the chains' first, then the evaluations."""
        rounds = (training for chain in self.chains for training in chain.trainings)
        return {training.id: training for training in (*rounds, *self.evaluations)}

    @cached_property
    def chain_of_ticket(self) -> Mapping[str, Chain]:
        return {ticket: chain for chain in self.chains for ticket in chain.tickets}


@dataclass(frozen=True)
class Stored:
    """What is there already, as ids."""

    results: frozenset[str] = frozenset()
    tickets: frozenset[str] = frozenset()
    dense_weights: frozenset[str] = frozenset()
    """Dense networks whose trained weights are kept, for every way of pruning them."""

    def keeps_weights(self, id: str) -> bool:
        """Whether a training is done and can be pruned in another way without repeating it."""
        return id in self.results and id in self.dense_weights


@dataclass(frozen=True)
class ToDo:
    """What of a plan is not done yet, as trials."""

    chains: tuple[Chain, ...]
    evaluations: tuple[Training, ...]
    needed: frozenset[str | None]
    """The tickets that the evaluations are under."""

    trainings: frozenset[str]
    """The ids to train; of a chain also rounds that are done but whose ticket is not stored."""

    @property
    def num_trials(self) -> int:
        return len(self.chains) + len(self.evaluations)


def make_plan(sweep: Sweep) -> Plan:
    """Work out what `sweep` needs."""
    ids = _Ids(sweep)
    finds, evals, seeds = sweep.find_recipes, sweep.eval_recipes, sweep.seeds
    rounds = [round for round in sweep.eval_rounds if round > 0]

    chains = tuple(_chain(sweep, ids, find, seed) for find in finds for seed in seeds)
    in_chains = {id for chain in chains for id in chain.ids}
    asked: dict[str, Training] = {}
    rows = [
        Row(
            "find",
            f"{len(finds)} H_find x {len(seeds)} seeds x {_lengths(chains)} rounds",
            tuple(id for chain in chains for id in chain.ids),
        )
    ]

    def ask(stage: str, what: str, trainings: Iterator[Training]) -> None:
        requested = []
        for training in trainings:
            asked.setdefault(training.id, training)
            requested.append(training.id)
        rows.append(Row(stage, f"{what} x {len(seeds)} seeds", tuple(requested)))

    ask(
        "dense",
        f"{len(evals)} H_eval",
        (ids.dense(eval_, seed) for eval_ in evals for seed in seeds),
    )
    grid = f"{len(finds)} H_find x {len(evals)} H_eval x {len(rounds)} sparsities"
    for kind in ("lottery", *sweep.baselines):
        ask(
            kind,
            grid,
            (
                ids.evaluation(kind, find, eval_, seed, round)
                for find in finds
                for eval_ in evals
                for round in rounds
                for seed in seeds
            ),
        )
    evaluations = tuple(t for id, t in asked.items() if id not in in_chains)
    return Plan(chains, evaluations, tuple(rows))


def _lengths(chains: Collection[Chain]) -> str:
    """`14`, or `13 to 14` where only coupled chains train under their last ticket."""
    lengths = sorted({len(chain.trainings) for chain in chains})
    return " to ".join(map(str, dict.fromkeys((lengths[0], lengths[-1]))))


def what_is_left(plan: Plan, stored: Stored) -> ToDo:
    """The part of `plan` that `stored` does not hold."""
    evaluations = tuple(t for t in plan.evaluations if t.id not in stored.results)
    needed = frozenset(training.ticket for training in evaluations)
    chains, ids = [], {training.id for training in evaluations}
    for chain in plan.chains:
        left = rounds_left(chain, stored, needed)
        if left:
            chains.append(chain)
            ids.update(t.id for t in left if not stored.keeps_weights(t.id))
    return ToDo(tuple(chains), evaluations, needed, frozenset(ids))


def rounds_left(
    chain: Chain, stored: Stored, needed: Collection[str | None]
) -> tuple[Training, ...]:
    """The rounds of a chain to go through: from the first to the last that is left.

    Left is a round without a result, or whose ticket is not stored but needed: by an evaluation
    (`needed`), or by the next round, if that is left itself.
    """
    needed_here = set(needed)
    left = []
    for training, found in reversed(list(zip(chain.trainings, chain.tickets, strict=True))):
        lost = found in needed_here and found not in stored.tickets
        if lost or training.id not in stored.results:
            left.append(training.round)
            needed_here.add(training.ticket)
    return chain.trainings[left[-1] : left[0] + 1] if left else ()


def _chain(sweep: Sweep, ids: "_Ids", find: Recipe, seed: int) -> Chain:
    last = sweep.eval_rounds[-1]
    # Nobody asks how the last ticket does at H_find, if H_find is not among H_eval.
    num_trainings = last + 1 if find in sweep.eval_recipes else max(last, 1)
    trainings = [ids.dense(find, seed)]
    for round in range(1, num_trainings):
        trainings.append(ids.evaluation("lottery", find, find, seed, round))
    tickets = tuple(ids.ticket(find, seed, round + 1) for round in range(num_trainings))
    return Chain(tuple(trainings), tickets)


class _Ids:
    """Ids of one sweep's trainings; the JSON of each recipe is made once."""

    def __init__(self, sweep: Sweep) -> None:
        self.setting = {"format": FORMAT, "model": sweep.model, "dataset": sweep.dataset}
        self.pruning = _essence(sweep.prune, {"rounds", "final_sparsity"})
        recipes = {*sweep.find_recipes, *sweep.eval_recipes}
        self.recipes = {recipe: _essence(recipe) for recipe in recipes}

    def ticket(self, find: Recipe, seed: int, round: int) -> str:
        return self._hash(seed, find=self.recipes[find], pruning=self.pruning, round=round)

    def dense(self, eval_: Recipe, seed: int) -> Training:
        id = self._hash(seed, mask="dense", eval=self.recipes[eval_])
        return Training(id, "lottery", eval_, eval_, seed, 0, None)

    def evaluation(
        self, kind: Kind, find: Recipe, eval_: Recipe, seed: int, round: int
    ) -> Training:
        if kind == "global_random":
            mask = {"kind": kind, "pruning": self.pruning, "round": round}
            found_at, ticket = None, None
        else:
            found_at, ticket = find, self.ticket(find, seed, round)
            mask = ticket if kind == "lottery" else {"kind": kind, "ticket": ticket}
        id = self._hash(seed, mask=mask, eval=self.recipes[eval_])
        return Training(id, kind, found_at, eval_, seed, round, ticket)

    def _hash(self, seed: int, **parts: Any) -> str:
        text = json.dumps({**self.setting, "seed": seed, **parts}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:20]


def _essence(config: Any, leave_out: Collection[str] = ()) -> dict[str, Any]:
    """The fields that are not at their default: a new field that does nothing changes no id."""
    return config.model_dump(mode="json", exclude_defaults=True, exclude=set(leave_out))
