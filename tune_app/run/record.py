"""What has come of a plan: results, failures, and why the rest has none."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tune_app.plan.plan import Plan
from tune_app.plan.trainings import Chain, Training
from tune_app.results.result import Result, described, read_lines
from tune_app.results.run_directory import RunDirectory
from tune_app.run.console import Progress


class Record:
    """Hears from the trials: writes results down, shows them, and keeps the reasons of failures."""

    def __init__(
        self,
        plan: Plan,
        lines: Mapping[str, bytes],
        run_dir: RunDirectory,
        progress: Progress,
        failures: Mapping[str, str],
    ) -> None:
        """Start with the results and the reasons of failures that are stored already.

        Args:
            plan: of the sweep.
            lines: of the stored results, by id.
            run_dir: where results are written down.
            progress: where they are shown.
            failures: the reasons, by id.
        """
        self.plan = plan
        self.results = read_lines(lines, plan.trainings)
        self.run_dir = run_dir
        self.progress = progress
        self.failures: dict[str, str] = dict(failures)
        self.num_trained = 0
        self.training_seconds = 0.0
        self.num_masks_from_disk = 0
        self.is_run_dir_behind = False

    @property
    def commit(self) -> str | None:
        """Of the program that trains."""
        return self.run_dir.provenance()["commit"]

    def write_results(self) -> None:
        """Replace what the run directory has of them, in the plan's order."""
        self._write(self.run_dir.write_results, self.in_plan_order())

    def started(self, work: Chain | Training) -> None:
        self.progress.started(work)

    def finished(self, result: Result, masks_from_disk: int) -> None:
        self.num_masks_from_disk += masks_from_disk
        if result.id in self.results:
            return  # a chain that goes on reports its earlier rounds too
        self.results[result.id] = result
        self.num_trained += 1
        self.training_seconds += result.seconds
        self.progress.finished(result)
        self._write(self.run_dir.append_result, result)

    def failed(self, work: Chain | Training, training: str | None, reason: str) -> None:
        if training is None:
            ids = work.ids if isinstance(work, Chain) else (work.id,)
            training = next((id for id in ids if id not in self.results), ids[-1])
            self._write(self.run_dir.write_error, training, reason)
            reason = in_a_line(reason)
        self.failures[training] = reason
        self.progress.failed(work, reason)

    def tried_again(self, work: Chain | Training, reason: str) -> None:
        self.progress.tried_again(work, in_a_line(reason))

    def stopped(self, work: Chain | Training, time: int, val_accuracy: float) -> None:
        self.progress.stopped(work, time, val_accuracy)

    def noted(self, note: str) -> None:
        self.progress.say(note)

    def ended(self, work: Chain | Training) -> None:
        self.progress.ended(work)

    def found(self, lines: Mapping[str, bytes]) -> None:
        """Take up results that another launch has stored, from their lines by id."""
        self.results |= read_lines(lines, self.plan.trainings)
        self.progress.num_trainings -= len(lines)

    def _write(self, write: Callable[..., None], *what: Any) -> None:
        """The run directory may be full or away for a while: at the end it is written anew."""
        try:
            write(*what)
        except OSError as error:
            if not self.is_run_dir_behind:
                self.progress.say(f"cannot be written now: {error}")
            self.is_run_dir_behind = True

    def in_plan_order(self) -> list[Result]:
        """The results, in an order that does not depend on which came first."""
        return [self.results[id] for id in self.plan.trainings if id in self.results]

    def missing(self) -> Iterator[dict[str, Any]]:
        """Every training without a result, as a line of failures.jsonl."""
        for training in self.plan.trainings.values():
            if training.id not in self.results:
                yield described(training) | {"reason": self._why_missing(training)}

    def _why_missing(self, training: Training) -> str:
        if training.id in self.failures:
            return self.failures[training.id]
        chain = self.plan.chain_of_ticket.get(training.ticket)
        if chain is None:
            return "was not run"
        source = self.plan.chain_of_ticket.get(chain.lpr_tickets[-1]) if chain.lpr_tickets else None
        for needed, words in ((chain, "the chain"), (source, "the chain whose LPR it takes")):
            for earlier in needed.trainings if needed else ():
                if earlier.id in self.failures:
                    return (
                        f"its mask was not found: round {earlier.round} of {words} failed: "
                        f"{self.failures[earlier.id]}"
                    )
        return "was not run"


def in_a_line(error: str) -> str:
    """What a traceback ends with; Ray tells of a death at length."""
    if "node running low on memory" in error:
        return "its node ran low on memory"
    if "worker process has died" in error:
        return "its worker died: killed, out of memory, or crashed outside Python"
    if "node has died" in error or "node died" in error:
        return "its node died"
    if "RPC error" in error:
        return "its worker or its node was lost"
    return error.strip().splitlines()[-1]
