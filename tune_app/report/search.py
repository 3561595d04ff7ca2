"""A search as figures, tables and a sentence: which configurations are best on validation.

What they are worth on test, their comparison over fresh seeds tells.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tune_app.plan.plan import make_plan
from tune_app.report.gain import gain, gain_csv, gains
from tune_app.report.optuna_study import write_study
from tune_app.report.page import (
    Report,
    Run,
    RunError,
    draw_figures,
    provenance_lines,
    read_results,
    read_run,
)
from tune_app.report.search_figures import draw_importances, draw_search, heat_map
from tune_app.report.search_words import complete, counts, place, sparsities
from tune_app.report.tables import Rows, as_csv, as_markdown
from tune_app.results.curves import Results
from tune_app.results.method import method
from tune_app.results.words import field_name, text, varied_fields
from tune_app.run.console import duration
from tune_app.search.comparison import comparison
from tune_app.search.plan import plan_of
from tune_app.search.samples import Sample, Samples, best
from tune_app.store.files import write_atomically
from tune_app.store.store import StoreError
from tune_app.sweep.sweep import Sweep
from tune_app.words import plural

_FIGURES = {
    "search": ("The best so far", draw_search),
    "heat_map": ("H_find and H_eval at a glance", heat_map),
    "importances": ("Which hyperparameter matters", draw_importances),
}
_IN_TERMINAL, _ON_PAGE = 5, 10  # samples


def report_search(run_dir: Path, sweep: Sweep, samples: Samples) -> Report:
    """Write figures, `tables/samples.csv`, `optuna.db` and `report.md` into a search's directory.

    Where the comparison over fresh seeds has results beside it, in `<name>-best`, the answer goes
    on with what they say, and `tables/gain.csv` is written there.

    Args:
        run_dir: the directory, with its `run.json`.
        sweep: a search.
        samples: its samples, finished or not.

    Raises:
        RunError: `run.json` is missing or damaged.
        OSError: the directory cannot be written.
    """
    run = read_run(run_dir / "run.json")
    for folder in ("figures", "tables"):
        (run_dir / folder).mkdir(exist_ok=True)
    figures = {
        name: (title, partial(draw, sweep, samples, run.commit))
        for name, (title, draw) in _FIGURES.items()
    }
    paths, images, notes = draw_figures(run_dir, figures)
    for path in {run_dir / "figures" / f"{name}.png" for name in figures} - {*paths}:
        path.unlink(missing_ok=True)  # of an earlier report
    table, study = run_dir / "tables" / "samples.csv", run_dir / "optuna.db"
    write_atomically(table, as_csv(samples_csv(sweep, samples)))
    write_study(study, sweep, samples.all)
    gained, gain_table = _compare(run_dir, sweep, samples, notes)
    report = Report(
        answer=" ".join(filter(None, (answer(sweep, samples), gained))),
        table=_terminal_table(sweep, samples),
        notes=tuple(notes),
        paths=(*paths, table, study, *gain_table, run_dir / "report.md"),
    )
    page = _markdown(run_dir, sweep, samples, report, run, images)
    write_atomically(report.paths[-1], page.encode())
    return report


def _compare(
    run_dir: Path, sweep: Sweep, samples: Samples, notes: list[str]
) -> tuple[str, list[Path]]:
    """What the comparison says, and its table; nothing where it has not run.

    Ids tell its results from those of another search of that name, or of what was best before.
    """
    chosen, beside = comparison(sweep, samples), run_dir.absolute().parent
    place = beside / f"{sweep.name}-best"
    table = place / "tables" / "gain.csv"
    if chosen is None or not (place / "results.jsonl").exists():
        return "", []
    try:
        results, _ = read_results(place / "results.jsonl", make_plan(chosen).trainings)
    except RunError as error:
        notes.append(f"The comparison over fresh seeds cannot be read: {error}.")
        return "", []
    said = gain(sweep, samples, chosen, results)
    if not said:
        table.unlink(missing_ok=True)  # of what was best before
        return "", []
    table.parent.mkdir(exist_ok=True)
    write_atomically(table, as_csv(gain_csv(gains(sweep, samples, chosen, results))))
    return said, [run_dir.parent / table.relative_to(beside)]


def read_samples(run_dir: Path) -> Samples:
    """The samples of a search's directory.

    Raises:
        RunError: they are missing or damaged.
    """
    path = run_dir / "search.json"
    if not path.exists():
        raise RunError(f"{path}: no such file")
    try:
        return Samples(path)
    except StoreError as error:
        raise RunError(str(error)) from None


def results_of(run_dir: Path, sweep: Sweep, samples: Samples) -> Results:
    """The results of a search.

    Raises:
        RunError: `results.jsonl` is missing or damaged.
    """
    plan = plan_of(sweep, (sample.configuration for sample in samples.all))
    return read_results(run_dir / "results.jsonl", plan.trainings)[0]


def answer(sweep: Sweep, samples: Samples) -> str:
    """One sentence: the best decoupled and the best coupled configuration, and what it claims."""
    tried = f"Of {plural(len(samples.all), 'sample')} and {plural(samples.spent[0], 'training')}"
    done = complete(samples)
    if not done:
        return f"No answer: {counts(samples)}; none is complete."
    found = []
    for coupled, name in ((False, "decoupled"), (True, "coupled")):
        if top := best(done, coupled):
            n = sum(sample.configuration.coupled == coupled for sample in done)
            found.append(
                f"the best of {plural(n, f'{name} configuration')}, "
                f"{place(sweep, top.configuration)}, reaches validation {100 * top.value:.1f}%"
            )
    seeds = f"mean over {plural(len(sweep.seeds), 'seed')} {sparsities(sweep)}"
    optimistic = "the highest of many noisy values is optimistic"
    if len(found) == 1:
        other = "decoupled" if best(done, coupled=True) else "coupled"
        return f"{tried}, {found[0]} ({seeds}; {optimistic}); no {other} one is complete."
    fresh = plural(len(sweep.search.report_seeds), "fresh seed")
    return (
        f"{tried}, {' and '.join(found)} ({seeds}); {optimistic}, which is why both are trained "
        f"again over {fresh}."
    )


# Tables


def samples_csv(sweep: Sweep, samples: Samples) -> list[list[Any]]:
    """One line per sample, in the order in which they were chosen.

    The value of one that was stopped is the last that was seen; one that failed has none.
    Trainings and seconds are those of the search until it ended.
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


