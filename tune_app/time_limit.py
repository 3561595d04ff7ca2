"""A limit for the whole of what may never end."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

T = TypeVar("T")


class TookTooLong(Exception):
    """It had not ended when its time was over."""


def within(seconds: float, do: Callable[[], T], since: Callable[[], float] | None = None) -> T:
    """What `do` gives or raises, in a thread of its own.

    Args:
        seconds: that it may take.
        since: from when they count, on the clock of `time.monotonic`; a later answer gives more
            time. By default from now.

    Raises:
        TookTooLong: when it takes longer. It may go on, and nobody waits for it.
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(do())
        except Exception as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    begin = time.monotonic()
    left = seconds
    while wait([future], left).not_done:
        left = (begin if since is None else since()) + seconds - time.monotonic()
        if left <= 0:
            raise TookTooLong
    return future.result()
