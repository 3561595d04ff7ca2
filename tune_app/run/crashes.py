"""What Ray says at length, in a line."""

import re

from tune_app.trial.proof import UnfitNode

_LOSSES = {
    "node running low on memory": "its node ran low on memory",
    "worker process has died": "its worker died: killed, out of memory, or crashed outside Python",
    "node has died": "its node died",
    "node died": "its node died",
    "RPC error": "its worker or its node was lost",
}


def in_a_line(error: str) -> str:
    """What a traceback ends with; the death of a worker or node in words of our own."""
    return _lost(error) or error.strip().splitlines()[-1]


def is_loss(error: str) -> bool:
    """Whether a worker or node was lost, which says nothing of what it ran."""
    return bool(_lost(error))


def _lost(error: str) -> str:
    return next((words for part, words in _LOSSES.items() if part in error), "")


def refused_by(error: str) -> tuple[str, str] | None:
    """The id of the node that refused a trial, and why; None where it crashed otherwise."""
    found = re.search(rf"{UnfitNode.__name__}: (\w+): (.*)", error)
    return None if found is None else (found[1], found[2])
