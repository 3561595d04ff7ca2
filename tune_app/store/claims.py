"""Claims of launches on the trainings of a store, so that launches side by side share the work.

    claims/5e....json     the process of a launch, and the ids that it trains
    claims/5e....alive    heartbeat: written again every few seconds, and only its time counts

A launch claims the trainings that no living launch has claimed before it, trains those, and waits
for the rest. Two that look at the same moment may both claim a training; it is then trained twice,
to the same result.
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
from typing import Any

from tune_app.store.files import Storage
from tune_app.store.store import Store

HEARTBEAT_S = 20.0
DEAD_AFTER_S = 120.0
"""Age of the last heartbeat from which a launch counts as dead: several, for slow storage."""


@dataclass(frozen=True)
class Claim:
    """The trainings that another launch works on."""

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
        """The heartbeat; runs while something is claimed."""

    def of_others(self) -> list[Claim]:
        """The claims of other living launches.

        Raises:
            StoreError: when the storage refuses.
        """
        return self.store.patiently(self._of_others)

    def ids_of_others(self) -> frozenset[str]:
        """The ids of all that other launches that live train now.

        Raises:
            StoreError: when the storage refuses.
        """
        return frozenset().union(*(claim.ids for claim in self.of_others()))

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
        if self.thread is None:  # the heartbeat was only to learn the storage's time
            self.storage.delete(f"{self.name}.alive")
        return claims

    def _lives(self, other: str, claim: dict[str, Any], now: float) -> bool:
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
            with suppress(OSError):  # a claim that stays is dead without a heartbeat
                _delete(self.storage, self.name)

    def _keep_beating(self) -> None:
        while not self.over.wait(HEARTBEAT_S):
            with suppress(OSError):  # storage may be away for a while
                self._beat()

    def _beat(self) -> None:
        self.storage.write(f"{self.name}.alive", b"")


def _delete(storage: Storage, name: str) -> None:
    for suffix in (".json", ".alive"):
        storage.delete(name + suffix)


def _machine() -> str:
    """The PID namespace (boot id and namespace): a PID may be checked for life only inside it."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    return socket.gethostname()


def _is_running(pid: int) -> bool:
    with suppress(OSError, IndexError):  # there is no /proc on a Mac
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        if state in "ZX":  # it has ended, and whoever started it has not asked how
            return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        pass
    return True
