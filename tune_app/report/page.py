"""The page of a report, shared by grids and searches: figures as files, sections, provenance."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from matplotlib.figure import Figure

from tune_app.report.figures.image_files import FORMATS, image_files
from tune_app.report.figures.not_drawn import NotDrawn
from tune_app.report.html_page import html_page
from tune_app.results.method import method
from tune_app.results.run_directory import Provenance
from tune_app.store.files import write_atomically
from tune_app.sweep.sweep import Sweep
from tune_app.words import duration


@dataclass(frozen=True)
class Report:
    """The outcome of a sweep, for people."""

    answer: str
    """One sentence for a grid, a few for a search."""

    table: str
    """For the terminal. A grid's: H_find × H_eval and the baselines, at the highest sparsity where
    the grid is complete. A search's: its best samples."""

    notes: tuple[str, ...]
    """One sentence for each thing that is missing, left out or not drawn."""

    paths: tuple[Path, ...]
    """The files written, report.html and report.md last; of each figure its PNG, beside which lie
    PDF and SVG."""

    @property
    def page(self) -> Path:
        """report.html."""
        return self.paths[-2]


@dataclass(frozen=True)
class Drawn:
    """Figures that were written."""

    paths: tuple[Path, ...]
    sections: tuple[str, ...]
    """Of report.md, one for each figure."""

    notes: tuple[str, ...]
    """One sentence for each figure that is not drawn."""


def write_figures(
    run_dir: Path, figures: Mapping[str, tuple[str, Callable[[], Figure]]], every: Iterable[str]
) -> Drawn:
    """Write `figures/`, each figure as PNG, PDF and SVG, and remove those of an earlier report.

    Args:
        run_dir: the directory of a run.
        figures: title and drawing function, by name.
        every: the names that an earlier report of this kind may have drawn.

    Raises:
        OSError: the directory cannot be written.
    """
    folder = run_dir / "figures"
    folder.mkdir(exist_ok=True)
    paths, sections, notes = [], [], []
    for name, (title, draw) in figures.items():
        try:
            figure = draw()
        except NotDrawn as reason:
            notes.append(f"{name} is not drawn: {reason}.")
            continue
        files = image_files(figure, f"{name}: {title}")
        for format, content in files.items():
            write_atomically(folder / f"{name}.{format}", content)
        paths.append(folder / f"{name}.png")
        caption = figure.get_label()
        sections.append(f"### {name}: {title}\n\n![{title}](figures/{name}.png)\n\n{caption}\n")
    for name in {*every} - {path.stem for path in paths}:
        for format in FORMATS:
            (folder / f"{name}.{format}").unlink(missing_ok=True)
    return Drawn(tuple(paths), tuple(sections), tuple(notes))


def write_text(
    run_dir: Path,
    sweep: Sweep,
    answer: str,
    lines: Sequence[str],
    baselines: Collection[str] = (),
) -> None:
    """Write report.md, and report.html with the figures inside.

    Args:
        run_dir: the directory of a run, with its figures.
        sweep: gives name and description.
        answer: of the report.
        lines: in Markdown, that follow name, description, method and answer.
        baselines: whose method is told beside that of the sweep.

    Raises:
        OSError: the directory cannot be written.
    """
    head = [sweep.description, " ".join(method(sweep, baselines))]
    about = [f"{paragraph}\n" for paragraph in head if paragraph]
    page = html_page(sweep.name, answer, "\n".join([*about, *lines]), run_dir)
    text = "\n".join([f"# {sweep.name}\n", *about, f"**{answer}**\n", *lines, ""])
    write_atomically(run_dir / "report.html", page.encode())
    write_atomically(run_dir / "report.md", text.encode())


def figure_lines(drawn: Drawn) -> list[str]:
    """The section of the figures."""
    also = "Each is in `figures/` as PDF and SVG too, with its caption in the metadata.\n"
    return ["\n## Figures\n", *([also] if drawn.sections else []), *drawn.sections]


def provenance_lines(run: Provenance, num_trainings: int, seconds: float) -> list[str]:
    """The section on how the results were made; `seconds` is the training time of all of them."""
    started = datetime.fromtimestamp(run.started_at, UTC)
    about = {"data": run.data, "prunes": run.pruned}
    return [
        "\n## Provenance\n",
        *(f"- {name}: {text}" for name, text in about.items() if text),
        f"- command: `{run.command}`",
        f"- commit: {run.commit or 'unknown'}",
        f"- started: {started:%Y-%m-%d %H:%M} UTC",
        f"- hardware: {run.hardware}",
        f"- versions: {', '.join(f'{name} {v}' for name, v in run.versions.items())}",
        f"- trainings: {num_trainings:,}, {duration(seconds)} in total",
    ]
