"""Tables of a search: its samples, the best of them, and what it spent."""

from collections.abc import Sequence
from typing import Any

from tune_app.report.search_words import counts, points
from tune_app.report.tables import Rows, as_text
from tune_app.results.words import field_name, text, varied_fields
from tune_app.search.ranking import rank
from tune_app.search.samples import Sample, Samples
from tune_app.sweep.sweep import Sweep
from tune_app.words import duration

_SPENT = ("trainings", "training_seconds", "seconds")
_IN_TERMINAL = 5  # samples


def samples_csv(sweep: Sweep, samples: Samples) -> list[list[Any]]:
    """One line for each sample, in the order in which they were chosen.

    The value of a stopped sample is the last one measured; a failed sample has none. Trainings and
    seconds count from the start of the search to the end of the sample.
    """
    varied = varied_fields(sweep)
    columns = [f"{stage}_{field}" for stage in ("find", "eval") for field in varied]
    rows: list[list[Any]] = [["number", *columns, "coupled", "state", "value", *_SPENT, "reason"]]
    for i, sample in enumerate(samples.all, start=1):
        pair = sample.configuration
        recipes = [text(getattr(r, field)) for r in (pair.find, pair.eval) for field in varied]
        coupled = "true" if pair.coupled else "false"
        value = sample.value if sample.state in ("complete", "stopped") else ""
        spent = (
            [getattr(sample, name) for name in _SPENT] if sample.state != "running" else [""] * 3
        )
        rows.append([i, *recipes, coupled, sample.state, value, *spent, sample.reason])
    return rows


def best_rows(sweep: Sweep, samples: Samples, most: int) -> Rows:
    """The `most` best samples by what is expected of them, and the best coupled and the best
    decoupled one, with asterisks, if they are not among those."""
    ranking = rank(sweep, samples.judged)
    chosen = [ranking.best(coupled) for coupled in (True, False)]
    expected = ranking.expected([sample.configuration for sample in ranking.samples])
    fields = [
        (stage, field)
        for stage, varied in (("find", sweep.find.varied), ("eval", sweep.eval.varied))
        for field in varied
    ]
    names = [field_name(field, stage) for stage, field in fields]
    rows = [["sample", "", *names, "validation (%)", "expected (%)"]]
    for i, (sample, of_sample) in enumerate(zip(ranking.samples, expected, strict=True)):
        if i < most or _is_in(sample, chosen):
            pair = sample.configuration
            value = points(of_sample)
            rows.append(
                [
                    str(samples.all.index(sample) + 1) if sample in samples.all else "other sweep",
                    "coupled" if pair.coupled else "decoupled",
                    *(text(getattr(getattr(pair, stage), field)) for stage, field in fields),
                    f"{100 * sample.known_value:.1f}",
                    f"*{value}" if _is_in(sample, chosen) else value,
                ]
            )
    return rows


def _is_in(sample: Sample, chosen: Sequence[Sample | None]) -> bool:
    return any(sample is one for one in chosen)


def terminal_table(sweep: Sweep, samples: Samples) -> str:
    """The best samples, as text."""
    title = f"the best of {counts(samples)}; * the best coupled and the best decoupled"
    return f"{title}\n{as_text(best_rows(sweep, samples, _IN_TERMINAL))}"


def spent_rows(sweep: Sweep, samples: Samples) -> Rows:
    """Samples, trainings and wall time: spent so far, and the budget."""
    search, (trainings, _, seconds) = sweep.search_block, samples.spent
    return [
        ["", "spent", "budget"],
        ["samples", f"{len(samples.all):,}", _or_none(search.num_samples)],
        ["trainings", f"{trainings:,}", _or_none(search.trainings)],
        ["wall time", duration(seconds), search.time_budget or "none"],
    ]


def _or_none(budget: int | None) -> str:
    return "none" if budget is None else f"{budget:,}"
