"""What a sweep will take, in words: hours, wall time on this machine, and money."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from tune_app.plan.left import ToDo
from tune_app.plan.plan import Plan
from tune_app.run.estimate import Estimate, NotKnown, estimate
from tune_app.run.ray_settings import cluster_address
from tune_app.store.inventory import Stored
from tune_app.store.store import Store
from tune_app.sweep.sweep import Sweep
from tune_app.sweep.yaml_source import printable
from tune_app.words import duration, plural

if TYPE_CHECKING:
    from lt_core.data import DataSet


def show_estimate(
    sweep: Sweep,
    plan: Plan,
    to_do: ToDo,
    store: Store,
    stored: Stored,
    data: "DataSet | None" = None,
) -> Estimate | None:
    """Print what the trainings that are left will take; that, or None where it is not known.

    Args:
        sweep: what they are of.
        plan: theirs.
        to_do: the part of it that is left.
        store: of like trainings.
        stored: what it holds.
        data: as of `estimate`.
    """
    if not to_do.trainings:
        return None
    try:
        found = estimate(sweep, plan, to_do, store, stored.results, data)
    except NotKnown as why:
        print(f"{'estimate':<16}not known: {printable(str(why))}", flush=True)
        return None
    text = estimate_text(sweep, found, is_limit=sweep.race is not None)
    print(f"{'estimate':<16}{text} ({found.whence})", flush=True)
    return found


def estimate_text(sweep: Sweep, of: Estimate, *, is_limit: bool = False) -> str:
    """`about 0.24 core hours, 7m12s on 2 cores; at 1.2 an hour of a trial: 0.29`.

    Args:
        sweep: what is estimated.
        of: its estimate.
        is_limit: whether it may well come to less.
    """
    trials = of.by_resources(sweep)
    gpu_hours = sum(seconds * resources.gpu for resources, seconds in trials) / 3600
    on_cores = (resources.cpu * seconds for resources, seconds in trials if not resources.gpu)
    core_hours = sum(on_cores) / 3600
    amounts = [
        plural(float(f"{hours:.2g}") if hours < 9.95 else round(hours), f"{name} hour")
        for hours, name in ((gpu_hours, "GPU"), (core_hours, "core"))
        if hours
    ]
    text = f"{'at most' if is_limit else 'about'} {' and '.join(amounts)}"
    if cluster_address() is None:  # the nodes of a cluster may come and go with the trials
        text += _on_this_machine(sweep, of, bool(gpu_hours))
    priced = [(resources.price_per_hour or 0.0, seconds / 3600) for resources, seconds in trials]
    if money := sum(price * hours for price, hours in priced):
        an_hour = " and ".join(f"{price:g}" for price in dict(priced))
        text += f"; at {an_hour} an hour of a trial: {money:,.2f}"
    return text


def _on_this_machine(sweep: Sweep, of: Estimate, has_gpus: bool) -> str:
    cores, gpus = machine()
    wall = of.wall_seconds(sweep, cores, gpus)
    room = plural(gpus, "GPU") if has_gpus else plural(cores, "core")
    return f", {duration(wall)} on {room}" if wall is not None else ""


def machine() -> tuple[int, int]:
    """The cores of this machine, and the GPUs that a launch may use, without loading torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        gpus = len(list(Path("/proc/driver/nvidia/gpus").glob("*")))
    else:
        gpus = len([name for name in visible.split(",") if name.strip()])
    return os.cpu_count() or 1, gpus
