"""What is to be trained, asked whenever a trial can start and told of everything that happens."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from tune_app.plan.left import ToDo
from tune_app.plan.trainings import Chain, Training
from tune_app.results.result import Result
from tune_app.run.events import Event
from tune_app.trial.report import Order, Work


class Planned(Protocol):
    """The trainings of an agenda; each mapping is a snapshot, which later ones replace."""

    @property
    def trainings(self) -> Mapping[str, Training]:
        """By id."""

    @property
    def chain_of_ticket(self) -> Mapping[str, Chain]:
        """By ticket id."""


class Agenda(Protocol):
    """A grid, which answers once, with everything, or a search, which chooses as results come."""

    @property
    def plan(self) -> Planned: ...

    @property
    def known(self) -> Sequence[Result]:
        """The results that were stored when this began."""

    @property
    def total(self) -> int | None:
        """Trainings of this launch by now; None where results decide how many there will be."""

    def next(self, tickets: frozenset[str]) -> ToDo | None:
        """More to train; None where nothing is left, or nothing before something has ended.

        Args:
            tickets: the ids of those that exist.

        Raises:
            StoreError: when the store refuses.
        """

    def order(self, work: Work, needed: frozenset[str]) -> Order:
        """What the trial of a chain or an evaluation is told; `needed` as of `Order`."""

    def on_event(self, event: Event) -> None:
        """Take note of what happened."""

    def wait(self) -> frozenset[str] | None:
        """Wait, while no trial runs here, for what other launches train.

        Returns:
            The tickets that exist now, once there is more to do; None where nothing is left.

        Raises:
            StoreError: when the store refuses.
        """
