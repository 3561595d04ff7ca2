"""One door to all commands."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete
from tiny_sweep import TINY, environment, run_here

from tune_app.__main__ import DOOR
from tune_app.__main__ import main as lottery

NAMES = ["launch", "report", "export", "submit", "ui", "runs", "compare", "clean", "schema"]


def test_the_commands_are_listed_with_a_sentence_each():
    done = run_here(lottery, "--help")
    assert done.returncode == 0
    listed = re.findall(r"^  (\w+) {2,}[A-Z].*\.$", done.stdout, re.MULTILINE)
    assert listed == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_command_shows_three_examples_that_it_takes(name):
    done = run_here(lottery, name, "--help")
    assert done.returncode == 0
    shown = done.stdout.partition("Examples:\n")[2].splitlines()
    examples = [shlex.split(line, comments=True) for line in shown]
    assert len(examples) == 3
    command = DOOR.get_command(click.Context(DOOR), name)
    for words in examples:
        start = words.index("lottery") if "lottery" in words else None
        if start is None:
            continue  # another program, with what the command prints
        ours = words[start + 1 :]
        assert ours[0] == name
        stop = next((i for i, word in enumerate(ours) if word in "|>"), len(ours))
        command.make_context(name, ours[1:stop])  # parses, and runs nothing


@pytest.mark.parametrize(
    ("before", "incomplete", "expected"),
    [
        ([], "comp", ["compare"]),
        (["launch", "x.yaml"], "prune.ra", []),
        (["launch", "x.yaml"], "train.opt", ["train.optimizer="]),
        (["launch", "x.yaml"], "rewind.", ["rewind.method=", "rewind.to="]),
        (["launch", "x.yaml"], "train.optimizer=a", ["train.optimizer=adamw"]),
        # As bash splits it.
        (["launch", "x.yaml", "train.optimizer"], "=", ["sgd", "nesterov", "adamw"]),
        (["launch", "x.yaml", "train.optimizer", "="], "n", ["nesterov"]),
    ],
)
def test_a_shell_completes_commands_keys_and_values(before, incomplete, expected):
    shell = ShellComplete(DOOR, {}, "lottery", "_LOTTERY_COMPLETE")
    assert [item.value for item in shell.get_completions(before, incomplete)] == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lunch"], "No such command 'lunch'"),
        (["launch"], "Missing argument 'SWEEP'"),
        (["export", "runs/x"], "one of --best and --id is needed, not both"),
        (["submit", "http://127.0.0.1:1", "list", "id"], "list takes no ID"),
    ],
)
def test_a_wrong_command_line_is_answered_with_a_code_of_its_own(arguments, message):
    done = run_here(lottery, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr


def test_what_was_typed_is_told_whatever_the_door(tmp_path):
    done = run_here(lottery, "launch", tmp_path / "no.yaml", "--dry-run")
    assert (done.returncode, done.stderr) == (2, f"error: {tmp_path}/no.yaml: no such file\n")


def test_own_code_in_the_folder_that_one_starts_from_is_found_by_the_script(tmp_path):
    """A console script has its own folder on sys.path in place of the one that it starts in."""
    (tmp_path / "own_net_of_door.py").write_text(
        "from torch import nn\n"
        "def make(channels, classes, image_size):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64 * channels, classes))\n"
    )
    (tmp_path / "own.yaml").write_text(TINY)
    script = "import sys; sys.path.pop(0); from tune_app.__main__ import main; sys.exit(main())"
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            script,
            "launch",
            "own.yaml",
            "--check",
            "model=own_net_of_door:make",
            "baselines=[]",
        ],
        cwd=tmp_path,
        env=environment(PYTHONPATH=str(Path(__file__).parents[3])),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "own_net_of_door" in done.stdout


def test_without_a_command_the_help_is_shown():
    done = run_here(lottery)
    assert (done.returncode, done.stderr) == (0, "") and "Commands:" in done.stdout
