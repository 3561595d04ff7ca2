"""A run's results as figures, tables and one sentence that answers what the sweep asks."""

import io
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure
from pydantic import BaseModel, ConfigDict, ValidationError

from lt_core.config import Recipe
from tune_app.plan.plan import Plan, make_plan
from tune_app.plan.trainings import Training
from tune_app.report.answer import answer
from tune_app.report.figures import FIGURES, NotDrawn
from tune_app.report.tables import (
    accuracy_csv,
    as_csv,
    as_markdown,
    best_csv,
    best_rows,
    grid_rows,
    terminal_table,
)
from tune_app.results.curves import (
    Means,
    Point,
    Results,
    cells,
    curves,
    how_sparse,
)
from tune_app.results.method import method
from tune_app.results.result import Result
from tune_app.results.words import KIND_NAMES, short, varied_fields
from tune_app.run.console import duration
from tune_app.store.files import write_atomically
from tune_app.sweep.load import load_sweep
from tune_app.sweep.sweep import Sweep
from tune_app.words import plural

_DPI = 200  # print


class RunError(ValueError):
    """The run directory cannot be reported; says in one line which file and line, and why."""


@dataclass(frozen=True)
class Report:
    """What a person wants to see when a sweep is done."""

    answer: str
    """One sentence."""

    table: str
    """H_find × H_eval and the baselines, at the highest sparsity where the grid is complete."""

    notes: tuple[str, ...]
    """What is missing, left out or not drawn; a sentence each."""

    paths: tuple[Path, ...]
    """The files written, report.md last."""


def write_report(run_dir: Path) -> Report:
    """Report the directory of a run from what is in it; a sweep's or a search's.

    Raises:
        RunError: a file of the run is missing or damaged, or it has no results.
        SpecError: its `sweep.yaml` is not a sweep file.
        OSError: the directory cannot be written.
    """
    return write_report_of(run_dir, read_sweep(run_dir))[0]


def write_report_of(run_dir: Path, sweep: Sweep) -> tuple[Report, Callable[[], Results]]:
    """The report, and what reads its results: those of a search are not looked at."""
    if sweep.search is None:
        plan, results, notes = _read_grid(run_dir, sweep)
        return report_results(run_dir, sweep, plan, results, notes), lambda: results
    # Optuna and scipy take as long to load as all else.
    from tune_app.report.search import read_samples, report_search, results_of

    samples = read_samples(run_dir)
    report = report_search(run_dir, sweep, samples)
    return report, lambda: results_of(run_dir, sweep, samples)


def report_results(
    run_dir: Path, sweep: Sweep, plan: Plan, results: Results, notes: Iterable[str] = ()
) -> Report:
    """Write `figures/*.png`, `tables/*.csv` and `report.md` into the directory of a run.

    The run may be incomplete: what is there is shown, and what is missing is said.

    Args:
        run_dir: the directory, with its `run.json`.
        sweep: what ran.
        plan: of the sweep.
        results: of the plan, in its order; at least one.
        notes: on the results; the report's own come after them.

    Raises:
        RunError: `run.json` is missing or damaged.
        OSError: the directory cannot be written.
    """
    run = read_run(run_dir / "run.json")
    means, dense = results.means, results.dense
    found = {result.id for result in results}
    missing = [training for id, training in plan.trainings.items() if id not in found]
    notes = [*notes]
    if missing:
        notes.append(
            f"{len(missing):,} of {plural(len(plan.trainings), 'training')} without a result: "
            "listed in report.md under Missing."
        )
    notes += _incomplete(sweep, means)
    notes += _emptied(results, means)

    (run_dir / "figures").mkdir(exist_ok=True)
    (run_dir / "tables").mkdir(exist_ok=True)
    asked = {
        name: (title, partial(draw, sweep, results, run.commit))
        for name, (draw, title, is_asked) in FIGURES.items()
        if is_asked(sweep)
    }
    paths, images, not_drawn = draw_figures(run_dir, asked)
    notes += not_drawn
    for path in {run_dir / "figures" / f"{name}.png" for name in FIGURES} - {*paths}:
        path.unlink(missing_ok=True)  # of an earlier report
    for name, rows in (
        ("accuracy", accuracy_csv(sweep, means, dense)),
        ("best", best_csv(sweep, means)),
    ):
        paths.append(run_dir / "tables" / f"{name}.csv")
        write_atomically(paths[-1], as_csv(rows))

    report = Report(
        answer=answer(sweep, means),
        table=terminal_table(sweep, means, dense),
        notes=tuple(notes),
        paths=(*paths, run_dir / "report.md"),
    )
    page = _markdown(sweep, report, run, results, missing, images, means, dense)
    write_atomically(report.paths[-1], page.encode())
    return report


