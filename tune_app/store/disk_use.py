"""The files of a store, with their sizes."""

from collections.abc import Mapping

from tune_app.store.store import SUFFIXES, Store

DAMAGED = "damaged"


def files(store: Store) -> Mapping[str, Mapping[str, int]]:
    """Sizes in bytes by file, by kind; also of those that were set aside as damaged.

    Raises:
        StoreError: when the storage refuses.
    """

    def of_kind(kind: str) -> dict[str, int]:
        return dict(store.storage.sizes(kind))

    return {kind: store.patiently(of_kind, kind) for kind in (*SUFFIXES, DAMAGED)}


def id_of(kind: str, name: str) -> str:
    """The id in the name of a file; one that was set aside is of no id."""
    return "" if kind == DAMAGED else name.rpartition("/")[2].removesuffix(SUFFIXES[kind])
