"""How a command ends that is interrupted."""

import os
import signal
from types import FrameType

from tune_app import exit_codes


def obey() -> None:
    """The first SIGINT or SIGTERM ends the command tidily, the second at once."""

    def stop(number: int, frame: FrameType | None) -> None:
        for again in (signal.SIGINT, signal.SIGTERM):
            signal.signal(again, lambda *_: os._exit(exit_codes.INTERRUPTED))
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
