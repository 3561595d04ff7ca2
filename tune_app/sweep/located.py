"""The line of a key, in mistakes that are found after the sweep file was read."""

import re
from collections.abc import Sequence
from pathlib import Path

from tune_app.sweep.yaml_source import SpecError, printable, read_yaml


def located(text: str, path: Path, overrides: Sequence[str]) -> str:
    """Sentences that begin with a sweep file and a key of it, each with the key's line, or with the
    part of the command line that set it.

    Args:
        text: such as "own.yaml: `model`: cannot import nets"; what names no key stays.
        path: the sweep file, as the text has it.
        overrides: of the command line.
    """
    beginning = re.compile(rf"(?<!\S){re.escape(printable(str(path)))}: `([^`\n]+)`")
    if not beginning.search(text):
        return text
    try:
        source = read_yaml(path)
        for assignment in overrides:
            source.override(assignment)
    except SpecError:  # it was changed since
        return text

    def with_line(match: re.Match[str]) -> str:
        key = match[1]
        return f"{source.origin(tuple(key.split('.')))}: `{key}`"

    return beginning.sub(with_line, text)
