"""Live progress in the terminal: what is running, done and failed, and when it will be over."""

import time
from collections.abc import Callable
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tune_app.plan.trainings import Chain
from tune_app.results.result import Result
from tune_app.results.words import label, varied_fields
from tune_app.run.best_so_far import BestSoFar
from tune_app.run.estimate import Estimate
from tune_app.run.events import (
    Ended,
    Event,
    Failed,
    Finished,
    Found,
    Retried,
    Said,
    Started,
    Stopped,
)
from tune_app.sweep.sweep import Sweep
from tune_app.trial.report import Work
from tune_app.words import duration, plural


def how_far(work: Work, time: int, val_accuracy: float) -> str:
    """Where a trial was given up."""
    at = f"at round {time}" if isinstance(work, Chain) else f"after {plural(time, 'epoch')}"
    return f"{at} with validation {val_accuracy:.1%}"


class Progress:
    """Says what is running, done and failed, and when it will be over.

    On a terminal a few lines that change; elsewhere one line for each finished training.
    """

    def __init__(
        self,
        sweep: Sweep,
        total: Callable[[], int | None],
        stream: TextIO,
        estimate: Estimate | None = None,
    ) -> None:
        """Prepare.

        Args:
            sweep: what runs.
            total: the number of trainings by now; None where results decide it.
            stream: a terminal, or what takes lines.
            estimate: of the trainings; without one all are taken to be as long as those done.
        """
        self.name = sweep.name
        self.varied = varied_fields(sweep)
        self.total = total
        self.num_done = 0
        self.num_failed = 0
        self.known: set[str] = set()
        """Results that are counted, or were there before."""

        self.to_come: dict[str, float] = {} if estimate is None else dict(estimate.seconds)
        """Expected seconds of the trainings that have no result yet, by id."""

        self.seconds_to_come = sum(self.to_come.values())
        self.seconds_done = 0.0
        """Expected seconds of the trainings that were done since the first trial started."""

        self.best = BestSoFar(sweep)
        self.running: dict[str, str] = {}
        self.last = ""
        self.first_start: float | None = None
        self.console = Console(file=stream, highlight=False)
        self.live = Live(
            get_renderable=self._panel, console=self.console, refresh_per_second=2, transient=True
        )

    def __enter__(self) -> "Progress":
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.live.stop()

    def say(self, text: str) -> None:
        """A line that stays."""
        self.console.print(text, soft_wrap=True, markup=False)

    def on_event(self, event: Event) -> None:
        match event:
            case Found(results):
                self.known.update(result.id for result in results)
                for result in results:
                    self._expected(result.id)
                    self.best.add(result)
            case Started(work):
                if self.first_start is None:
                    self.first_start = time.monotonic()
                self.running[work.ids[0]] = self._words(work)
            case Finished(result):
                self._finished(result)
            case Retried(work, reason):
                self.say(f"to be tried again: {self._words(work)}: {reason}")
            case Failed():
                self.num_failed += 1
                self.say(f"failed: {self._words(event.work)}: {event.reason}")
            case Stopped():
                far = how_far(event.work, event.time, event.val_accuracy)
                self.say(f"stopped: {self._words(event.work)}: {far}")
            case Said(text):
                self.say(text)
            case Ended(work):
                self.running.pop(work.ids[0], None)

    def _finished(self, result: Result) -> None:
        if result.id in self.known:
            return  # a chain that goes on reports its earlier rounds too
        self.known.add(result.id)
        self.best.add(result)
        self.num_done += 1
        self.seconds_done += self._expected(result.id)
        total = self.total()
        if total is None:
            counter, eta = f"{self.num_done:>4}", ""
        else:
            counter, eta = f"{self.num_done:>{len(str(total))}}/{total}", f"  eta {self.eta(total)}"
        self.last = (
            f"[{counter}] {self._words(result)}  {result.sparsity:.1%} pruned  "
            f"val {result.val_accuracy:.1%}  {duration(result.seconds)}"
        )
        if not self.console.is_terminal:
            self.say(self.last + eta)

    def _expected(self, id: str) -> float:
        """The seconds that a training which has a result now was expected to take."""
        seconds = self.to_come.pop(id, 0.0)
        self.seconds_to_come -= seconds
        return seconds

    def eta(self, total: int) -> str:
        """How long the rest of `total` takes at the pace until now, by what it is expected to take
        beside what is done; where nothing is expected, all are taken to be alike."""
        if self.num_done == 0:
            return "?"
        left, done = float(total - self.num_done), float(self.num_done)
        if self.seconds_done and self.to_come:
            # Not all of them may come: a race of seeds ends before.
            left *= self.seconds_to_come / len(self.to_come)
            done = self.seconds_done
        return duration(self.elapsed() / done * left)

    def elapsed(self) -> float:
        """Seconds since the first trial started."""
        return 0.0 if self.first_start is None else time.monotonic() - self.first_start

    def _words(self, of: Work | Result) -> str:
        if isinstance(of, Chain):
            return f"chain {label(of.find, self.varied)} seed {of.seed}"
        found = f"find {label(of.find, self.varied)} " if of.find else ""
        return f"{of.kind} {found}eval {label(of.eval, self.varied)} seed {of.seed}"

    def _panel(self) -> Group:
        counts = Table.grid(padding=(0, 2))
        failed, elapsed = f"{self.num_failed} failed", duration(self.elapsed())
        total = self.total()
        if total is None:
            counts.add_row(self.name, f"{self.num_done} done, {failed}", elapsed)
        else:
            counts.add_row(
                self.name,
                ProgressBar(total=total, completed=self.num_done, width=30),
                f"{self.num_done}/{total} done, {failed}",
                f"{elapsed}, eta {self.eta(total)}",
            )
        running = [f"  running  {words}" for words in self.running.values()]
        more = [f"           and {len(running) - 8} more"] if len(running) > 8 else []
        lines = (*running[:8], *more, self.last, self.best.in_words())
        return Group(counts, *(Text(line) for line in lines if line))
