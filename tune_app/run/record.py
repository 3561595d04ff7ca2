"""What has come of an agenda: results, failures, and why the rest has none."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tune_app.plan.trainings import Training
from tune_app.results.result import Result, described
from tune_app.results.run_directory import NOT_RUN, RunDirectory
from tune_app.run.agenda import Agenda
from tune_app.run.events import Event, Failed, Finished, Found, Stopped
from tune_app.run.progress import how_far
from tune_app.trial.report import first_lacking


class Record:
    """Listens to the trials: writes results down, and keeps the reasons of failures."""

    def __init__(
        self,
        agenda: Agenda,
        run_dir: RunDirectory,
        failures: Mapping[str, str],
        say: Callable[[str], None],
    ) -> None:
        """Start without results; those that are stored come as `Found`.

        Args:
            agenda: what is trained.
            run_dir: where results are written down.
            failures: why trainings failed before, by id.
            say: told where tracebacks are and, once, that the run directory cannot be written
                now.
        """
        self.agenda = agenda
        self.results: dict[str, Result] = {}
        self.run_dir = run_dir
        self.failures = dict(failures)
        self.say = say
        self.num_trained = 0
        self.training_seconds = 0.0
        self.num_masks_from_disk = 0
        self.is_run_dir_behind = False

    @property
    def commit(self) -> str | None:
        """Of the program that trains."""
        provenance = self.run_dir.provenance()
        assert provenance is not None  # a launch writes it first
        return provenance.commit

    def on_event(self, event: Event) -> None:
        match event:
            case Found(results):
                self.results |= {result.id: result for result in results}
            case Finished(result, masks_from_disk):
                self._finished(result, masks_from_disk)
            case Failed():
                self._failed(event)
            case Stopped(work, time, val_accuracy):
                first = first_lacking(work, self.results)
                self.failures[first] = f"stopped {how_far(work, time, val_accuracy)}"

    def _finished(self, result: Result, masks_from_disk: int) -> None:
        self.num_masks_from_disk += masks_from_disk
        if result.id in self.results:
            return  # a chain that goes on reports its earlier rounds too
        self.results[result.id] = result
        self.num_trained += 1
        self.training_seconds += result.seconds
        self._write(self.run_dir.append_result, result)

    def _failed(self, event: Failed) -> None:
        id = event.training or first_lacking(event.work, self.results)
        if event.traceback and self._write(self.run_dir.write_error, id, event.traceback):
            self.say(f"  its traceback and what it printed: {self.run_dir.error(id)}")
        self.failures[id] = event.reason

    def write_results(self) -> None:
        """Replace what the run directory has of them, in the plan's order."""
        self._write(self.run_dir.write_results, self.in_plan_order())

    def _write(self, write: Callable[..., None], *what: Any) -> bool:
        """Whether that went; the run directory may be full or away for a while, and at the end it
        is written anew."""
        try:
            write(*what)
        except OSError as error:
            if not self.is_run_dir_behind:
                self.say(f"cannot be written now: {error}")
            self.is_run_dir_behind = True
            return False
        return True

    def in_plan_order(self) -> list[Result]:
        """The results, in an order that does not depend on which came first."""
        return [self.results[id] for id in self.agenda.plan.trainings if id in self.results]

    def missing(self) -> Iterator[dict[str, Any]]:
        """Every training without a result, as a line of failures.jsonl."""
        for training in self.agenda.plan.trainings.values():
            if training.id not in self.results:
                yield described(training) | {"reason": self._why_missing(training)}

    def _why_missing(self, training: Training) -> str:
        if training.id in self.failures:
            return self.failures[training.id]
        chain_of_ticket = self.agenda.plan.chain_of_ticket
        chain = None if training.ticket is None else chain_of_ticket.get(training.ticket)
        if chain is None:
            return NOT_RUN
        source = chain_of_ticket.get(chain.lpr_tickets[-1]) if chain.lpr_tickets else None
        for needed, words in ((chain, "the chain"), (source, "the chain whose LPR it takes")):
            for earlier in needed.trainings if needed else ():
                if earlier.id in self.failures:
                    return (
                        f"its mask was not found: round {earlier.round} of {words} failed: "
                        f"{self.failures[earlier.id]}"
                    )
        return NOT_RUN
