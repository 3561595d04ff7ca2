"""Says for what a sweep waits while none of its trials runs, and since when."""

import time
from contextlib import suppress

from ray.exceptions import RayError

from tune_app.run.cluster import look
from tune_app.run.events import Listener, Said
from tune_app.words import duration

SAID_AFTER_S = 15.0
"""A worker takes seconds to start."""

AGAIN_AFTER_S = 600.0


class Waiting:
    """Told when trials start and end."""

    def __init__(self, tell: Listener) -> None:
        self.tell = tell
        self.running: set[str] = set()
        self.since = time.monotonic()
        self.at = time.strftime("%H:%M")
        self.next_s = SAID_AFTER_S
        """Seconds of waiting from which it is said."""

    def started(self, trial: str) -> None:
        if self.next_s > SAID_AFTER_S:
            waited = duration(time.monotonic() - self.since)
            self.tell(Said(f"a trial has found room, after {waited}"))
        self.running.add(trial)
        self.next_s = SAID_AFTER_S

    def ended(self, trial: str) -> None:
        self.running.discard(trial)
        self.since, self.at = time.monotonic(), time.strftime("%H:%M")

    def look(self, num_handed_out: int) -> None:
        """To be called now and then, with how many trials run or wait for room."""
        if self.running or not num_handed_out:
            self.since, self.at = time.monotonic(), time.strftime("%H:%M")
            return
        if time.monotonic() - self.since < self.next_s:
            return
        self.next_s = time.monotonic() - self.since + AGAIN_AFTER_S
        with suppress(RayError):  # the head is away, which is said elsewhere
            self.tell(
                Said(
                    f"no trial of this sweep runs since {self.at}: {num_handed_out} wait for room "
                    f"({look(()).words()}). Its workers may just be starting; other sweeps, where "
                    "there are any, leave it a part as their trials end"
                )
            )
