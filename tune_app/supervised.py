"""A launch on a cluster in a process below this one, which has the last word.

When the node that a launch is connected through is gone, Ray's core ends the process from C++, with
exit code 1 and no word for the user: nothing that runs in it can prevent that, or tell of it.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress

from tune_app import exit_codes

_WATCHED = {signal.SIGINT, signal.SIGTERM, signal.SIGCHLD}
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def supervised(main: Callable[[], int], command: str) -> int:
    """The exit code of `main`, run in a process below; CLUSTER_LOST where Ray's core ended that.

    Args:
        main: what to run; it has the signals, the streams and the terminal.
        command: goes on with it, for the user.
    """
    goodbye, say_goodbye = os.pipe()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, as by some daemons, it never comes
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    child = os.fork()
    if child == 0:
        os.close(goodbye)
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # a kill is for both
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        try:
            return main()
        finally:
            os.write(say_goodbye, b".")
    os.close(say_goodbye)
    os.set_blocking(goodbye, False)
    code = _ended(child)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    if code in (1, -signal.SIGABRT) and not _was_said(goodbye):
        print(
            "stopped: Ray ended this launch: its node or the head of the cluster went away. What "
            f"was trained is stored. To go on once a cluster is up again: {command}",
            file=sys.stderr,
        )
        return exit_codes.CLUSTER_LOST
    return code if code >= 0 else 128 - code  # as a shell says it of a signal


def _was_said(goodbye: int) -> bool:
    try:
        return bool(os.read(goodbye, 1))
    except BlockingIOError:  # what the child started still holds the other end
        return False


def _ended(child: int) -> int:
    """Pass signals on until the child has ended; its exit code, negative for a signal."""
    while True:
        told = signal.sigwaitinfo(_WATCHED)
        if told.si_signo == signal.SIGCHLD:
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
        elif told.si_code <= 0:  # by a process; a terminal tells the child itself
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(child, told.si_signo)
