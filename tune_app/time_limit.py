"""A limit for the whole of what may never end."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

T = TypeVar("T")


class TookTooLong(Exception):
    """It had not ended when its time was over."""


def within(seconds: float, do: Callable[[], T]) -> T:
    """What `do` gives or raises, in a thread of its own.

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
    if wait([future], seconds).not_done:
        raise TookTooLong
    return future.result()
