"""What a search has tried: its configurations in order, kept in search.json of the run directory,
and what that took, in spent.json. Those of a sweep file that was edited since are in
search_others.json, for when it is that again, and what other sweeps trained in search_known.json.

A search that was interrupted goes on with the same configurations, so that what was begun is
finished first; their values, and those of configurations that other sweeps trained, are in the
store.
"""

import contextlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from tune_app.search.chooser import Configuration
from tune_app.store.files import write_atomically
from tune_app.store.store import StoreError

State = Literal["running", "complete", "stopped", "failed"]


@dataclass
class Sample:
    """A configuration that a search chose, and what came of it."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(strict=True)

    configuration: Configuration
    id: str
    """Of the first training that gives its value: another one where the sweep file is another."""

    state: State = "running"
    value: float | None = None
    """Its mean validation accuracy; of one that was stopped the last that was seen, and 0 for one
    that failed."""

    reason: str = ""
    """Why it was stopped or failed."""

    trainings: int = 0
    """How many the search had made when this ended, over all its launches."""

    training_seconds: float = 0.0
    """How long these took."""

    seconds: float = 0.0
    """Wall time of the search then, over all its launches."""

    @property
    def known_value(self) -> float:
        """The value of a sample that ended."""
        assert self.value is not None  # it comes with the state
        return self.value


class Spent(NamedTuple):
    """What a search took, over all its launches."""

    trainings: int = 0
    training_seconds: float = 0.0
    """How long these took."""

    seconds: float = 0.0
    """Wall time."""


class Samples:
    """The samples of a search, in the order in which they were chosen."""

    def __init__(self, path: Path) -> None:
        """Take up what an earlier launch left at `path`.

        Raises:
            StoreError: when it is damaged.
        """
        self.path = path
        self.spent_path = path.with_name("spent.json")
        self.others_path = path.with_name("search_others.json")
        self.known_path = path.with_name("search_known.json")
        self.all: list[Sample] = []
        self.others: list[Sample] = []
        """Of another sweep file; known once they are left out."""

        self.known: list[Sample] = []
        """Configurations that other sweeps on the store have trained: the search does not try them
        again, and they may be the best."""

        self.last_spent = Spent()
        """By the end of the last training."""

        self._spent_with = ""
        """The id of the last sample then; early versions wrote none."""

        with contextlib.suppress(ValidationError):  # a launch finds them anew
            self.known = _read(self.known_path)
        try:
            self.all = _read(path)
        except ValidationError:
            raise StoreError(
                f"{path}: is damaged; without it the search starts anew, from what is trained"
            ) from None
        try:
            read = _SpentLine.model_validate_json(self.spent_path.read_bytes())
            self.last_spent = Spent(read.trainings, read.training_seconds, read.seconds)
            self._spent_with = read.sample
        except FileNotFoundError:
            pass  # of an older version
        except ValidationError:
            raise StoreError(
                f"{self.spent_path}: is damaged; without it trainings since the end of the last "
                "sample are not counted"
            ) from None

    def leave_out(self, is_another_s: Callable[[Sample], bool]) -> int:
        """Take out the samples of another sweep file and what that took, and take up again those of
        this one; how many were taken out.

        Raises:
            StoreError: when the file of what was taken out before is damaged.
        """
        try:
            before = _read(self.others_path)
        except ValidationError:
            raise StoreError(
                f"{self.others_path}: is damaged; without it samples of other sweep files are lost"
            ) from None
        every = {sample.id: sample for sample in (*before, *self.all)}.values()
        num_before = len(self.all)
        self.others = [sample for sample in every if is_another_s(sample)]
        self.all = [sample for sample in every if not is_another_s(sample)]
        if self.others and self._spent_with not in {sample.id for sample in self.all}:
            self.last_spent = Spent()
        return max(num_before - len(self.all), 0)

    def write(self) -> None:
        """Keep them, beside those of another launch of this search, and what they took.

        Raises:
            OSError: when the run directory cannot be written.
        """
        self.write_spent()
        there: list[Sample] = []
        with contextlib.suppress(ValidationError):  # damaged since: ours are whole
            there = _read(self.path)
        known = {sample.id for sample in (*self.all, *self.others)}
        _write(self.path, [*(sample for sample in there if sample.id not in known), *self.all])
        if self.others or self.others_path.exists():
            _write(self.others_path, self.others)
        if self.known or self.known_path.exists():
            _write(self.known_path, self.known)

    def write_spent(self) -> None:
        """Keep only what they took: the samples are many, and this changes with each training.

        Raises:
            OSError: when the run directory cannot be written.
        """
        last = self.all[-1].id if self.all else ""
        line = self.last_spent._asdict() | {"sample": last}
        write_atomically(self.spent_path, json.dumps(line).encode())

    @property
    def judged(self) -> list[Sample]:
        """What the best is chosen among, and known from."""
        return [*self.known, *self.all]

    @property
    def running(self) -> list[Sample]:
        return [sample for sample in self.all if sample.state == "running"]

    @property
    def spent(self) -> Spent:
        """Until now; at least as much as when the last sample ended."""
        ends = (Spent(s.trainings, s.training_seconds, s.seconds) for s in self.all)
        return Spent(*map(max, zip(self.last_spent, *ends, strict=True)))


def _read(path: Path) -> list[Sample]:
    """The samples in a file; none without one. Raises ValidationError."""
    try:
        return [_sample(line) for line in _LINES.validate_json(path.read_bytes())]
    except FileNotFoundError:
        return []


def _sample(line: dict[str, Any]) -> Sample:
    recipes = {stage: line.pop(stage, None) for stage in ("find", "eval")}
    return _SAMPLE.validate_json(json.dumps({"configuration": recipes, **line}))


def _write(path: Path, samples: Sequence[Sample]) -> None:
    text = ",\n".join(json.dumps(_line(sample)) for sample in samples)
    write_atomically(path, f"[\n{text}\n]\n".encode())


_LINES = TypeAdapter(list[dict[str, Any]])
_SAMPLE = TypeAdapter(Sample)


class _SpentLine(BaseModel):
    """What spent.json says."""

    model_config = ConfigDict(strict=True)

    trainings: int
    training_seconds: float
    seconds: float
    sample: str = ""


def _line(sample: Sample) -> dict[str, Any]:
    line = dict(vars(sample))
    configuration = line.pop("configuration")
    recipes = {
        "find": configuration.find.model_dump(mode="json"),
        "eval": configuration.eval.model_dump(mode="json"),
    }
    return recipes | line
