"""The smallest set of trainings that answers a sweep.

Equal trainings are one: a coupled evaluation is a round of the chain that found its mask, all
chains of one H and seed share the dense network, and a training of another sweep in the same store
is done already.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from lt_core.config import Recipe
from tune_app.plan.ids import Ids
from tune_app.plan.trainings import Chain, Training
from tune_app.sweep.kinds import Kind, in_short, is_file
from tune_app.sweep.sweep import Sweep
from tune_app.words import plural


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the plan: a part of the sweep and the ids of the trainings it asks for."""

    stage: str
    what: str
    """Its size in words, for each seed and sparsity."""

    requested: tuple[str, ...]
    """With repeats, where the part asks for one training several times."""


@dataclass(frozen=True)
class Plan:
    """The trainings of a sweep, each once."""

    chains: tuple[Chain, ...]
    evaluations: tuple[Training, ...]
    """The trainings that are no round of a chain."""

    rows: tuple[Row, ...]

    @cached_property
    def trainings(self) -> Mapping[str, Training]:
        """Every training by id: the chains' first, then the evaluations."""
        rounds = (training for chain in self.chains for training in chain.trainings)
        return {training.id: training for training in (*rounds, *self.evaluations)}

    @cached_property
    def chain_of_ticket(self) -> Mapping[str, Chain]:
        """The chain that finds each ticket."""
        return {ticket: chain for chain in self.chains for ticket in chain.tickets}


def make_plan(sweep: Sweep) -> Plan:
    """The plan of a sweep, whatever is stored already."""
    ids = Ids(sweep)
    # Chains that take the LPR of another come after it.
    constrained = [
        (find, source)
        for source in sweep.lpr_sources
        for find in sweep.find_recipes
        if find != source
    ]
    # The last round is trained only where it is an evaluation; otherwise no figure needs it.
    coupled = sweep.eval_recipes if sweep.rewinds_alike else ()
    chains = tuple(
        chain_to(sweep, ids, find, seed, sweep.eval_rounds[-1], find in coupled, source)
        for find, source in (*((find, None) for find in sweep.find_recipes), *constrained)
        for seed in sweep.seeds
    )
    more = f" + {len(constrained)}" if constrained else ""
    in_chains = tuple(id for chain in chains for id in chain.ids)
    what = f"{len(sweep.find_recipes)}{more} H_find x {_lengths(chains)}"
    rows = [Row("find", what, in_chains)]
    asked: dict[str, Training] = {}
    for stage, what, trainings in _evaluations(sweep, ids, constrained):
        requested = []
        for training in trainings:
            asked.setdefault(training.id, training)
            requested.append(training.id)
        rows.append(Row(stage, what, tuple(requested)))
    others = asked.keys() - set(in_chains)
    return Plan(chains, tuple(t for id, t in asked.items() if id in others), tuple(rows))


def _evaluations(
    sweep: Sweep, ids: Ids, constrained: Sequence[tuple[Recipe, Recipe]]
) -> Iterator[tuple[str, str, Iterator[Training]]]:
    """The parts of a sweep: stage, size in words, and evaluations."""
    evals, seeds = sweep.eval_recipes, sweep.seeds
    rounds = [round for round in sweep.eval_rounds if round > 0]

    def grid(
        kind: Kind, pairs: Sequence[tuple[Recipe, Recipe | None]]
    ) -> tuple[str, str, Iterator[Training]]:
        return (
            kind,
            f"{len(pairs)} H_find x {len(evals)} H_eval",
            (
                ids.evaluation(kind, find, eval_, seed, round, source)
                for find, source in pairs
                for eval_ in evals
                for round in rounds
                for seed in seeds
            ),
        )

    dense = (ids.dense(eval_, seed) for eval_ in evals for seed in seeds)
    yield "dense", f"{len(evals)} H_eval", dense
    kinds: tuple[Kind, ...] = ("lottery", *sweep.baselines)
    for kind in kinds:
        yield grid(kind, [(find, None) for find in sweep.find_recipes])
    for kind in sweep.masks or ():
        yield _given(sweep, ids, kind, rounds)
    if constrained:
        yield grid("lpr_constrained", constrained)


def _given(
    sweep: Sweep, ids: Ids, kind: Kind, rounds: Sequence[int]
) -> tuple[str, str, Iterator[Training]]:
    """Of a given mask, which no H_find changes; that of a file has a sparsity of its own."""
    find, evals = sweep.find_recipes[0], sweep.eval_recipes
    own = rounds[-1:] if is_file(kind) else rounds
    return (
        in_short(kind),
        f"{len(evals)} H_eval" + (", its own sparsity" if is_file(kind) else ""),
        (
            ids.evaluation(kind, find, eval_, seed, round)
            for eval_ in evals
            for round in own
            for seed in sweep.seeds
        ),
    )


def _lengths(chains: Collection[Chain]) -> str:
    """`14 rounds`, or `13 to 14 rounds` where only coupled chains train under their last ticket."""
    lengths = sorted({len(chain.trainings) for chain in chains})
    longest = plural(lengths[-1], "round")
    return longest if len(lengths) == 1 else f"{lengths[0]} to {longest}"


def chain_to(
    sweep: Sweep,
    ids: Ids,
    find: Recipe,
    seed: int,
    last: int,
    is_last_trained: bool = False,
    lpr_from: Recipe | None = None,
) -> Chain:
    """The chain that finds the tickets up to round `last`; `is_last_trained`: that one is trained
    too. `lpr_from` is the H_find whose LPR the chain takes."""
    is_one_shot = sweep.prune.is_one_shot
    num_rounds = last + 1 if is_last_trained else max(last, 1)
    if is_one_shot:
        num_rounds = 1
    kind: Kind = "lottery" if lpr_from is None else "lpr_constrained"
    if not sweep.rewinds_alike:
        kind = "chain"
    trainings = [ids.dense(find, seed)]
    for round in range(1, num_rounds):
        trainings.append(ids.evaluation(kind, find, find, seed, round, lpr_from))

    num_tickets = num_rounds if lpr_from is None and not is_one_shot else max(last, 1)
    numbers = range(1, num_tickets + 1)
    tickets = tuple(ids.ticket(find, seed, round, lpr_from) for round in numbers)
    found = (tickets,) if is_one_shot else tuple(tickets[i : i + 1] for i in range(num_rounds))
    weights: tuple[str, ...] = ()
    if not sweep.find_rewind.method == sweep.eval_rewind.method == "weights":
        weights = (trainings[0].id, *tickets[1:num_rounds])
    lpr_tickets: tuple[str, ...] = ()
    if lpr_from is not None:
        lpr_tickets = tuple(ids.ticket(lpr_from, seed, round) for round in numbers)
    return Chain(tuple(trainings), found, weights, lpr_tickets)
