"""The report of a search: figures, tables, an Optuna study, and the best configurations.

The samples were chosen on validation; what the best are worth on test, the comparison over fresh
seeds tells.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from tune_app.plan.plan import make_plan
from tune_app.report.figures.heat_map import heat_map
from tune_app.report.figures.importance_bars import draw_importances
from tune_app.report.figures.posterior import draw_posterior
from tune_app.report.figures.search_progress import draw_search
from tune_app.report.gain import gain, gain_csv, gains, other_picks
from tune_app.report.optuna_study import write_study
from tune_app.report.page import (
    Report,
    figure_lines,
    provenance_lines,
    write_figures,
    write_text,
)
from tune_app.report.search_answer import answer
from tune_app.report.search_tables import best_rows, samples_csv, spent_rows, terminal_table
from tune_app.report.search_words import sparsities
from tune_app.report.tables import as_csv, as_markdown
from tune_app.results.reading import RunError, read_planned, read_provenance
from tune_app.search.comparison import comparison
from tune_app.search.samples import Samples
from tune_app.store.files import write_atomically
from tune_app.sweep.sweep import Sweep
from tune_app.words import plural

_FIGURES: dict[str, tuple[str, Callable[[Sweep, Samples, str | None], Figure]]] = {
    "search": ("The best so far", draw_search),
    "heat_map": ("H_find and H_eval at a glance", heat_map),
    "posterior": ("What to expect along each field", draw_posterior),
    "importances": ("Which hyperparameter matters", draw_importances),
}
_ON_PAGE = 10  # samples


def report_search(run_dir: Path, sweep: Sweep, samples: Samples) -> Report:
    """Write figures, `tables/samples.csv`, `optuna.db`, `report.html` and
    `report.md` into a search's directory.

    With results of the comparison over fresh seeds beside it, in `<name>-best`, the answer goes on
    with theirs, and `tables/gain.csv` is written there.

    Args:
        run_dir: the directory, with its `run.json`.
        sweep: a search.
        samples: its samples, finished or not.

    Raises:
        RunError: `run.json` is missing or damaged.
        OSError: the directory cannot be written.
    """
    run = read_provenance(run_dir)
    figures = {
        name: (title, partial(draw, sweep, samples, run.commit))
        for name, (title, draw) in _FIGURES.items()
    }
    drawn = write_figures(run_dir, figures, every=figures)
    table, study = run_dir / "tables" / "samples.csv", run_dir / "optuna.db"
    table.parent.mkdir(exist_ok=True)
    write_atomically(table, as_csv(samples_csv(sweep, samples)))
    write_study(study, sweep, samples.all)
    notes = [*drawn.notes]
    gained, gain_table = _compare(run_dir, sweep, samples, notes)
    report = Report(
        answer=" ".join(filter(None, (answer(sweep, samples), gained))),
        table=terminal_table(sweep, samples),
        notes=tuple(notes),
        paths=(
            *drawn.paths,
            table,
            study,
            *gain_table,
            run_dir / "report.html",
            run_dir / "report.md",
        ),
    )
    trainings, training_seconds, _ = samples.spent
    has_run = "" if gained else ", once it has run"
    lines = [
        f"The comparison over fresh seeds{has_run}: "
        f"[{sweep.name}-best](../{sweep.name}-best/report.md)\n"
    ]
    lines += [f"- {note}" for note in report.notes]
    lines += [*figure_lines(drawn), *_table_lines(run_dir, sweep, samples)]
    lines += provenance_lines(run, trainings, training_seconds)
    write_text(run_dir, sweep, report.answer, lines)
    return report


def _compare(
    run_dir: Path, sweep: Sweep, samples: Samples, notes: list[str]
) -> tuple[str, list[Path]]:
    """The sentences of the comparison over fresh seeds, and its table; none before it has run.

    Only results with the ids of this comparison count: the directory may have those of another
    search of that name, or of configurations that were the best before.
    """
    chosen, beside = comparison(sweep, samples), run_dir.absolute().parent
    place = beside / f"{sweep.name}-best"
    table = place / "tables" / "gain.csv"
    if chosen is None or not (place / "results.jsonl").exists():
        return "", []
    try:
        results, _ = read_planned(place / "results.jsonl", make_plan(chosen).trainings)
    except RunError as error:
        notes.append(f"The comparison over fresh seeds cannot be read: {error}.")
        return "", []
    said = gain(sweep, samples, chosen, results)
    if not said:
        table.unlink(missing_ok=True)  # of an earlier comparison
        return "", []
    notes += other_picks(sweep, samples, chosen, results)
    table.parent.mkdir(exist_ok=True)
    write_atomically(table, as_csv(gain_csv(gains(sweep, samples, chosen, results))))
    return said, [run_dir.parent / table.relative_to(beside)]


def _table_lines(run_dir: Path, sweep: Sweep, samples: Samples) -> list[str]:
    """The section of report.md with the tables."""
    return [
        "## Tables\n",
        f"Validation accuracy, mean over {plural(len(sweep.seeds), 'seed')} {sparsities(sweep)}; "
        "every sample is in tables/samples.csv.\n",
        as_markdown(best_rows(sweep, samples, _ON_PAGE)),
        "### Spent\n",
        as_markdown(spent_rows(sweep, samples)),
        f"As an Optuna study: `optuna-dashboard sqlite:///{run_dir / 'optuna.db'}` (of the package "
        "optuna-dashboard).",
    ]
