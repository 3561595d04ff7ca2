"""What a trial is given, and what it tells the driver."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

from tune_app.plan.trainings import Chain, Training
from tune_app.results.result import Result

Work = Chain | Training


def first_lacking(work: Work, done: Collection[str]) -> str:
    """The training that a trial which could not say was at: its first, by id, without a result."""
    return next((id for id in work.ids if id not in done), work.ids[-1])


FailureKind = Literal["diverged", "missing", "store", "crashed"]
"""diverged: it would again. missing: something of the store that it needs. store: the storage
refuses, which stops all trials. crashed: an error, a lost worker or node; tried again at first."""


@dataclass(frozen=True)
class Order:
    """What one trial is to do."""

    work: Work
    needed: frozenset[str] = frozenset()
    """Chains only: the tickets that others wait for."""

    probes: Mapping[int, Training] = field(default_factory=dict)
    """Chains only: by round, an evaluation of its ticket that the chain is compared by."""

    watched: bool = False
    """Evaluations only: whether progress is reported between epochs."""

    @property
    def is_compared(self) -> bool:
        """Whether a scheduler may stop it, by what it reports on the way."""
        return self.watched or bool(self.probes)


@dataclass(frozen=True, slots=True)
class Standing:
    """How good a trial is by now: what a scheduler compares."""

    time: int
    """Epochs of a watched evaluation, the round of a probed chain."""

    val_accuracy: float


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a trial ended without its result."""

    training: str
    """The id of the training that failed."""

    reason: str
    kind: FailureKind


@dataclass(frozen=True, slots=True)
class Report:
    """One step of an order.

    An order that ends by itself ends with a report without `standing`; one that a scheduler
    stopped, with the report that it was stopped for.
    """

    result: Result | None = None
    """Of a training that is stored now."""

    tickets: tuple[str, ...] = ()
    """The ids of those that this step found."""

    standing: Standing | None = None
    failure: Failure | None = None
    notes: tuple[str, ...] = ()
    """For the user: what was set aside, what was waited for."""

    masks_from_disk: int = 0
    """Masks for `result` that the object store did not have."""

    done: bool = False
    """Whether it is the last of its order."""

    of: int = 0
    """Which of its trial's orders it is of."""
