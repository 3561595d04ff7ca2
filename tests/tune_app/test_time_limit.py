"""A limit for what may never end."""

import threading
import time

import pytest

from tune_app.time_limit import TookTooLong, within


def test_what_it_gives_or_raises_comes_out():
    assert within(60, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        within(60, lambda: 1 / 0)


def test_what_never_ends_is_left_alone():
    ends = threading.Event()
    with pytest.raises(TookTooLong):
        within(0.01, ends.wait)
    ends.set()


def test_a_sign_of_life_gives_more_time():
    """Asked for when the time was over, and then there is the whole of it again."""
    ends = threading.Event()

    def since():
        ends.set()
        return time.monotonic() + 60

    assert within(0.01, lambda: ends.wait(60), since)
