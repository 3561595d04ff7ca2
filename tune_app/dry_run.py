"""What a launch would do, and what it finds fault with."""

from typing import TYPE_CHECKING

from tune_app.arguments import Options
from tune_app.plan.left import what_is_left
from tune_app.plan.plan import make_plan
from tune_app.results.racing import still_needed
from tune_app.results.result import parser
from tune_app.run.about import about_in_words
from tune_app.run.estimate_words import show_estimate
from tune_app.run.identity import Identified, load_data
from tune_app.run.plan_words import show_lines, show_plan
from tune_app.store.store import Store

if TYPE_CHECKING:
    from lt_core.data import DataSet
    from tune_app.search.samples import Samples


def show_grid(identified: Identified, options: Options, store: Store) -> None:
    """Print what a grid would train, what that takes and, with --check, how its own code did.

    Raises:
        SpecError: when a short training fails.
        StoreError: when the store cannot be read.
    """
    sweep = identified.sweep
    plan, stored = make_plan(sweep), store.stored()
    failures = store.failures(plan.trainings.keys() - stored.results)
    if sweep.race is not None:
        at_hand = stored.results.intersection(plan.trainings)
        found = store.peek("results", at_hand, parser(plan.trainings)).values()
        plan = still_needed(sweep, plan, found, failures)
    to_do = what_is_left(plan, stored)
    to_do = show_plan(sweep, plan, to_do, store, stored, failures)
    lines, data = _checked(identified, options, store)
    show_estimate(sweep, plan, to_do, store, stored, data)
    show_lines(lines)


def show_search(identified: Identified, samples: "Samples", options: Options, store: Store) -> None:
    """Print what the rest of a search takes and, with --check, how its own code did.

    Raises:
        SpecError: when a short training fails.
        StoreError: when the store cannot be read.
    """
    from tune_app.search.outlook import outlook

    lines, data = _checked(identified, options, store)
    show_lines([*outlook(identified.sweep, samples, store, data), *lines])


def _checked(
    identified: Identified, options: Options, store: Store
) -> "tuple[list[str], DataSet | None]":
    """Lines on the user's own code; with --check on all, and the data set.

    Raises:
        SpecError: when a short training fails.
    """
    if not options.check:
        return [*about_in_words(identified.about), *identified.notes], None
    from tune_app.run.preflight import checked

    data = identified.data[0] if identified.data else load_data(identified.sweep, options.sweep)
    identified.data[:] = [data]  # which is taken out
    return [*checked(identified, store, options.sweep), *identified.notes], data
