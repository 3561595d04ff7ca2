"""Standard streams that break no command: what a terminal does not take is not shown."""

import io
import os
import sys
from typing import Any, TextIO


def mend() -> None:
    """Replace stdout and stderr by streams that never raise; first of all in a command.

    A pipe whose reader has gone, a full disk, a terminal that hung up or lacks a character: none of
    them is a reason to end a sweep. The new streams are files as the old ones are, so whatever
    writes into them is safe: print, rich, argparse, logging, tracebacks, the flushing at the end.
    """
    # Of a closed one, the next file that is opened would take the number, and be printed into.
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
    sys.stdout = _mended(1, sys.stdout)
    sys.stderr = _mended(2, sys.stderr)


class _Unbreakable(io.FileIO):
    """A file that drops what it cannot take."""

    def write(self, data: Any) -> int:
        try:
            written = super().write(data)
        except OSError:
            return len(data)
        return len(data) if written is None else written  # None where it would have to wait


def _mended(number: int, stream: TextIO | None) -> TextIO:
    """Standard stream `number`, with the manners of `stream`; that is None where it was closed."""
    by_line = not isinstance(stream, io.TextIOWrapper) or (
        stream.line_buffering or stream.write_through
    )
    return io.TextIOWrapper(
        io.BufferedWriter(_Unbreakable(number, "w", closefd=False)),
        encoding=stream.encoding if stream else None,
        errors="backslashreplace",
        line_buffering=by_line,
    )