def draw_figures(
    run_dir: Path, figures: Mapping[str, tuple[str, Callable[[], Figure]]]
) -> tuple[list[Path], list[str], list[str]]:
    """Write `figures/*.png`.

    Args:
        run_dir: with the folder `figures`.
        figures: by name, a title and what draws it.

    Returns:
        The files, their sections in report.md, and a sentence on each that is not drawn.

    Raises:
        OSError: the directory cannot be written.
    """
    paths, images, notes = [], [], []
    for name, (title, draw) in figures.items():
        try:
            image = io.BytesIO()
            draw().savefig(image, dpi=_DPI)
        except NotDrawn as reason:
            notes.append(f"{name} is not drawn: {reason}.")
            continue
        paths.append(run_dir / "figures" / f"{name}.png")
        write_atomically(paths[-1], image.getvalue())
        images.append(f"### {name}: {title}\n\n![{title}](figures/{name}.png)\n")
    return paths, images, notes


# Reading


def read_run_dir(run_dir: Path) -> tuple[Sweep, Plan, Results, list[str]]:
    """What a grid ran, its plan, its results, and what to say of other results.

    Raises:
        RunError: a file of the run is missing or damaged, or it has no results.
        SpecError: its `sweep.yaml` is not a sweep file.
    """
    sweep = read_sweep(run_dir)
    return sweep, *_read_grid(run_dir, sweep)


def read_sweep(run_dir: Path) -> Sweep:
    """What ran.

    Raises:
        RunError: there is no such directory.
        SpecError: its `sweep.yaml` is not a sweep file.
    """
    if not run_dir.is_dir():
        raise RunError(f"{run_dir}: no such directory")
    return load_sweep(run_dir / "sweep.yaml")


def _read_grid(run_dir: Path, sweep: Sweep) -> tuple[Plan, Results, list[str]]:
    """The plan of a sweep, its results, and what to say of other results."""
    plan = make_plan(sweep)
    results, notes = read_results(run_dir / "results.jsonl", plan.trainings)
    if not results:
        raise RunError(f"{run_dir / 'results.jsonl'}: no results of this sweep")
    return plan, results, notes


class Run(BaseModel):
    """run.json: how the results were made."""

    model_config = ConfigDict(strict=True)

    command: str
    commit: str | None
    started_at: float
    versions: dict[str, str]
    hardware: str


def read_run(path: Path) -> Run:
    """Read `run.json`.

    Raises:
        RunError: it is missing or damaged.
    """
    try:
        return Run.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise RunError(f"{path}: no such file") from None
    except ValidationError as error:
        raise RunError(f"{path}: {_first(error)}") from None


def read_results(path: Path, planned: Mapping[str, Training]) -> tuple[Results, list[str]]:
    """The results in `results.jsonl` of planned trainings, in the plan's order.

    Args:
        path: of the file.
        planned: the trainings by id.

    Returns:
        The results, and a sentence on each kind of line that is left out.

    Raises:
        RunError: the file is missing or damaged.
    """
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        raise RunError(f"{path}: no such file") from None
    found: dict[str, Result] = {}
    for number, line in enumerate(lines, start=1):
        try:
            result = Result.from_line(line, planned)
        except ValidationError as error:
            raise RunError(f"{path}:{number}: {_first(error)}") from None
        found[result.id] = result
    notes = []
    if repeats := len(lines) - len(found):
        notes.append(f"{plural(repeats, 'result')} of a training that has a later one: left out.")
    if strangers := found.keys() - planned.keys():
        notes.append(f"{plural(len(strangers), 'result')} of no training of sweep.yaml: left out.")
    return Results(found[id] for id in planned if id in found), notes


