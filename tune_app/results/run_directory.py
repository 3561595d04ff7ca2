"""What a run leaves behind, and where.

sweep.yaml       the resolved sweep file
run.json         command, commit, versions, hardware
results.jsonl    one line per finished training
results.csv      the same as a flat table
failures.jsonl   one line per training that has no result, and why
errors/          tracebacks of trials that crashed
search.json      of a search: the configurations that it tried
spent.json       of a search: how many trainings it made, and in what time
report.html, report.md, figures/, tables/    drawn from the above
"""

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from importlib import metadata
from io import StringIO
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML

from tune_app.json_line import as_line
from tune_app.results.result import Result
from tune_app.store.files import write_atomically
from tune_app.sweep.sweep import Sweep
from tune_app.words import plural

PACKAGES = ("torch", "ray", "mlflow", "numpy", "pydantic", "scikit-learn")


NOT_RUN = "was not run"
"""In failures.jsonl, the reason of a training that has not failed: the next launch trains it."""


class Provenance(BaseModel):
    """run.json: how the results were made."""

    model_config = ConfigDict(strict=True)

    command: str
    commit: str | None
    started_at: float
    """Seconds since 1970."""

    versions: dict[str, str]
    hardware: str
    data: str = ""
    """What was read, in words; earlier versions did not write it."""

    pruned: str = ""
    """What is pruned and what never, likewise."""

    variant_of: str = ""
    """The name in the sweep file, of a run that is kept apart from another of that name."""

    store: str = ""
    """The place of its store, where that is not beside it."""


class RunDirectory:
    """The directory of one sweep's run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self, sweep: Sweep) -> None:
        """Make the directory if need be, and write the sweep file, resolved.

        Raises:
            OSError: when it cannot be written.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        text = "# What ran: the sweep file with defaults and command line included.\n"
        write_atomically(self.path / "sweep.yaml", (text + resolved(sweep)).encode())

    def write_provenance(self, provenance: Mapping[str, Any]) -> None:
        """Replace run.json."""
        text = json.dumps(provenance, indent=2) + "\n"
        write_atomically(self.path / "run.json", text.encode())

    def provenance(self) -> Provenance | None:
        """What run.json says; None if there is none, or it is damaged."""
        try:
            return Provenance.model_validate_json((self.path / "run.json").read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def write_results(self, results: Iterable[Result]) -> None:
        """Replace results.jsonl."""
        _write_lines(self.path / "results.jsonl", (result.to_line() for result in results))

    def append_result(self, result: Result) -> None:
        """Add a line to results.jsonl; the store has synced the result already."""
        with open(self.path / "results.jsonl", "ab") as file:
            file.write(result.to_line() + b"\n")

    def write_failures(self, failures: Iterable[Mapping[str, Any]]) -> None:
        """Replace failures.jsonl."""
        _write_lines(self.path / "failures.jsonl", map(as_line, failures))

    def error(self, id: str) -> Path:
        """Where the traceback of a trial that crashed at training `id` is."""
        return self.path / "errors" / f"{id}.txt"

    def write_error(self, id: str, text: str) -> None:
        """Keep the traceback of a trial that crashed at training `id`."""
        path = self.error(id)
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, text.encode())


def resolved(sweep: Sweep) -> str:
    """A sweep file that stands alone, with defaults and command line included."""
    text = StringIO()
    YAML().dump(sweep.model_dump(mode="json", exclude_none=True), text)
    return text.getvalue()


def _write_lines(path: Path, lines: Iterable[bytes]) -> None:
    write_atomically(path, b"".join(line + b"\n" for line in lines))


def provenance(command: str) -> dict[str, Any]:
    """Who trains: the command, the commit, the versions and the hardware."""
    return {
        "command": command,
        "commit": _commit(),
        "started_at": time.time(),
        "versions": {
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in PACKAGES},
        },
        "hardware": _hardware(),
    }


def _commit() -> str | None:
    """The commit of this code, `-dirty` if it was changed since; None if nobody knows.

    Outside a checkout LOTTERY_COMMIT tells it, as in an image that was built with its name.
    """
    told = os.environ.get("LOTTERY_COMMIT") or None
    describe = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    here = Path(__file__).parent
    try:
        done = subprocess.run(describe, cwd=here, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return told
    return done.stdout.strip() if done.returncode == 0 else told


def _hardware() -> str:
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = plural(os.cpu_count() or 0, "core")
    return f"{cores}, {gib:.0f} GiB, {platform.machine()}, {sys.platform}"
