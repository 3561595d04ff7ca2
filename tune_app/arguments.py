"""The command line of a launch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from tune_app.command import examples, out_option, path_argument


@dataclass(frozen=True)
class Options:
    """What it says."""

    sweep: Path
    overrides: tuple[str, ...]
    dry_run: bool
    check: bool
    """Implies `dry_run`."""

    out: Path
    store: str | None
    address: str | None
    submit: str | None


class Assignment(click.ParamType[str]):
    """`key=value`, which a shell can complete."""

    name = "assignment"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from tune_app.sweep.completion import keys, values  # all types of a sweep file

        before: Sequence[str] = ctx.params.get("overrides") or ()
        # Bash takes `=` for a word of its own.
        if len(before) > 1 and before[-1] == "=":
            return [CompletionItem(each) for each in values(before[-2], incomplete)]
        if before and "=" not in before[-1]:
            return [CompletionItem(each) for each in values(before[-1], incomplete)]
        key, is_set, start = incomplete.partition("=")
        if is_set:
            return [CompletionItem(f"{key}={each}") for each in values(key, start)]
        return [CompletionItem(each, help=about) for each, about in keys(incomplete)]


def launch_command(run: Callable[[Options], int]) -> click.Command:
    """The command that calls `run`."""

    def callback(**given: Any) -> int:
        options = Options(**given | {"dry_run": given["dry_run"] or given["check"]})
        if options.address is not None and options.submit is not None:
            raise click.UsageError("--submit: not allowed with --address")
        return run(options)

    return click.Command(
        "launch",
        callback=callback,
        help="Run a sweep file: find lottery tickets at one set of hyperparameters, train them at "
        "another. KEY=VALUE replaces what the file says. The same command again goes on where it "
        "stopped.",
        short_help="Run a sweep file, here or on a cluster.",
        epilog=examples(
            "lottery launch sweeps/lr_grid.yaml --dry-run",
            "lottery launch sweeps/lr_grid.yaml train.weight_decay=5e-4 'seeds=[0, 1]'",
            "lottery launch sweeps/lr_grid.yaml --address head:6379 --out /shared/runs",
        ),
        params=[
            path_argument("sweep"),
            click.Argument(["overrides"], nargs=-1, type=Assignment(), metavar="[KEY=VALUE]..."),
            click.Option(["--dry-run"], is_flag=True, help="Show the plan and start nothing."),
            click.Option(
                ["--check"],
                is_flag=True,
                help="As --dry-run, and try on a few images that network, data and recipes go "
                "together, which every launch does before it starts Ray.",
            ),
            out_option(
                "DIR",
                "Holds a directory for each sweep, what they trained, and MLflow's database.",
                Path("runs"),
            ),
            click.Option(
                ["--store"],
                metavar="PLACE",
                help="What is trained, shared by all sweeps: a directory, or a URL such as "
                "s3://bucket/folder. In --out, as _store, if not given.",
            ),
            click.Option(
                ["--address"],
                metavar="HOST:PORT",
                help="Run the trials on the Ray cluster whose head is there, from here. "
                "RAY_ADDRESS, or else Ray on this machine, if not given.",
            ),
            click.Option(
                ["--submit"],
                metavar="ADDRESS",
                help="Hand the sweep to the Ray cluster whose page is there "
                "(http://127.0.0.1:8265), and follow it; --out and --store are places on the "
                "cluster.",
            ),
        ],
    )
