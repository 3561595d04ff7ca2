"""What the command line of a launch takes."""

import argparse
from collections.abc import Sequence
from pathlib import Path


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The arguments, or those of the process; ends it for what they do not allow."""
    options = _parser().parse_intermixed_args(arguments)
    options.dry_run = options.dry_run or options.check
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tune_app.launch",
        allow_abbrev=False,  # --address is looked for before
        description="Find lottery tickets at one set of hyperparameters, train them at another.",
    )
    parser.add_argument("sweep", type=Path, help="the sweep file")
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="replaces what the file says"
    )
    parser.add_argument("--dry-run", action="store_true", help="show the plan and start nothing")
    parser.add_argument(
        "--check",
        action="store_true",
        help="as --dry-run, and try on a few images that network, data and recipes go together, "
        "which every launch does before it starts Ray",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("runs"),
        metavar="DIR",
        help="holds a directory for each sweep, what they trained, and MLflow's database "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--store",
        metavar="PLACE",
        help="what is trained, shared by all sweeps: a directory, or a URL such as "
        "s3://bucket/folder (default: in --out, as _store)",
    )
    cluster = parser.add_mutually_exclusive_group()
    cluster.add_argument(
        "--address",
        metavar="HOST:PORT",
        help="run the trials on the Ray cluster whose head is there, from here "
        "(default: RAY_ADDRESS, or else Ray on this machine)",
    )
    cluster.add_argument(
        "--submit",
        metavar="ADDRESS",
        help="hand the sweep to the Ray cluster whose page is there (http://127.0.0.1:8265), and "
        "follow it; --out and --store are places on the cluster",
    )
    return parser
