"""A terminal that is closed, full or gone breaks no command."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from outside import environment
from tiny_sweep import command, read_results

CLOSED = [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"]
FULL = [">/dev/full", "2>/dev/full", ">/dev/full 2>&1"]
GONE = [">&9", "2>&9", ">&9 2>&1"]
"""Number 9 is a pipe that nobody reads any more, as after `| head -1`."""


def run(how: str, *arguments: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a shell, with streams as `how` says."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        return subprocess.run(
            ["bash", "-c", f'exec 9>&{writer}; "$@" {how}', "bash", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=300,
            pass_fds=[writer],
            env=environment(**env),
        )
    finally:
        os.close(writer)


def script(how: str, code: str, **env: str) -> subprocess.CompletedProcess[str]:
    code = f"import sys; from tune_app import streams; streams.mend(); {code}"
    return run(how, sys.executable, "-c", code, **env)


@pytest.mark.parametrize("how", CLOSED + FULL + GONE)
def test_whatever_writes_goes_on(how):
    lines = [
        "print('a' * 100_000, flush=True); print('a', file=sys.stderr); sys.stderr.write('a')",
        "import argparse; argparse.ArgumentParser().print_help()",
        "import faulthandler; faulthandler.enable()",
        "import logging; logging.warning('a'); import warnings; warnings.warn('a')",
        "from rich.console import Console; Console(file=sys.stderr).print('a')",
        "import subprocess; assert subprocess.run(['sh', '-c', ': >&1 2>&2']).returncode == 0",
        "print('not flushed')",
    ]
    assert script(how, "; ".join([*lines, "sys.exit(3)"])).returncode == 3


@pytest.mark.parametrize("how", CLOSED + FULL + GONE)
def test_an_error_of_ours_ends_as_ever(how):
    assert script(how, "1 / 0").returncode == 1


def test_streams_that_are_whole_show_everything_in_order():
    code = "print('±'); print('b', file=sys.stderr); print('c', end=''); 1 / 0"
    done = script("2>&1", code, PYTHONUNBUFFERED="")
    assert done.stdout.startswith("b\nTraceback") and done.stdout.endswith("±\nc")
    code = "print('a'); print('b', file=sys.stderr)"
    assert script("2>&1", code, PYTHONUNBUFFERED="1").stdout == "a\nb\n"
    assert script("", code).stdout == "a\n" and script("", code).stderr == "b\n"


def test_what_a_terminal_has_no_character_for_is_shown_as_its_number():
    assert script("", "print('1 ± 2')", PYTHONIOENCODING="ascii").stdout == "1 \\xb1 2\n"


def test_nothing_is_printed_into_a_file_that_is_opened(tmp_path):
    """It would have the number of the stream that was closed."""
    file = tmp_path / "results.jsonl"
    code = (
        f"import os; f = open({str(file)!r}, 'w'); os.write(1, b'a'); os.write(2, b'a'); f.close()"
    )
    assert script(">&- 2>&-", code).returncode == 0
    assert file.read_text() == ""


@pytest.mark.parametrize("how", [">&- 2>&-", ">/dev/full 2>&1", ">&9 2>&1"])
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["launch", "sweeps/paper/lr_grid.yaml", "--dry-run"], 0),
        (["launch", "nowhere.yaml"], 2),
        (["launch", "--no-such-option"], 2),
        (["submit", "nowhere", "list"], 2),
        (["export", "nowhere", "--best"], 2),
        (["report", "nowhere"], 2),
    ],
)
def test_every_command_has_the_exit_code_that_it_has_on_a_terminal(how, arguments, code):
    module, *rest = arguments
    assert run(how, sys.executable, "-m", f"tune_app.{module}", *rest).returncode == code


def test_a_dry_run_is_seen_in_the_stream_that_is_whole():
    dry_run = command("sweeps/paper/lr_grid.yaml", "--dry-run")  # its data are not here to probe
    whole = run("", *dry_run)
    for how in ("2>&-", "2>/dev/full", "2>&9"):
        assert run(how, *dry_run).stdout == whole.stdout != ""


@pytest.mark.nightly
def test_a_sweep_that_nobody_can_see_is_trained(tiny, tmp_path):
    one_chain = ["seeds=[0]", "find.parameters.lr=null", "eval.parameters.lr=null", "baselines=[]"]
    done = run(">&9 2>&-", *command(tiny, *one_chain, "--out", tmp_path / "runs"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert len(read_results(tmp_path / "runs")) == 3  # rounds 0, 1 and 2
