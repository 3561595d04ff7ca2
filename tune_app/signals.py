"""How a command ends that is interrupted."""

import os
import signal
import time
from types import FrameType

from tune_app import exit_codes

REPEAT_S = 0.2
"""A signal to a process group comes to a supervised command twice, the second time passed on."""


def obey() -> None:
    """The first SIGINT or SIGTERM ends the command tidily, the second at once."""

    def stop(number: int, frame: FrameType | None) -> None:
        first = time.monotonic()

        def at_once(number: int, frame: FrameType | None) -> None:
            if time.monotonic() - first > REPEAT_S:
                os._exit(exit_codes.INTERRUPTED)

        for again in (signal.SIGINT, signal.SIGTERM):
            signal.signal(again, at_once)
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
