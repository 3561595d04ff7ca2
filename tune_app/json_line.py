"""JSON on one line, as results and failures are written."""

from typing import Any

from pydantic_core import to_json


def as_line(value: Any) -> bytes:
    """A value as UTF-8 on one line, without its end; four times as fast as `json`."""
    return to_json(value, inf_nan_mode="constants")
