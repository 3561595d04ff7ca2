"""The part of a plan that is not stored yet."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import TypeVar

from tune_app.plan.plan import Plan
from tune_app.plan.trainings import Chain, Training
from tune_app.store.inventory import Stored
from tune_app.store.store import Store

T = TypeVar("T")


@dataclass(frozen=True)
class ToDo:
    """The part of a plan that is not done yet, as trials."""

    chains: tuple[Chain, ...]
    evaluations: tuple[Training, ...]
    needed: frozenset[str | None]
    """The tickets that the evaluations are under, and those whose LPR chains take."""

    trainings: frozenset[str]
    """The ids to train; also rounds of a chain that are done but whose ticket is not stored."""

    @property
    def num_trials(self) -> int:
        return len(self.chains) + len(self.evaluations)


def what_is_left(plan: Plan, stored: Stored) -> ToDo:
    """The part of `plan` that `stored` does not hold."""
    evaluations = tuple(t for t in plan.evaluations if t.id not in stored.results)
    needed = {training.ticket for training in evaluations}
    chains, ids = [], {training.id for training in evaluations}
    for chain in reversed(plan.chains):  # a chain needs tickets only of chains before it
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

    A round is left if it has no result, or if its ticket is not stored but needed: by an evaluation
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
    """The stored tickets and weights that the trials of `to_do` will read."""
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
    for chain in to_do.chains:  # a chain waits only for tickets of chains before it
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


def what_is_whole(
    plan: Plan, store: Store, stored: Stored, parse: Callable[[bytes], T]
) -> tuple[dict[str, T], Stored, ToDo]:
    """Check the files that are needed: a plan's results by id, parsed, `stored` without the damaged
    files, and the part of the plan that is then left."""
    results = store.results(stored.results.intersection(plan.trainings), parse)
    stored = replace(stored, results=frozenset(results))
    while True:
        to_do = what_is_left(plan, stored)
        damaged = store.damaged(used(to_do, stored))
        if damaged == Stored():
            return results, stored, to_do
        # The trials that make it again may use more.
        stored = replace(
            stored,
            tickets=stored.tickets - damaged.tickets,
            weights=stored.weights - damaged.weights,
        )
