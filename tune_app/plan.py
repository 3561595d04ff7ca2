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
from tune_app.words import plural

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

    weights: str | None = None
    """The kept weights that it starts from; None where the seed alone gives them."""

    rewound_at: Recipe | None = None
    """H of the dense training that `weights` are a step of; None where a chain trained them."""

    lpr_find: Recipe | None = None
    """H_find of the chain whose LPR its mask has, where that is another."""


@dataclass(frozen=True, slots=True)
class Chain:
    """All rounds of one H_find and seed: train, prune, rewind, again."""

    trainings: tuple[Training, ...]
    """Round 0, 1, ...; each but round 0 under the ticket of its number. One-shot: round 0."""

    found: tuple[tuple[str, ...], ...]
    """The tickets that each training finds: that of the next round; one-shot: of every round.
    None where the chain whose LPR it would take ends."""

    weights: tuple[str, ...] = ()
    """Where the weights go on: under which id what each training was trained to is kept."""

    lpr_tickets: tuple[str, ...] = ()
    """For each ticket that of another chain, whose LPR it gets."""

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(training.id for training in self.trainings)

    @property
    def tickets(self) -> tuple[str, ...]:
        """Those of round 1, 2, ..."""
        return tuple(ticket for tickets in self.found for ticket in tickets)

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
    weights: frozenset[str] = frozenset()
    """Kept weights: of dense networks, for every way of pruning them, and what pruned networks
    start from."""

    def keeps_weights(self, id: str) -> bool:
        """Whether a training is done and can be pruned in another way without repeating it."""
        return id in self.results and id in self.weights


@dataclass(frozen=True)
class ToDo:
    """What of a plan is not done yet, as trials."""

    chains: tuple[Chain, ...]
    evaluations: tuple[Training, ...]
    needed: frozenset[str | None]
    """The tickets that the evaluations are under, and whose LPR chains take."""

    trainings: frozenset[str]
    """The ids to train; of a chain also rounds that are done but whose ticket is not stored."""

    @property
    def num_trials(self) -> int:
        return len(self.chains) + len(self.evaluations)


def make_plan(sweep: Sweep) -> Plan:
    """Work out what `sweep` needs."""
    ids = Ids(sweep)
    finds, evals, seeds = sweep.find_recipes, sweep.eval_recipes, sweep.seeds
    rounds = [round for round in sweep.eval_rounds if round > 0]

    # Each with the H_find whose LPR it takes; those that others wait for are first.
    constrained = [(f, source) for source in sweep.lpr_sources for f in finds if f != source]
    last = sweep.eval_rounds[-1]
    # Nobody asks how the last ticket does at H_find, if H_find is not among H_eval.
    chains = tuple(
        chain_to(sweep, ids, find, seed, last, find in evals, source)
        for find, source in (*((find, None) for find in finds), *constrained)
        for seed in seeds
    )
    in_chains = {id for chain in chains for id in chain.ids}
    asked: dict[str, Training] = {}
    rows = [
        Row(
            "find",
            f"{len(finds)}{f' + {len(constrained)}' if constrained else ''} H_find x "
            f"{plural(len(seeds), 'seed')} x {_lengths(chains)}",
            tuple(id for chain in chains for id in chain.ids),
        )
    ]

    def ask(stage: str, what: str, trainings: Iterator[Training]) -> None:
        requested = []
        for training in trainings:
            asked.setdefault(training.id, training)
            requested.append(training.id)
        rows.append(Row(stage, f"{what} x {plural(len(seeds), 'seed')}", tuple(requested)))

    ask(
        "dense",
        f"{len(evals)} H_eval",
        (ids.dense(eval_, seed) for eval_ in evals for seed in seeds),
    )
    at = plural(len(rounds), "sparsity")
    grid = f"{len(finds)} H_find x {len(evals)} H_eval x {at}"
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
    if constrained:
        ask(
            "lpr_constrained",
            f"{len(constrained)} H_find x {len(evals)} H_eval x {at}",
            (
                ids.evaluation("lpr_constrained", find, eval_, seed, round, source)
                for find, source in constrained
                for eval_ in evals
                for round in rounds
                for seed in seeds
            ),
        )
    evaluations = tuple(t for id, t in asked.items() if id not in in_chains)
    return Plan(chains, evaluations, tuple(rows))


