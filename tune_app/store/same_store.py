"""Whether a place of this machine is the store that a launch means, on whatever machine it runs.

id              the store's own, random: what tells two stores at one path apart, for people
proofs/9c...    of a running launch: whoever sees it sees what the launch writes
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from tune_app.store.store import MARKER, Store, StoreError

_ID = "id"


@dataclass(frozen=True)
class Sign:
    """What a launch has left in its store, to be seen from elsewhere."""

    store: Store
    name: str
    id: str
    """Of the store."""

    def missing(self) -> str:
        """Why this machine cannot use the store, said of `store.place`; empty if it can."""
        store, storage = self.store, self.store.storage
        try:
            if not store.patiently(storage.exists, self.name):
                id = _id(store)
                if not store.patiently(storage.exists, MARKER):
                    return "is not there"
                if id != self.id:
                    return f"holds the store {id}, the launch's is {self.id}"
                return f"holds a copy of the launch's store {id}: what that writes does not come"
            probe = f"proofs/{uuid.uuid4().hex}"
            store.patiently(storage.write, probe, b"")
            store.patiently(storage.delete, probe)
        except StoreError as error:
            return f"cannot be read and written: {error}"
        return ""


@contextmanager
def sign_in(store: Store) -> Iterator[Sign]:
    """Leave a sign of this launch in its store, and take it away again.

    Raises:
        StoreError: when the storage refuses.
    """
    id = _id(store)
    if id is None:
        store.patiently(store.storage.write, _ID, uuid.uuid4().hex[:12].encode())
        id = _id(store) or ""  # of another launch's, if that came later
    name = f"proofs/{uuid.uuid4().hex}"
    store.patiently(store.storage.write, name, b"")
    try:
        yield Sign(store, name, id)
    finally:
        with suppress(OSError):  # one that stays does no harm
            store.storage.delete(name)


def _id(store: Store) -> str | None:
    read: bytes | None = store.patiently(store.storage.read, _ID)
    return None if read is None else read.decode(errors="replace")[:40]
