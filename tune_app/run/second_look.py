"""A second look at own data and networks: from another process, as each trial has it.

Generators and the order of sets are others there. What is not alike would be another in each trial.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any


def look_again(questions: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """What another process finds: all of it from one, since torch takes seconds to import.

    Args:
        questions: by key of a sweep file, the arguments of its look; the first is the name.

    Raises:
        ValueError: when one fails there.
    """
    paths = os.pathsep.join(filter(None, sys.path))
    with tempfile.TemporaryDirectory() as folder:
        answers = Path(folder, "answers.json")
        done = subprocess.run(
            [sys.executable, "-m", "tune_app.run.second_look", answers, json.dumps(questions)],
            capture_output=True,
            text=True,
            errors="backslashreplace",
            env=os.environ | {"PYTHONPATH": paths, "PYTHONHASHSEED": "random"},
            check=False,
        )
        found: dict[str, Any] = json.loads(answers.read_text()) if answers.exists() else {}
    for key, (name, *_) in questions.items():
        if key not in found:
            last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            raise ValueError(f"`{key}`: {name}: in another process, it fails: {last}")
    return found


def _of_data(name: str, data_dir: str) -> str:
    from lt_core import data
    from lt_core.data.contents import fingerprint

    return fingerprint(data.load(name, data_dir))


def _of_network(name: str, shape: str) -> Any:
    from lt_core.data.shapes import shape_of
    from lt_core.own_network import content

    return content(name, shape_of(json.loads(shape))).to_json()


_LOOKS: Mapping[str, Callable[..., Any]] = {"dataset": _of_data, "model": _of_network}


def _answer(answers: Path, questions: Mapping[str, Sequence[str]]) -> None:
    found = {}
    for key, arguments in questions.items():
        found[key] = _LOOKS[key](*arguments)
        answers.write_text(json.dumps(found))  # what is found before one that fails, too


if __name__ == "__main__":
    _answer(Path(sys.argv[1]), json.loads(sys.argv[2]))