def _lengths(chains: Collection[Chain]) -> str:
    """`14 rounds`, or `13 to 14 rounds` where only coupled chains train under their last ticket."""
    lengths = sorted({len(chain.trainings) for chain in chains})
    longest = plural(lengths[-1], "round")
    return longest if len(lengths) == 1 else f"{lengths[0]} to {longest}"


def what_is_left(plan: Plan, stored: Stored) -> ToDo:
    """The part of `plan` that `stored` does not hold."""
    evaluations = tuple(t for t in plan.evaluations if t.id not in stored.results)
    needed = {training.ticket for training in evaluations}
    chains, ids = [], {training.id for training in evaluations}
    for chain in reversed(plan.chains):  # what one needs of another is of one before it
        left = rounds_left(chain, stored, needed)
        if left:
            chains.append(chain)
            needed.update(chain.lpr_tickets)
            ids.update(t.id for t in left if not stored.keeps_weights(t.id))
    return ToDo(tuple(reversed(chains)), evaluations, frozenset(needed), frozenset(ids))


def rounds_left(
    chain: Chain, stored: Stored, needed: Collection[str | None]
) -> tuple[Training, ...]:
    """The rounds of a chain to go through: from the first to the last that is left.

    Left is a round without a result, or whose ticket is not stored but needed: by an evaluation
    or another chain (`needed`), or by the next round, if that is left itself.
    """
    needed_here = set(needed)
    left = []
    for training, found in reversed(list(zip(chain.trainings, chain.found, strict=True))):
        wanted = needed_here.intersection(found)
        weights = set(chain.weights[training.round : training.round + 1]) if wanted else set()
        is_there = wanted <= stored.tickets and weights <= stored.weights
        if not is_there or training.id not in stored.results:
            left.append(training.round)
            needed_here.add(training.ticket)
    return chain.trainings[left[-1] : left[0] + 1] if left else ()


def used(to_do: ToDo, stored: Stored) -> Stored:
    """What the trials of `to_do` will read of what is stored: tickets and weights."""
    left = [rounds_left(chain, stored, to_do.needed)[0] for chain in to_do.chains]
    resumed = [training for training in left if training.round > 0]
    tickets = {training.ticket for training in (*resumed, *to_do.evaluations)}
    tickets.update(ticket for chain in to_do.chains for ticket in chain.lpr_tickets)
    weights = {training.weights for training in (*resumed, *to_do.evaluations)}
    weights.update(training.id for training in left if stored.keeps_weights(training.id))
    return Stored(tickets=stored.tickets & tickets, weights=stored.weights & weights)


def without(to_do: ToDo, stored: Stored, ids: Collection[str]) -> ToDo:
    """`to_do` without the trials that train one of `ids`, and without those that wait for them."""
    chains: list[Chain] = []
    absent: set[str | None] = set()
    for chain in to_do.chains:  # what one waits for of another is of one before it
        left = to_do.trainings.intersection(chain.ids)
        if left.isdisjoint(ids) and absent.isdisjoint(chain.lpr_tickets):
            chains.append(chain)
        else:
            absent.update(set(chain.tickets) - stored.tickets)
    evaluations = tuple(
        training
        for training in to_do.evaluations
        if training.id not in ids and training.ticket not in absent
    )
    trainings = {id for chain in chains for id in to_do.trainings.intersection(chain.ids)}
    trainings.update(training.id for training in evaluations)
    return ToDo(tuple(chains), evaluations, to_do.needed, frozenset(trainings))


def chain_to(
    sweep: Sweep,
    ids: "Ids",
    find: Recipe,
    seed: int,
    last: int,
    is_last_trained: bool = False,
    lpr_from: Recipe | None = None,
) -> Chain:
    """The chain that finds the tickets up to round `last`, and may train under that one too."""
    is_one_shot = sweep.prune.one_shot is not None
    num_rounds = last + 1 if is_last_trained else max(last, 1)
    if is_one_shot:
        num_rounds = 1
    kind = "lottery" if lpr_from is None else "lpr_constrained"
    trainings = [ids.dense(find, seed)]
    for round in range(1, num_rounds):
        trainings.append(ids.evaluation(kind, find, find, seed, round, lpr_from))

    num_tickets = num_rounds if lpr_from is None and not is_one_shot else max(last, 1)
    numbers = range(1, num_tickets + 1)
    tickets = tuple(ids.ticket(find, seed, round, lpr_from) for round in numbers)
    found = (tickets,) if is_one_shot else tuple(tickets[i : i + 1] for i in range(num_rounds))
    weights = ()
    if sweep.rewind.method != "weights":
        weights = (trainings[0].id, *tickets[1:num_rounds])
    lpr_tickets = ()
    if lpr_from is not None:
        lpr_tickets = tuple(ids.ticket(lpr_from, seed, round) for round in numbers)
    return Chain(tuple(trainings), found, weights, lpr_tickets)


