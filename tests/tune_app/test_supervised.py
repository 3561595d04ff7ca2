"""A command in a process below: its exit code, its signals, and an end that nobody announced."""

import signal
import subprocess
import sys

import pytest

from tune_app import exit_codes

RUN = """
import os, signal, sys, time
from tune_app import signals
from tune_app.supervised import supervised

def main():
    signals.obey()
    try:
        {body}
    except KeyboardInterrupt:
        return 130

sys.exit(supervised(main, "the command"))
"""


def run(body: str) -> subprocess.Popen[str]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", RUN.format(body=body)], **pipes)


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ("return 3", 3, ""),
        ("sys.exit(2)", 2, ""),
        ("raise ValueError('ours')", 1, "ValueError: ours\n"),
        ("os._exit(4)", 4, ""),
        ("os.kill(os.getpid(), signal.SIGKILL)", 137, ""),
    ],
)
def test_an_end_of_its_own_is_passed_on(body, code, said):
    with run(body) as done:
        _, err = done.communicate(timeout=60)
    assert done.returncode == code
    assert err.endswith(said) if said else not err


@pytest.mark.parametrize("body", ["os._exit(1)", "os.abort()"])
def test_an_end_that_rays_core_made_is_said_with_the_command(body):
    with run(body) as done:
        _, err = done.communicate(timeout=60)
    assert done.returncode == exit_codes.CLUSTER_LOST
    assert err.splitlines()[-1].startswith("stopped: Ray ended this launch: ")
    assert err.endswith("To go on once a cluster is up again: the command\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_reach_it(number):
    with run("print('there', flush=True); time.sleep(600)") as done:
        done.stdout.readline()
        done.send_signal(number)
        assert done.wait(timeout=60) == 130


def test_a_kill_is_for_both():
    with run("print('there', flush=True); time.sleep(600)") as done:
        done.stdout.readline()
        done.kill()
        done.communicate(timeout=60)  # which ends when nobody holds the pipes any more
