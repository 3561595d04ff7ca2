"""What results of an earlier version lack, counted from the masks in the store."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from tune_app.plan.trainings import Training
from tune_app.results.result import Result
from tune_app.run.identity import Identified, load_data
from tune_app.store.store import Missing, Store
from tune_app.sweep.kinds import TICKETS, UNDER_TICKETS
from tune_app.words import plural


def with_costs(
    identified: Identified,
    trainings: Mapping[str, Training],
    results: dict[str, Result],
    store: Store,
    path: Path,
) -> tuple[dict[str, Result], list[str]]:
    """Results with what their networks cost, stored anew where they had none.

    Args:
        identified: the sweep; the data set, where loaded, is left in it.
        trainings: of its plan, by id.
        results: of some of them, by id.
        store: of the masks.
        path: of the sweep file, for messages.

    Returns:
        The results, and a sentence where some lacked their costs.

    Raises:
        SpecError: when the data set cannot be loaded.
        StoreError: when the store cannot be used.
    """
    lacking = [id for id, result in results.items() if result.cost is None]
    if not lacking:
        return results, []
    # Here: it takes torch, which only early results need where nothing is to be trained.
    from lt_core.cost import Cost
    from tune_app.trial.trainer import Trainer, stored_ticket, uncountable

    sweep = identified.sweep
    if not identified.data:
        identified.data.append(load_data(sweep, path))
    data = identified.data[0]
    ticket = partial(stored_ticket, store)
    trainer = Trainer(sweep.network, sweep.prune, data, store, ticket, "cpu")
    try:
        costing = trainer.costing
    except Exception as error:  # a network of the user's does anything
        return results, [uncountable(error)]
    costs: dict[tuple[object, ...], Cost] = {}
    counted, num_missing = dict(results), 0
    for id in lacking:
        key = _same_mask(trainings[id])
        try:
            if key not in costs:
                costs[key] = costing.cost(trainer.mask(trainings[id]))
        except Missing:
            num_missing += 1
            continue
        counted[id] = replace(results[id], cost=costs[key])
        store.put_result(id, counted[id].to_line())
    num_counted = len(lacking) - num_missing
    said = f"counted what {plural(num_counted, 'network')} of an earlier version cost"
    if num_missing:
        said += f"; of {num_missing:,} more the mask is not stored"
    return counted, [said]


def _same_mask(training: Training) -> tuple[object, ...]:
    """Equal for trainings under one mask."""
    if training.ticket is None:
        return (training.kind, training.seed, training.round)
    is_control = training.kind not in TICKETS | UNDER_TICKETS
    return (training.kind if is_control else "ticket", training.ticket)
