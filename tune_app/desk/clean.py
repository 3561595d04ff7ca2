"""Removing from a store what no run needs: `python -m tune_app clean`."""

import sys
from collections.abc import Iterable
from pathlib import Path

import click

from tune_app.command import examples, out_option, path_argument, refused
from tune_app.credentials import hide_credentials
from tune_app.exit_codes import OK, SOME_FAILED
from tune_app.plan.plan import Plan, make_plan
from tune_app.results.reading import RunError, read_sweep
from tune_app.search.plan import SearchPlan
from tune_app.search.reading import read_plan
from tune_app.store.claims import Claims
from tune_app.store.disk_use import files, id_of
from tune_app.store.store import MARKER, Store, StoreError, store_place
from tune_app.sweep.yaml_source import SpecError
from tune_app.words import in_bytes, plural


def _run(runs: tuple[Path, ...], out: Path | None, store: str | None, delete: bool) -> int:
    if runs and out is not None:
        raise click.UsageError("--out: all runs there would be kept; give it, or RUNS")
    out = out or (runs[0].parent if runs else Path("runs"))
    if store is None and len({run_dir.absolute().parent for run_dir in runs}) > 1:
        raise click.UsageError("--store: needed, since RUNS lie in several directories")
    try:
        kept = runs or tuple(sorted(path.parent for path in out.glob("*/sweep.yaml")))
        if not kept:
            raise RunError(f"{out}: no run is there, and none is given: nothing would be kept")
        opened = Store(store_place(out, store))
        if not opened.storage.exists(MARKER):
            raise StoreError(
                f"{hide_credentials(opened.place)}: there is no store; --store says where"
            )
        needed = frozenset().union(*(needed_by(run_dir) for run_dir in kept))
        return _cleaned(opened, kept, needed, delete)
    except (RunError, SpecError, StoreError, OSError) as error:
        return refused(error)


def _cleaned(store: Store, kept: Iterable[Path], needed: frozenset[str], delete: bool) -> int:
    print(f"kept in {hide_credentials(store.place)}: what {', '.join(map(str, kept))} asked for")
    beside = {path.parent for run_dir in kept for path in run_dir.parent.glob("*/sweep.yaml")}
    if others := sorted(map(str, beside - {*kept})):
        print(f"not kept: what only {', '.join(others)} asked for")
    print("runs elsewhere that share this store are not known here: name them too")
    rest = {
        kind: {name: size for name, size in its.items() if id_of(kind, name) not in needed}
        for kind, its in files(store).items()
        if kind != "contents"  # what data and networks were, for all runs to come
    }
    total = 0
    for kind, its in rest.items():
        size = sum(its.values())
        total += size
        if its:
            print(f"  {kind:<12}{plural(len(its), 'file'):>14}  {in_bytes(size):>8}")
    if not total:
        print("nothing else is in the store")
        return OK
    if not delete:
        print(f"{in_bytes(total)} of no use to these; to remove it, the same with --delete")
        return OK
    if launches := Claims(store).of_others():
        who = ", ".join(claim.who for claim in launches)
        print(f"error: a launch works on this store ({who}); once it has ended", file=sys.stderr)
        return SOME_FAILED
    names = [name for its in rest.values() for name in its]
    store.patiently(lambda: list(store.storage.map(store.storage.delete, names)))
    print(f"{in_bytes(total)} removed")
    return OK


def needed_by(run_dir: Path) -> frozenset[str]:
    """The ids of all that a run trained, or goes on from: results, tickets, weights.

    Raises:
        RunError: a file of the run is missing or damaged.
        SpecError: its `sweep.yaml` is not a sweep file.
    """
    sweep = read_sweep(run_dir)
    plan: Plan | SearchPlan
    plan = make_plan(sweep) if sweep.search is None else read_plan(run_dir, sweep)
    ids: set[str | None] = {*plan.trainings, *plan.chain_of_ticket}
    for training in plan.trainings.values():
        ids |= {training.ticket, training.weights, training.given}
    for chain in plan.chain_of_ticket.values():
        ids.update(chain.weights)
        ids.update(chain.lpr_tickets)
    return frozenset(id for id in ids if id is not None)


COMMAND = click.Command(
    "clean",
    callback=_run,
    help="Say what is in a store that none of RUNS asked for, by kind and size; with --delete, "
    "remove it. RUNS are directories of runs, all those of --out if none is given: remove the "
    "directory of a run that is not wanted any more, then clean.",
    short_help="Remove what no run needs from a store.",
    epilog=examples(
        "lottery clean",
        "lottery clean runs/lr_grid runs/bs_grid",
        "lottery clean --store s3://bucket/folder --delete",
    ),
    params=[
        path_argument("runs", nargs=-1),
        out_option("DIR", "Holds a directory for each run, and the store; runs if not given."),
        click.Option(["--store"], metavar="PLACE", help="The store; beside the runs if not given."),
        click.Option(["--delete"], is_flag=True, help="Remove it, where no launch is running."),
    ],
)
