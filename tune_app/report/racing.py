"""The section of a grid's report on its race: what was not needed, and what dropped out."""

from collections.abc import Mapping
from dataclasses import dataclass

from tune_app.plan.plan import Plan
from tune_app.report.tables import as_markdown
from tune_app.results.curves import Results, percent_pruned
from tune_app.results.racing import (
    Standing,
    accuracies_of,
    needed,
    outcomes_of,
    pairs_of,
    standing_of,
)
from tune_app.results.racing_words import gain_in_words, name, why_dropped
from tune_app.results.run_directory import NOT_RUN
from tune_app.sweep.sweep import Sweep
from tune_app.words import plural


@dataclass(frozen=True)
class RaceReport:
    """What a race leaves of a grid's plan, and tells."""

    plan: Plan
    """The trainings that are needed; all of them where there is no race."""

    notes: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    """The section of report.md."""


def report_race(
    sweep: Sweep, plan: Plan, results: Results, reasons: Mapping[str, str]
) -> RaceReport:
    """Follow a grid's race by its results.

    Args:
        sweep: the grid.
        plan: of the grid, with all seeds.
        results: of the plan.
        reasons: why trainings have no result, as failures.jsonl has them, by id.
    """
    if sweep.race is None:
        return RaceReport(plan)
    failures = {id: reason for id, reason in reasons.items() if reason != NOT_RUN}
    now = standing_of(sweep, outcomes_of(sweep, plan, accuracies_of(sweep, results), failures))
    left = needed(sweep, plan, now)
    spared = len(plan.trainings) - len(left.trainings)
    asked = plural(len(plan.trainings), "training")
    dropped = f"{len(now.dropped):,} of {plural(len(pairs_of(sweep)), 'configuration')} dropped out"
    note = f"Racing: {spared:,} of {asked} were not needed; {dropped}; {gain_in_words(sweep, now)}."
    return RaceReport(left, (note,), tuple(_section(sweep, now)))


def _section(sweep: Sweep, now: Standing) -> list[str]:
    assert sweep.race is not None  # it has a standing
    at = percent_pruned(sweep.sparsities[sweep.eval_rounds[-1]])
    said = gain_in_words(sweep, now)
    rows = [["configuration", "seeds", "dropped out"]]
    for pair in pairs_of(sweep):
        if pair in now.dropped:
            drop = now.dropped[pair]
            rows.append([name(sweep, pair), f"{drop.after}", why_dropped(pair, drop)])
        else:
            rows.append([name(sweep, pair), f"{now.num_seeds}", "–"])
    return [
        "## Race\n",
        f"Compared by {sweep.select_on} accuracy at {at} pruned, paired by seed, after each seed "
        f"from {sweep.race.first} on. A configuration drops out once it is below the leader of its "
        "class, coupled or decoupled, by a one-sided t-test; no more seeds are trained once the "
        "95% interval of the best decoupled less the best coupled is within "
        f"± {sweep.race.until:g} points. All looks are at one level (Pocock 1977), such that over "
        "all of them together one drops out because of another that is no better, or the interval "
        "misses, with a probability of at most 5%. Intervals elsewhere in this report are as if "
        "the number of seeds had been given beforehand, and compare what has the most of them: "
        "what dropped out here may be the best at a lower sparsity. Where `at_most` is raised "
        "after a look, the 5% are those of the new number.\n",
        f"{said[0].upper()}{said[1:]}.\n",
        as_markdown(rows),
    ]