def _first(error: ValidationError) -> str:
    problem = error.errors()[0]
    key = ".".join(map(str, problem["loc"]))
    return (f"`{key}`: " if key else "") + " ".join(problem["msg"].split())


def _emptied(results: Iterable[Result], means: Means) -> list[str]:
    """Layers that tickets leave without a weight; a residual network may live on without them."""
    chains: dict[tuple, dict[int, dict[str, float]]] = defaultdict(dict)
    for curve in curves(results):
        if curve.key.kind in ("lottery", "lpr_constrained"):
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
        f"from {how_sparse(means, min(at))} on."
        for layer, at in rounds.items()
    ]


def _incomplete(sweep: Sweep, means: Means) -> list[str]:
    total = len(sweep.find_recipes) * len(sweep.eval_recipes)
    have = "has" if total == 1 else "have"
    there = {round: len(cells(sweep, means, round)) for round in sweep.eval_rounds[1:]}
    parts = [
        f"{how_sparse(means, round)} ({n} of {plural(total, 'configuration')} {have} results)"
        for round, n in there.items()
        if n < total
    ]
    return [f"Not compared: {', '.join(parts)}."] if parts else []


# The page


def _markdown(
    sweep: Sweep,
    report: Report,
    run: Run,
    results: Results,
    missing: Sequence[Training],
    images: Sequence[str],
    means: Means,
    dense: Mapping[Recipe, Point],
) -> str:
    parts = [f"# {sweep.name}\n"]
    if sweep.description:
        parts.append(f"{sweep.description}\n")
    if how := method(sweep, sweep.baselines):
        parts.append(f"{' '.join(how)}\n")
    parts.append(f"**{report.answer}**\n")
    parts += [f"- {note}" for note in report.notes]
    parts += ["\n## Figures\n", *images]
    parts.append("## Tables\n")
    parts.append("Test accuracy in percent: mean ± sample standard deviation (number of seeds).\n")
    chosen = best_rows(sweep, means)
    if len(chosen) > 1:
        parts.append(f"### Best coupled and best decoupled, selected on {sweep.select_on}\n")
        parts.append(as_markdown(chosen))
    for round in sweep.eval_rounds[1:]:
        if not any(round in points for points in means.values()):
            continue
        parts.append(f"### {how_sparse(means, round)} (round {round})\n")
        parts.append(as_markdown(grid_rows(sweep, means, dense, round)))
    if missing:
        parts.append("## Missing\n")
        parts += [f"- {line}" for line in _missing_lines(sweep, missing)]
    parts += provenance_lines(run, len(results), sum(r.seconds for r in results))
    return "\n".join(parts) + "\n"


def provenance_lines(run: Run, num_trainings: int, seconds: float) -> list[str]:
    """The section on how the results were made, `seconds` of training in total."""
    started = datetime.fromtimestamp(run.started_at, UTC)
    return [
        "\n## Provenance\n",
        f"- command: `{run.command}`",
        f"- commit: {run.commit or 'unknown'}",
        f"- started: {started:%Y-%m-%d %H:%M} UTC",
        f"- hardware: {run.hardware}",
        f"- versions: {', '.join(f'{name} {v}' for name, v in run.versions.items())}",
        f"- trainings: {num_trainings:,}, {duration(seconds)} in total",
    ]


def _missing_lines(sweep: Sweep, missing: Iterable[Training]) -> list[str]:
    """One line per curve: which rounds of it lack which seeds."""
    varied = varied_fields(sweep)
    lines: dict[str, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for training in missing:
        name = [KIND_NAMES[training.kind]] if training.round else ["not pruned"]
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
