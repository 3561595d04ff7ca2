"""One door to the commands: lottery COMMAND.

`python -m tune_app COMMAND` does the same.
"""

import importlib
import sys
from collections.abc import Sequence

import click

from tune_app.command import called

_MODULES = {
    "launch": "tune_app.launch",
    "report": "tune_app.report.__main__",
    "export": "tune_app.export.__main__",
    "submit": "tune_app.submit",
    "ui": "tune_app.desk.ui",
    "runs": "tune_app.desk.runs",
    "compare": "tune_app.desk.compare",
    "clean": "tune_app.desk.clean",
    "schema": "tune_app.desk.schema",
}


class _Commands(click.Group):
    """The commands by name, each imported where it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _MODULES:
            return None
        command: click.Command = importlib.import_module(_MODULES[cmd_name]).COMMAND
        return command


DOOR = _Commands(
    "lottery",
    help="Sweeps of lottery tickets: hyperparameters that find masks, and that train them.",
    epilog="Completion of commands, options, files, keys and values in bash (zsh and fish alike): "
    'eval "$(_LOTTERY_COMPLETE=bash_source lottery)"',
)

click.version_option(package_name="lottery-sweeps")(DOOR)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit code."""
    return called(DOOR, arguments, "lottery")


if __name__ == "__main__":
    sys.exit(main())