_SPENT = ("trainings", "training_seconds", "seconds")


def _best_rows(sweep: Sweep, samples: Samples, most: int) -> Rows:
    """The best samples, with the best coupled and the best decoupled one also where these are not
    among them; the two have an asterisk."""
    done = complete(samples)
    chosen = [best(done, coupled) for coupled in (True, False)]
    top = sorted(done, key=lambda sample: -sample.value)
    fields = [
        (stage, field)
        for stage, varied in (("find", sweep.find.varied), ("eval", sweep.eval.varied))
        for field in varied
    ]
    names = [field_name(field, stage) for stage, field in fields]
    rows = [["sample", "", *names, "validation (%)"]]
    for i, sample in enumerate(top):
        if i < most or _is_in(sample, chosen):
            pair = sample.configuration
            value = f"{100 * sample.value:.1f}"
            rows.append(
                [
                    str(samples.all.index(sample) + 1),
                    "coupled" if pair.coupled else "decoupled",
                    *(text(getattr(getattr(pair, stage), field)) for stage, field in fields),
                    f"*{value}" if _is_in(sample, chosen) else value,
                ]
            )
    return rows


def _is_in(sample: Sample, chosen: Sequence[Sample | None]) -> bool:
    return any(sample is one for one in chosen)


def _terminal_table(sweep: Sweep, samples: Samples) -> str:
    rows = _best_rows(sweep, samples, _IN_TERMINAL)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [f"the best of {counts(samples)}; * the best coupled and the best decoupled"]
    for name, *values in rows:
        padded = (value.rjust(width) for value, width in zip(values, widths[1:], strict=True))
        lines.append("  ".join((name.ljust(widths[0]), *padded)))
    return "\n".join(lines)


def _spent_rows(sweep: Sweep, samples: Samples) -> Rows:
    search, (trainings, _, seconds) = sweep.search, samples.spent
    return [
        ["", "spent", "budget"],
        ["samples", f"{len(samples.all):,}", _or_none(search.num_samples)],
        ["trainings", f"{trainings:,}", _or_none(search.trainings)],
        ["wall time", duration(seconds), search.time_budget or "none"],
    ]


def _or_none(budget: int | None) -> str:
    return "none" if budget is None else f"{budget:,}"


# The page


def _markdown(
    run_dir: Path,
    sweep: Sweep,
    samples: Samples,
    report: Report,
    run: Run,
    images: Sequence[str],
) -> str:
    parts = [f"# {sweep.name}\n"]
    if sweep.description:
        parts.append(f"{sweep.description}\n")
    if how := method(sweep):
        parts.append(f"{' '.join(how)}\n")
    parts.append(f"**{report.answer}**\n")
    parts.append(
        "The comparison over fresh seeds, once it has run: "
        f"[{sweep.name}-best](../{sweep.name}-best/report.md)\n"
    )
    parts += [f"- {note}" for note in report.notes]
    parts += ["\n## Figures\n", *images, "## Tables\n"]
    parts.append(
        f"Validation accuracy, mean over {plural(len(sweep.seeds), 'seed')} {sparsities(sweep)}; "
        "every sample is in tables/samples.csv.\n"
    )
    parts.append(as_markdown(_best_rows(sweep, samples, _ON_PAGE)))
    parts += ["### Spent\n", as_markdown(_spent_rows(sweep, samples))]
    parts.append(
        f"As an Optuna study: `optuna-dashboard sqlite:///{run_dir / 'optuna.db'}` (of the package "
        "optuna-dashboard)."
    )
    trainings, training_seconds, _ = samples.spent
    parts += provenance_lines(run, trainings, training_seconds)
    return "\n".join(parts) + "\n"
