"""Notes on the results of a grid: what is missing, not compared, or pruned away."""

from collections import defaultdict
from collections.abc import Iterable

from lt_core.config import Recipe
from tune_app.plan.trainings import Training
from tune_app.results.curves import Means, Results, cells, curves, how_sparse, num_cells
from tune_app.results.words import kind_name, short, varied_fields
from tune_app.sweep.kinds import TICKETS
from tune_app.sweep.sweep import Sweep
from tune_app.words import plural

_ChainKey = tuple[Recipe | None, Recipe | None, int]  # H_find, whose LPR, seed


def incomplete(sweep: Sweep, means: Means) -> list[str]:
    """One sentence on the sparsities where not every configuration has results; else none."""
    total = num_cells(sweep)
    have = "has" if total == 1 else "have"
    there = {round: len(cells(sweep, means, round)) for round in sweep.eval_rounds[1:]}
    parts = [
        f"{how_sparse(means, round)} ({n} of {plural(total, 'configuration')} {have} results)"
        for round, n in there.items()
        if n < total
    ]
    return [f"Not compared: {', '.join(parts)}."] if parts else []


def emptied(results: Results) -> list[str]:
    """One sentence for each layer that lost all its weights in some tickets.

    A residual network may still train without such a layer.
    """
    chains: dict[_ChainKey, dict[int, dict[str, float]]] = defaultdict(dict)
    for curve in curves(results):
        if curve.key.kind in TICKETS:
            chain = chains[curve.key.find, curve.key.lpr_find, curve.seed]
            chain |= {result.round: result.lpr for result in curve.results if result.round > 0}
    rounds: dict[str, list[int]] = defaultdict(list)
    for chain in chains.values():
        for round, lpr in chain.items():
            for layer, fraction in lpr.items():
                if fraction == 1:
                    rounds[layer].append(round)
    num_tickets = sum(map(len, chains.values()))
    return [
        f"Layer {layer} has no weight left in {len(at)} of {plural(num_tickets, 'ticket')}, "
        f"from {how_sparse(results.means, min(at))} on."
        for layer, at in rounds.items()
    ]


def missing_lines(sweep: Sweep, missing: Iterable[Training]) -> list[str]:
    """One line for each curve: the rounds, and their seeds, that have no result."""
    varied = varied_fields(sweep)
    lines: dict[str, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for training in missing:
        name = [kind_name(training.kind)] if training.round else ["not pruned"]
        if training.find and training.round:
            name.append(short(training.find, varied, "find"))
        if training.lpr_find:
            name.append(f"LPR of {short(training.lpr_find, varied)}")
        name.append(short(training.eval, varied, "eval"))
        lines[", ".join(name)][training.round].append(training.seed)
    return [
        f"{name}: "
        + "; ".join(
            f"round {round} (seed {', '.join(map(str, seeds))})"
            for round, seeds in sorted(rounds.items())
        )
        for name, rounds in lines.items()
    ]
