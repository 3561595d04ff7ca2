"""The runs of a directory: `python -m tune_app runs`."""

import re
import shutil
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import click

from tune_app.command import examples, out_option, refused
from tune_app.exit_codes import OK
from tune_app.plan.plan import make_plan
from tune_app.results.reading import RunError, read_provenance, read_sweep
from tune_app.run.variants import differences
from tune_app.store.disk_use import files
from tune_app.store.store import Store, StoreError, store_place
from tune_app.sweep.sweep import Sweep
from tune_app.sweep.yaml_source import SpecError, printable
from tune_app.words import first_few, in_bytes


@dataclass(frozen=True)
class _Row:
    name: str
    started: str
    done: str
    about: tuple[str, ...]
    """Sentences: what differs from the variant before, and the answer."""


def _run(out: Path, store: str | None) -> int:
    try:
        rows = list(_rows(out))
        stored = files(Store(store_place(out, store)))
    except (OSError, StoreError) as error:
        return refused(error)
    if not rows:
        print(f"no runs in {out}")
        return OK
    name, started = (max(len(row.name) for row in rows), len(rows[0].started))
    width = shutil.get_terminal_size().columns
    for row in rows:
        print(f"{row.name:<{name}}  {row.started:<{started}}  {row.done}")
        for line in row.about:
            print(textwrap.fill(line, width, initial_indent="  ", subsequent_indent="  "))
    sizes = {kind: sum(its.values()) for kind, its in stored.items()}
    kinds = ", ".join(f"{kind} {in_bytes(size)}" for kind, size in sizes.items() if size)
    print(f"\nstore: {in_bytes(sum(sizes.values()))}" + (f" ({kinds})" if kinds else ""))
    return OK


def _rows(out: Path) -> Iterator[_Row]:
    if not out.is_dir():
        raise FileNotFoundError(f"{out}: no such directory")
    before: dict[str, Sweep] = {}
    for path in sorted(out.glob("*/sweep.yaml"), key=lambda path: path.stat().st_mtime):
        run_dir = path.parent
        try:
            sweep = read_sweep(run_dir)
            run = read_provenance(run_dir)
        except (RunError, SpecError) as error:
            yield _Row(run_dir.name, "?", "?", (printable(str(error).splitlines()[0]),))
            continue
        first = run.variant_of or run_dir.name
        differs = first_few(differences(before[first], sweep), 6) if first in before else ""
        before[first] = sweep
        about = tuple(filter(None, (differs, _answer(run_dir))))
        minute = datetime.fromtimestamp(run.started_at).strftime("%Y-%m-%d %H:%M")
        yield _Row(run_dir.name, minute, _done(run_dir, sweep), about)


def _done(run_dir: Path, sweep: Sweep) -> str:
    """`816 of 816 trained`; the number alone where results decide the total."""
    done = _lines(run_dir / "results.jsonl")
    failed = _lines(run_dir / "failures.jsonl")
    if sweep.search is None and sweep.race is None:
        text = f"{done:,} of {len(make_plan(sweep).trainings):,} trained"
    else:
        text = f"{done:,} trained"
    return f"{text}, {failed:,} without a result" if failed else text


def _lines(path: Path) -> int:
    try:
        return path.read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def _answer(run_dir: Path) -> str:
    """The first two sentences of report.md's answer; none before there is one."""
    try:
        found = re.search(r"^\*\*(.+)\*\*$", (run_dir / "report.md").read_text(), re.MULTILINE)
    except FileNotFoundError:
        return ""
    return " ".join(re.split(r"(?<=\.) (?=[A-Z])", found[1])[:2]) if found else ""


COMMAND = click.Command(
    "runs",
    callback=_run,
    help="List the runs of a directory, the oldest first: when each was started, how far it is, "
    "what it asks otherwise than the one of its name before, and its answer; and the size of what "
    "they trained.",
    short_help="List runs: how far, what differs, the answer.",
    epilog=examples(
        "lottery runs",
        "lottery runs --out /shared/runs",
        "lottery runs --store s3://bucket/folder",
    ),
    params=[
        out_option("DIR", "Holds a directory for each run.", Path("runs")),
        click.Option(
            ["--store"], metavar="PLACE", help="What they trained; in --out if not given."
        ),
    ],
)