class Ids:
    """Ids of one sweep's trainings and tickets; a recipe's part of a hash is made once."""

    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep
        self.tickets: dict[tuple, str] = {}
        self.setting = {"format": FORMAT, "model": sweep.model, "dataset": sweep.dataset}
        self.recipes: dict[Recipe, dict[str, Any]] = {}
        self.rewinding = _essence(sweep.rewind, {"to"})
        if sweep.rewind.to.count:
            self.rewinding["to"] = str(sweep.rewind.to)
        # By round, what was removed up to it; a one-shot ticket is the first round of its fraction.
        targets = {"rounds", "final_sparsity", "one_shot"}
        if sweep.prune.one_shot is None:
            pruning = _essence(sweep.prune, targets)
            rounds = range(1, sweep.prune.num_rounds + 2)
            self.pruned = {round: {"pruning": pruning, "round": round} for round in rounds}
        else:
            self.pruned = {
                round: {"pruning": _essence(sweep.prune.of_round(round), targets), "round": 1}
                for round in range(1, sweep.prune.num_rounds + 1)
            }

    def ticket(self, find: Recipe, seed: int, round: int, lpr_from: Recipe | None = None) -> str:
        # Once for all that is trained under it.
        asked = (find, seed, round, lpr_from)
        if asked not in self.tickets:
            self.tickets[asked] = self._ticket(*asked)
        return self.tickets[asked]

    def _ticket(self, find: Recipe, seed: int, round: int, lpr_from: Recipe | None) -> str:
        parts = {"find": self._recipe(find), **self.pruned[round]}
        if self.rewinding and not self._is_first(round):
            parts["rewind"] = self.rewinding
        if lpr_from is not None:
            parts["lpr_from"] = self._recipe(lpr_from)
        return self._hash(seed, **parts)

    def dense(self, eval_: Recipe, seed: int) -> Training:
        id = self._hash(seed, mask="dense", eval=self._recipe(eval_))
        return Training(id, "lottery", eval_, eval_, seed, 0, None)

    def evaluation(
        self,
        kind: Kind,
        find: Recipe,
        eval_: Recipe,
        seed: int,
        round: int,
        lpr_from: Recipe | None = None,
    ) -> Training:
        if kind == "global_random":
            mask = {"kind": kind, **self.pruned[round]}
            found_at, ticket = None, None
        else:
            found_at, ticket = find, self.ticket(find, seed, round, lpr_from)
            is_ticket = kind in ("lottery", "lpr_constrained")
            mask = ticket if is_ticket else {"kind": kind, "ticket": ticket}

        weights, rewound_at, parts = None, None, {}
        if self.rewinding and kind != "reinit":
            if self.sweep.rewind.method == "weights":
                is_at_eval = found_at is None or self.sweep.eval.rewind_from == "eval"
                rewound_at = eval_ if is_at_eval else found_at
                weights = self._hash(seed, weights=self._recipe(rewound_at), **self.rewinding)
            else:
                weights = self.dense(find, seed).id if self._is_first(round) else ticket
            parts = {"start": weights, "rewind": self.rewinding}
        id = self._hash(seed, mask=mask, eval=self._recipe(eval_), **parts)
        return Training(
            id, kind, found_at, eval_, seed, round, ticket, weights, rewound_at, lpr_from
        )

    def _is_first(self, round: int) -> bool:
        """Whether the ticket of a round is one of the dense network."""
        return round == 1 or self.sweep.prune.one_shot is not None

    def _recipe(self, recipe: Recipe) -> dict[str, Any]:
        essence = self.recipes.get(recipe)
        if essence is None:
            essence = self.recipes[recipe] = _essence(recipe)
        return essence

    def _hash(self, seed: int, **parts: Any) -> str:
        text = _SORTED.encode({**self.setting, "seed": seed, **parts})
        return hashlib.sha256(text.encode()).hexdigest()[:20]


_SORTED = json.JSONEncoder(sort_keys=True)


def _essence(config: Any, leave_out: Collection[str] = ()) -> dict[str, Any]:
    """The fields that are not at their default: a new field that does nothing changes no id."""
    return config.model_dump(mode="json", exclude_defaults=True, exclude=set(leave_out))
