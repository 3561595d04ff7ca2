"""The report of a grid: figures, tables and one sentence that answers what the sweep asks."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from lt_core.config import Recipe
from tune_app.plan.plan import Plan
from tune_app.plan.trainings import Training
from tune_app.report.costs import cost_csv, cost_lines
from tune_app.report.figures.overlap import OVERLAP_TITLE, draw_overlap
from tune_app.report.figures.paper import FIGURES
from tune_app.report.figures.readable import readable
from tune_app.report.grid_answer import answer
from tune_app.report.grid_notes import emptied, incomplete, missing_lines
from tune_app.report.grid_tables import (
    accuracy_csv,
    best_csv,
    best_rows,
    grid_rows,
    terminal_table,
)
from tune_app.report.latency import latency_lines
from tune_app.report.masks import MaskComparison, compare_masks
from tune_app.report.masks_tables import overlap_csv, overlap_lines
from tune_app.report.movement import movement_lines
from tune_app.report.page import (
    Report,
    figure_lines,
    provenance_lines,
    write_figures,
    write_text,
)
from tune_app.report.racing import report_race
from tune_app.report.tables import as_csv, as_markdown
from tune_app.report.winning import winning_rows
from tune_app.results.curves import Results, how_sparse
from tune_app.results.reading import read_failures, read_provenance
from tune_app.results.run_directory import NOT_RUN
from tune_app.store.files import write_atomically
from tune_app.store.store import Store
from tune_app.sweep.sweep import Sweep
from tune_app.words import plural


def report_grid(
    run_dir: Path,
    sweep: Sweep,
    plan: Plan,
    results: Results,
    store: Store | None,
    notes: Iterable[str] = (),
) -> Report:
    """Write `figures/`, `tables/*.csv`, `report.html` and `report.md` into the directory of a run.

    Missing results of an incomplete run are listed.

    Args:
        run_dir: the directory, with its `run.json`.
        sweep: a grid.
        plan: of the grid.
        results: of the plan, in its order; at least one.
        store: of the launch, for its masks; None where it cannot be opened, and they are left out.
        notes: on the results; the report's own come after them.

    Raises:
        RunError: `run.json` is missing or damaged.
        OSError: the directory cannot be written.
    """
    run = read_provenance(run_dir)
    race = report_race(sweep, plan, results, read_failures(run_dir))
    plan = race.plan
    found = {result.id for result in results}
    missing = [training for id, training in plan.trainings.items() if id not in found]
    shown, left_out = readable(sweep, results.means)
    asked = {
        name: (title, partial(draw, sweep if name == "fig3" else shown, results, run.commit))
        for name, (draw, title, is_asked) in FIGURES.items()
        if is_asked(sweep)
    }
    masks = MaskComparison() if store is None else compare_masks(sweep, plan, store)
    if masks.overlaps and len(sweep.find_recipes) > 1:
        asked["overlap"] = (OVERLAP_TITLE, partial(draw_overlap, sweep, masks, run.commit))
    drawn = write_figures(run_dir, asked, every=(*FIGURES, "overlap"))
    report = Report(
        answer=answer(sweep, results.means, _failed(run_dir, missing)),
        table=terminal_table(shown, results.means, results.dense),
        notes=(
            *notes,
            *race.notes,
            *_notes(sweep, plan, results, missing),
            *drawn.notes,
            *([left_out] if left_out else []),
            *masks.notes,
        ),
        paths=(
            *drawn.paths,
            *_write_tables(run_dir, sweep, results, masks),
            run_dir / "report.html",
            run_dir / "report.md",
        ),
    )
    lines = [f"- {note}" for note in report.notes]
    lines += [*figure_lines(drawn), *_table_lines(shown, results)]
    lines += [*race.lines, *cost_lines(sweep, results), *latency_lines(sweep, plan, store)]
    lines += [*overlap_lines(sweep, masks), *movement_lines(sweep, results)]
    if missing:
        lines += ["## Missing\n", *(f"- {line}" for line in missing_lines(sweep, missing))]
    lines += provenance_lines(run, len(results), sum(result.seconds for result in results))
    write_text(run_dir, sweep, report.answer, lines, sweep.controls)
    return report


def _failed(run_dir: Path, missing: Iterable[Training]) -> dict[tuple[Recipe, Recipe], str]:
    """Why configurations have failed for good: by the first of their trainings that did."""
    reasons = read_failures(run_dir)
    failed: dict[tuple[Recipe, Recipe], str] = {}
    for training in missing:
        reason = reasons.get(training.id, NOT_RUN)
        if training.kind == "lottery" and training.find is not None and reason != NOT_RUN:
            failed.setdefault((training.find, training.eval), reason)
    return failed


def _notes(
    sweep: Sweep, plan: Plan, results: Results, missing: Sequence[Training]
) -> Iterator[str]:
    if missing:
        yield (
            f"{len(missing):,} of {plural(len(plan.trainings), 'training')} without a result: "
            "listed in report.md under Missing."
        )
    yield from incomplete(sweep, results.means)
    yield from emptied(results)


def _write_tables(
    run_dir: Path, sweep: Sweep, results: Results, masks: MaskComparison
) -> list[Path]:
    folder = run_dir / "tables"
    folder.mkdir(exist_ok=True)
    tables = {
        folder / "accuracy.csv": accuracy_csv(sweep, results.means, results.dense),
        folder / "best.csv": best_csv(sweep, results.means),
        folder / "costs.csv": cost_csv(sweep, results),
        folder / "overlap.csv": overlap_csv(sweep, masks),
    }
    for path, rows in tables.items():
        if len(rows) > 1:
            write_atomically(path, as_csv(rows))
        else:
            path.unlink(missing_ok=True)
    return [path for path, rows in tables.items() if len(rows) > 1]


def _table_lines(sweep: Sweep, results: Results) -> list[str]:
    """The section of report.md with the tables."""
    means = results.means
    lines = ["## Tables\n"]
    lines.append("Test accuracy in percent: mean ± sample standard deviation (number of seeds).\n")
    chosen = best_rows(sweep, means)
    if len(chosen) > 1:
        lines.append(f"### Best coupled and best decoupled, selected on {sweep.select_on}\n")
        lines.append(as_markdown(chosen))
        lines.append("### Are they winning tickets?\n")
        lines.append("Differences of test accuracy in points, by seed, with 95% intervals.\n")
        lines.append(as_markdown(winning_rows(sweep, means, results.dense)))
    for round in sweep.eval_rounds[1:]:
        if any(round in points for points in means.values()):
            lines.append(f"### {how_sparse(means, round)} (round {round})\n")
            lines.append(as_markdown(grid_rows(sweep, means, results.dense, round)))
    return lines
