"""What each launch that uses a store is training now, so that two of them share the work.

    claims/5e....json     who it is, and the ids of what it trains
    claims/5e....alive    written again every few seconds; its time is when the launch last lived

A launch claims what no other that lives has claimed before it, trains that, and waits for the rest.
Two that look at the same moment may both claim a training; it is then trained twice, to the same
result.
"""

import json
import os
import socket
import threading
import uuid
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tune_app.store.files import Storage
from tune_app.store.store import Store

HEARTBEAT_S = 20.0
DEAD_AFTER_S = 120.0
"""A launch that was not heard of for so long is dead: several heartbeats, for slow storage."""


@dataclass(frozen=True)
class Claim:
    """What another launch trains."""

    who: str
    ids: frozenset[str]


class Claims:
    """The claims of one launch on the trainings of a store; a context, which releases them."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.storage = store.storage
        self.name = f"claims/{uuid.uuid4().hex}"
        self.ids: set[str] = set()
        self.over = threading.Event()
        self.thread: threading.Thread | None = None
        """Beats while something is claimed."""

    def of_others(self) -> list[Claim]:
        """What other launches that live train now.

        Raises:
            StoreError: when the storage refuses.
        """
        return self.store.patiently(self._of_others)

    def _of_others(self) -> list[Claim]:
        files = (name for name in self.storage.names("claims") if name.endswith(".json"))
        others = [name.removesuffix(".json") for name in files if name != f"{self.name}.json"]
        if not others:
            return []
        self._beat()
        now = self.storage.written_at(f"{self.name}.alive") or 0.0
        claims = []
        for other in others:
            data = self.storage.read(f"{other}.json")
            if data is None:
                continue  # it has just ended
            claim = json.loads(data)
            if self._lives(other, claim, now):
                claims.append(Claim(claim["who"], frozenset(claim["ids"])))
            else:
                _delete(self.storage, other)
        if self.thread is None:  # it was only to learn the storage's time
            self.storage.delete(f"{self.name}.alive")
        return claims

    def _lives(self, other: str, claim: dict, now: float) -> bool:
        if claim["machine"] == _machine() and not _is_running(claim["pid"]):
            return False
        last = self.storage.written_at(f"{other}.alive")
        return last is not None and now - last < DEAD_AFTER_S

    def __enter__(self) -> "Claims":
        return self

    def __exit__(self, *exception: object) -> None:
        self.release()

    def take(self, ids: Collection[str]) -> None:
        """Claim trainings, beside those that are claimed already, until `release` or death.

        Raises:
            StoreError: when the storage refuses.
        """
        self.ids |= set(ids)
        claim = {
            "who": f"process {os.getpid()} on {socket.gethostname()}",
            "machine": _machine(),
            "pid": os.getpid(),
            "ids": sorted(self.ids),
        }
        if self.thread is None:
            self.store.patiently(self._beat)
        self.store.patiently(self.storage.write, f"{self.name}.json", json.dumps(claim).encode())
        if self.thread is None:
            self.over.clear()
            self.thread = threading.Thread(target=self._keep_beating, daemon=True)
            self.thread.start()

    def release(self) -> None:
        """Claim nothing any more."""
        if self.thread is not None:
            self.over.set()
            self.thread.join()
            self.thread = None
            self.ids.clear()
            with suppress(OSError):  # then it is found dead
                _delete(self.storage, self.name)

    def _keep_beating(self) -> None:
        while not self.over.wait(HEARTBEAT_S):
            with suppress(OSError):  # away for a while
                self._beat()

    def _beat(self) -> None:
        self.storage.write(f"{self.name}.alive", b"")


def _delete(storage: Storage, name: str) -> None:
    for suffix in (".json", ".alive"):
        storage.delete(name + suffix)


def _machine() -> str:
    """Where a process id means the same process; unique to a container."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    return socket.gethostname()


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        pass
    return True
