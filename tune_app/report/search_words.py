"""Configurations, sparsities and samples of a search, in words for people."""

from tune_app.results.curves import percent_pruned
from tune_app.results.words import short, varied_fields
from tune_app.search.chooser import Configuration
from tune_app.search.ranking import Expected
from tune_app.search.samples import Sample, Samples
from tune_app.sweep.sweep import Sweep
from tune_app.words import plural


def place(sweep: Sweep, configuration: Configuration) -> str:
    """`found at LR 0.1 and trained at LR 0.5`, or `found and trained at LR 0.1`."""
    varied = varied_fields(sweep)
    find, eval_ = (short(recipe, varied) for recipe in (configuration.find, configuration.eval))
    if configuration.coupled:
        return f"found and trained at {find}"
    return f"found at {find} and trained at {eval_}"


def sparsities(sweep: Sweep) -> str:
    """The nominal sparsities at which a search compares: `at 93.8% pruned`."""
    at = [percent_pruned(sweep.sparsities[round]) for round in sweep.search_rounds]
    if len(at) > 3:
        return f"at {len(at)} sparsities from {at[0]} to {at[-1]} pruned"
    return f"at {' and '.join(at)} pruned"


def counts(samples: Samples) -> str:
    """`40 samples: 35 complete, 3 stopped, 2 failed`."""
    states = [sample.state for sample in samples.all]
    there = (state for state in ("complete", "stopped", "failed", "running") if state in states)
    parts = ", ".join(f"{states.count(state):,} {state}" for state in there)
    return f"{plural(len(states), 'sample')}: {parts}" if states else "no samples"


def points(expected: Expected, sign: str = "") -> str:
    """An accuracy in percent, or with `sign="+"` a difference in points: `94.1 ± 0.8`."""
    return f"{100 * expected.mean:{sign}.1f} ± {100 * expected.deviation:.1f}"


def complete(samples: Samples) -> list[Sample]:
    """The samples with a final value."""
    return [sample for sample in samples.all if sample.state == "complete"]
