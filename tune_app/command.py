"""Calling a command, from a shell or from Python."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from tune_app import exit_codes, streams


@dataclass(frozen=True)
class Typed:
    """What a command is called with."""

    arguments: tuple[str, ...]

    is_process: bool
    """Whether they are those of this process, which is then the command's own."""


def called(command: click.Command, arguments: Sequence[str] | None, program: str) -> int:
    """Run a command; its exit code.

    Args:
        command: its callback returns an exit code, and may ask for `typed()`.
        arguments: those of the process if None.
        program: what stands before the arguments, for messages.
    """
    if arguments is None:
        streams.mend()
        # As `python -m` does: own networks and data may lie in the folder that one starts from.
        if not {"", os.getcwd()} & {*sys.path}:
            sys.path.insert(0, os.getcwd())
    given = Typed(tuple(sys.argv[1:] if arguments is None else arguments), arguments is None)
    try:
        code = command.main(
            list(given.arguments), prog_name=program, standalone_mode=False, obj=given
        )
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message())
        return exit_codes.OK
    except click.ClickException as error:
        context = error.ctx if isinstance(error, click.UsageError) else None
        said = error.format_message().rstrip(".")
        name = context.command_path if context else program
        print(f"error: {said}; `{name} --help` shows what it takes", file=sys.stderr)
        return exit_codes.BAD_INPUT
    except click.Abort:
        return exit_codes.INTERRUPTED
    return int(code or exit_codes.OK)


def typed() -> Typed:
    """What the running command was called with, without its own name where it has one."""
    context = click.get_current_context()
    given: Typed = context.obj
    return given if context.parent is None else Typed(given.arguments[1:], given.is_process)


def refused(error: Exception) -> int:
    """Tell a mistake of the user's in one line; the exit code of the command."""
    print(f"error: {'; '.join(str(error).splitlines())}", file=sys.stderr)
    return exit_codes.BAD_INPUT


def path_argument(name: str, **more: Any) -> click.Argument:
    return click.Argument([name], type=click.Path(path_type=Path), **more)


def out_option(metavar: str, help: str, default: Path | None = None) -> click.Option:
    return click.Option(
        ["--out"],
        type=click.Path(path_type=Path),
        metavar=metavar,
        help=help,
        default=default,
        show_default=default is not None,
    )


def examples(*lines: str) -> str:
    """The end of a command's help."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
