"""Logs to MLflow while a sweep runs, from a thread of its own; the sweep never waits for it."""

import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from tune_app.credentials import hide_credentials
from tune_app.results.curves import Curve, curves
from tune_app.results.result import CurveKey, Result
from tune_app.sweep.sweep import Sweep
from tune_app.time_limit import TookTooLong, within
from tune_app.tracking.connection import TrackingError
from tune_app.tracking.tracker import Tracker

INTERVAL_S = 60.0

REST = 3
"""Times as long as it logged it rests, for it takes the interpreter from what hands out trials."""

LIMIT_S = 300.0
"""How long MLflow may take for curves at a time, whatever a server does with each request."""

AT_A_TIME = 100

MANY = 500
"""Curves that the end does not log without a word, since they may take ten seconds and more."""


class LiveTracking:
    """Brings an MLflow experiment up to date every minute, and once more at the end."""

    def __init__(
        self,
        uri: str,
        sweep: Sweep,
        artifact_root: Path,
        commit: str | None,
        say: Callable[[str], None],
    ) -> None:
        """Prepare; nothing is connected yet.

        Args:
            uri: of MLflow.
            sweep: whose results these are.
            artifact_root: where files go that belong to runs, if MLflow has no server.
            commit: of this program.
            say: tells the user, once, that MLflow is away.
        """
        self.uri = uri
        self.open: Callable[[], Tracker] = lambda: Tracker(uri, sweep, artifact_root, commit)
        self.say = say
        self.news: queue.SimpleQueue[Result] = queue.SimpleQueue()
        """Results for the thread, in the order in which they came."""

        self.tracker: Tracker | None = None
        self.is_away = False
        self.heard = time.monotonic()
        """When MLflow took something last; at the end, from when on it is waited for."""

        self.over = threading.Event()
        self.thread = threading.Thread(target=self._keep_logging, daemon=True)

    def start(self) -> None:
        self.thread.start()

    def add(self, results: Iterable[Result]) -> None:
        """Log these too when their time comes."""
        for result in results:
            self.news.put(result)

    def finish(self, run_dir: Path, results: Iterable[Result]) -> str | None:
        """Log what is missing of all results, the report and the saved views.

        Returns:
            What shows the main view, as an address or a command; None when MLflow is away.
        """
        self.over.set()
        self.heard = time.monotonic()
        try:  # a server that drips its answer keeps any limit of a single request
            sentences, page = within(
                LIMIT_S, lambda: self._finish(run_dir, results), lambda: self.heard
            )
        except TrackingError as error:
            sentences, page = [_away(str(error))], None
        except TookTooLong:
            where = hide_credentials(self.uri)
            sentences, page = [_away(f"{where}: no answer for {LIMIT_S:.0f} s")], None
        for sentence in sentences:
            self.say(sentence)
        return page

    def _finish(self, run_dir: Path, results: Iterable[Result]) -> tuple[list[str], str]:
        """What is to be said of the end, and what shows the main view."""
        if self.thread.is_alive():
            self.thread.join()
        found = curves(results)
        if len(found) > MANY:
            self.say(f"logging to MLflow what it lacks of {len(found):,} curves")
        tracker = self._log(found)
        sentences = [*tracker.notes, *tracker.save_views(found)]
        try:
            tracker.log_report(run_dir)
        except TrackingError as error:  # a place of its own, such as a bucket, may be out of reach
            sentences.append(
                f"MLflow took no files ({error}); curves and views are there. They lie in "
                f"{run_dir}, and `python -m tune_app.report {run_dir} --sync` sends them"
            )
        return sentences, tracker.way(run_dir)

    def _keep_logging(self) -> None:
        has_views = False  # those of the end have the ranges of all results
        results: dict[str, Result] = {}
        # How many results of each curve: the tracker knows too, but takes twenty times as long.
        logged: dict[tuple[CurveKey, int], int] = {}
        rest = INTERVAL_S
        while not self.over.wait(rest):
            begin = time.monotonic()
            for _ in range(self.news.qsize()):
                result = self.news.get()
                results[result.id] = result
            found = curves(results.values())
            new = [c for c in found if len(c.results) > logged.get((c.key, c.seed), 0)]
            try:
                tracker = self._log(new)
                logged |= {(c.key, c.seed): len(c.results) for c in new}
                if not has_views:
                    tracker.save_views(found)
                    has_views = True
                self.is_away = False
            except TrackingError as error:
                if not self.is_away:
                    self.say(f"MLflow is away ({error}); the sweep goes on without.")
                self.is_away = True
            rest = max(INTERVAL_S, REST * (time.monotonic() - begin))

    def _log(self, found: Sequence[Curve]) -> Tracker:
        if self.tracker is None:
            self.tracker = self.open()
        for start in range(0, len(found), AT_A_TIME):
            self.tracker.log_curves(found[start : start + AT_A_TIME])
            self.heard = time.monotonic()
        return self.tracker


def _away(why: str) -> str:
    return f"MLflow is away ({why}). Nothing is lost: the same command logs what is missing."
