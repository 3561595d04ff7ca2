"""Tables as text, Markdown and CSV."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

Rows = Sequence[Sequence[str]]
"""A table for people: the header, then lines; the first column names the line."""


def as_csv(rows: Iterable[Iterable[Any]]) -> bytes:
    """The rows as a CSV file."""
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(rows)
    return file.getvalue().encode()


def as_text(rows: Rows) -> str:
    """The rows in columns, for the terminal."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for name, *values in rows:
        padded = (value.rjust(width) for value, width in zip(values, widths[1:], strict=True))
        lines.append("  ".join((name.ljust(widths[0]), *padded)))
    return "\n".join(lines)


def as_markdown(rows: Rows) -> str:
    """The rows as a Markdown table; values with an asterisk become bold."""

    def line(values: Iterable[str]) -> str:
        return "| " + " | ".join(values) + " |"

    def bold(value: str) -> str:
        return f"**{value[1:]}**" if value.startswith("*") else value

    header, *body = rows
    ruler = ["---", *("---:" for _ in header[1:])]
    return "\n".join(map(line, (header, ruler, *(map(bold, row) for row in body)))) + "\n"
