"""Where the store of a run is: beside it, or where run.json says."""

import os
from pathlib import Path

from tune_app.credentials import hide_credentials
from tune_app.results.run_directory import RunDirectory
from tune_app.store.store import store_place


def elsewhere(place: str, out: Path) -> str:
    """What run.json says of a store: nothing if it is in `--out`, with which it may be moved, or if
    its place holds credentials.
    """
    if "://" not in place:
        place = os.path.abspath(place)
    is_open = hide_credentials(place) == place
    return place if is_open and place != store_place(out, None) else ""


def store_of(run_dir: Path, given: str | None = None) -> str:
    """The place of the store that the results of a run came from.

    Raises:
        StoreError: when it is nowhere.
    """
    run = RunDirectory(run_dir).provenance()
    if given is None and run is not None and run.store:
        return run.store
    return store_place(run_dir.resolve().parent, given)
