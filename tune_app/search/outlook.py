"""What a search will take: its budget, and the comparison that follows it."""

from typing import TYPE_CHECKING

from pydantic import ValidationError

from tune_app.plan.left import what_is_left
from tune_app.plan.plan import Plan, make_plan
from tune_app.run.estimate import Estimate, NotKnown, estimate
from tune_app.run.estimate_words import estimate_text, machine
from tune_app.search.chooser import Configuration
from tune_app.search.comparison import between, comparison
from tune_app.search.plan import SearchPlan
from tune_app.search.samples import Samples
from tune_app.store.inventory import Stored
from tune_app.store.store import Store
from tune_app.sweep.sweep import Sweep
from tune_app.sweep.yaml_source import printable

if TYPE_CHECKING:
    from lt_core.data import DataSet


def outlook(
    sweep: Sweep, samples: Samples, store: Store, data: "DataSet | None" = None
) -> list[str]:
    """Lines on what the rest of a search takes, and what its comparison does.

    Args:
        sweep: a search.
        samples: what it has tried.
        store: of like trainings.
        data: as of `estimate`.

    Raises:
        StoreError: when the store refuses.
    """
    stored = store.stored()
    try:
        ends = _ends(sweep, store, stored, data)
        left, is_limit = _left(sweep, samples, ends)
        compared = _compared(sweep, samples, store, stored, data)
    except NotKnown as why:
        return [f"{'estimate':<16}not known: {printable(str(why))}"]
    lines = []
    if left:
        text = estimate_text(sweep, ends.times(left / len(ends.seconds)), is_limit=is_limit)
        lines.append(f"{'to search':<16}{text} ({ends.whence})")
    if compared.seconds:
        text = estimate_text(sweep, compared)
        lines.append(f"{'to compare':<16}{text} ({compared.whence})")
    return lines


def _corners(sweep: Sweep) -> tuple[Configuration, Configuration]:
    """Two configurations, at the low and the high ends of all ranges."""
    finds, evals = sweep.find_recipes, sweep.eval_recipes
    return Configuration(finds[0], evals[0]), Configuration(finds[-1], evals[-1])


def _ends(sweep: Sweep, store: Store, stored: Stored, data: "DataSet | None") -> Estimate:
    """What two configurations take that stand for all."""
    search_plan = SearchPlan(sweep)
    plans = [search_plan.of(configuration) for configuration in _corners(sweep)]
    chains = dict.fromkeys(chain for plan in plans for chain in plan.chains)
    evaluations = dict.fromkeys(training for plan in plans for training in plan.evaluations)
    plan = Plan(tuple(chains), tuple(evaluations), ())
    return estimate(sweep, plan, what_is_left(plan, Stored()), store, stored.results, data)


def _left(sweep: Sweep, samples: Samples, ends: Estimate) -> tuple[float, bool]:
    """Number of trainings that are left of the budget, and whether it may well come to less."""
    search, spent = sweep.search_block, samples.spent
    limits: list[tuple[float, bool]] = []
    if search.trainings is not None:
        limits.append((search.trainings - spent.trainings, False))
    if search.num_samples is not None:  # many samples share a chain
        each = len(SearchPlan(sweep).of(_corners(sweep)[0]).trainings)
        limits.append(((search.num_samples - len(samples.all)) * each, True))
    wall = ends.wall_seconds(sweep, *machine())
    if search.time_budget is not None and wall:
        limits.append(((search.seconds - spent.seconds) / wall * len(ends.seconds), True))
    if not limits:
        raise NotKnown("only `time_budget` ends the search, and this machine cannot hold a trial")
    left, is_limit = min(limits)
    return max(left, 0.0), is_limit


def _compared(
    sweep: Sweep, samples: Samples, store: Store, stored: Stored, data: "DataSet | None"
) -> Estimate:
    """What the comparison takes; before it is known of what, of two that stand for them."""
    chosen = comparison(sweep, samples)
    if chosen is None:
        low, high = _corners(sweep)
        # A stand-in that equals none of the others: seconds do not depend on weight decay.
        decay = max(recipe.weight_decay for recipe in (*sweep.find_recipes, *sweep.eval_recipes))
        another = high.eval.model_copy(update={"weight_decay": decay + 1})
        pair = Configuration(low.find, low.find), Configuration(high.find, another)
        try:
            chosen = between(sweep, pair)
        except ValidationError as error:
            raise NotKnown(f"the comparison cannot be run: {error.errors()[0]['msg']}") from None
    plan = make_plan(chosen)
    to_do = what_is_left(plan, stored)
    return estimate(chosen, plan, to_do, store, stored.results, data)
