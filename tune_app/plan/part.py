"""The part of a grid's plan that some of its configurations need, over some of its seeds."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from lt_core.config import Recipe
from tune_app.plan.plan import Plan
from tune_app.plan.trainings import Chain, Training

Pair = tuple[Recipe, Recipe]
"""A configuration: H_find and H_eval."""


def part(plan: Plan, seeds: Sequence[int], num_seeds: Mapping[Pair, int]) -> Plan:
    """The trainings that configurations need, each over the first `num_seeds` of `seeds`.

    A chain is needed by every configuration of its H_find, its last round by the coupled one alone;
    random masks and the dense network by every configuration of their H_eval. Other baselines go
    with the configuration whose tickets they control.

    Args:
        plan: of a grid without LPR-constrained chains.
        seeds: of the grid, in the order in which they are trained.
        num_seeds: by configuration, for all of the grid.
    """
    of_find: dict[Recipe, int] = defaultdict(int)
    of_eval: dict[Recipe, int] = defaultdict(int)
    for (find, eval_), number in num_seeds.items():
        of_find[find] = max(of_find[find], number)
        of_eval[eval_] = max(of_eval[eval_], number)
    place = {seed: i for i, seed in enumerate(seeds)}
    chains = []
    for chain in plan.chains:
        coupled = num_seeds.get((chain.find, chain.find))
        if place[chain.seed] < of_find[chain.find]:
            is_last_needed = coupled is None or place[chain.seed] < coupled
            chains.append(chain if is_last_needed else _without_last(chain))

    def is_needed(training: Training) -> bool:
        if training.find is None or training.round == 0:
            return place[training.seed] < of_eval[training.eval]
        return place[training.seed] < num_seeds[training.find, training.eval]

    trained = {training.id for chain in chains for training in chain.trainings}
    # The dense network of an H_eval whose own chain is not needed is trained by itself.
    dense = (chain.trainings[0] for chain in plan.chains)
    others = {t.id: t for t in (*dense, *plan.evaluations) if t.id not in trained and is_needed(t)}
    ids = trained | others.keys()
    rows = (
        replace(row, requested=tuple(id for id in row.requested if id in ids)) for row in plan.rows
    )
    return Plan(tuple(chains), tuple(others.values()), tuple(rows))


def _without_last(chain: Chain) -> Chain:
    """A chain up to the ticket of its last round; a one-shot chain, of one round, as it is."""
    if len(chain.trainings) == 1:
        return chain
    return Chain(chain.trainings[:-1], chain.found[:-1], chain.weights[:-1])
