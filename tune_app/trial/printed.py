"""What a trial prints, kept for the case that it fails."""

import sys
from typing import TextIO

MOST = 10_000
"""Characters; of more the last."""


class Printed:
    """Keeps what this process prints from now on; it is printed all the same."""

    def __init__(self) -> None:
        self.kept = ""
        sys.stdout, sys.stderr = _Tee(sys.stdout, self), _Tee(sys.stderr, self)

    def add(self, text: str) -> None:
        self.kept = (self.kept + text)[-MOST:]

    def clear(self) -> None:
        self.kept = ""

    def text(self) -> str:
        """What was printed since `clear`, in words."""
        return (
            f"printed by the trial:\n{self.kept.rstrip()}"
            if self.kept.strip()
            else ("the trial printed nothing")
        )


class _Tee:
    """A stream whose text is kept too."""

    def __init__(self, stream: TextIO, kept: Printed) -> None:
        self._stream = stream
        self._kept = kept

    def write(self, text: str) -> int:
        self._kept.add(text)
        return self._stream.write(text)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)
