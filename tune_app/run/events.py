"""What happens while trials run, as the driver tells its listeners, in its own thread."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tune_app.results.result import Result
from tune_app.trial.report import FailureKind, Work


@dataclass(frozen=True, slots=True)
class Found:
    """Results that are stored already, by other sweeps, launches or an earlier one of this."""

    results: Sequence[Result]


@dataclass(frozen=True, slots=True)
class Started:
    """A trial has found room."""

    work: Work


@dataclass(frozen=True, slots=True)
class Finished:
    """A training is stored; a chain that goes on reports its earlier rounds once more."""

    result: Result
    masks_from_disk: int = 0
    """Masks for it that were not in the object store."""


@dataclass(frozen=True, slots=True)
class Retried:
    """A trial failed, and is handed out once more."""

    work: Work
    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """A trial failed for good."""

    work: Work
    kind: FailureKind
    reason: str
    """In one line."""

    training: str | None = None
    """The id of the training that failed; None where the trial could not say."""

    traceback: str = ""
    """Of a crash."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """A trial was given up by a scheduler."""

    work: Work
    time: int
    """Its epochs, or its chain's round, by then."""

    val_accuracy: float


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence for the user."""

    text: str


@dataclass(frozen=True, slots=True)
class Ended:
    """A trial runs no more, whatever came of it."""

    work: Work


Event = Found | Started | Finished | Retried | Failed | Stopped | Said | Ended

Listener = Callable[[Event], None]


class Listeners:
    """Tells several listeners; a listener may tell more while it hears of something."""

    def __init__(self) -> None:
        self.all: list[Listener] = []

    def tell(self, event: Event) -> None:
        for listener in self.all:
            listener(event)

    def say(self, text: str) -> None:
        self.tell(Said(text))
