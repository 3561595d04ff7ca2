"""One door to all commands."""

import re
import shlex

import click
import pytest
from click.shell_completion import ShellComplete
from tiny_sweep import run_here

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
