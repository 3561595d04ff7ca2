"""The orders of one trial."""

import traceback
from collections import deque
from collections.abc import Generator, Iterable
from dataclasses import replace

from lt_core.import_path import told
from tune_app.trial.report import Report


class Pack:
    """Advances orders by turns; each has the results, failures and checkpoints that it has alone.

    One that crashes ends alone: the others go on to their end, and then the trial crashes with what
    it did. So a pack loses none of its finished trainings, whatever becomes of it.
    """

    def __init__(self, orders: Iterable[Generator[Report | None, None, None]]) -> None:
        self._left = deque(enumerate(orders))
        self._errors: list[Exception] = []

    @property
    def is_done(self) -> bool:
        """Whether every order has ended, none with a crash."""
        return not self._left and not self._errors

    def next(self) -> Report:
        """The next report of any.

        Raises:
            Exception: what the first order that crashed did so with, and in its notes what others
                did, when none is left.
        """
        while self._left:
            number, reports = self._left.popleft()
            try:
                report = next(reports, Report(done=True))
            except Exception as error:
                traceback.clear_frames(error.__traceback__)  # and what they hold of a GPU's memory
                self._errors.append(error)
                continue
            if report is None or not report.done:
                self._left.append((number, reports))
            if report is not None:
                return replace(report, of=number)
        first, *others = self._errors
        for other in others:
            first.add_note(f"another order of the trial crashed: {told(other)}")
        raise first

    def close(self) -> None:
        """Give up what has not ended."""
        for _, reports in self._left:
            reports.close()
        self._left.clear()
