"""Claims of launches on the trainings of a store, so that launches side by side share the work.

    claims/5e....json     the process of a launch, and the ids that it trains
    claims/5e....alive    heartbeat: written again every few seconds

A launch claims the trainings that no living launch has claimed before it, trains those, and waits
for the rest. Two that look at the same moment may both claim a training; it is then trained twice,
to the same result.
"""

import json
import os
import socket
import threading
import time
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
"""From so long without a heartbeat on a launch counts as dead: several, for slow storage.

Each launch counts it by itself, from when it saw the last one: clocks of machines differ, and are
set while a launch runs.
"""


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
        self.seen: dict[str, tuple[float | None, float]] = {}
        """Of others, the time that their last heartbeat bears, and since when it is the last."""

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
        claims = []
        for other in others:
            claim = self._read(other)
            if claim is not None and self._lives(other, claim):
                claims.append(Claim(claim["who"], frozenset(claim["ids"])))
            elif claim is not None:
                _delete(self.storage, other)
        return claims

    def _read(self, other: str) -> dict[str, Any] | None:
        """A claim; None for one that has just ended, or is damaged and so set aside."""
        data = self.storage.read(f"{other}.json")
        if data is None:
            return None
        try:
            claim: dict[str, Any] = json.loads(data)
            if all(isinstance(claim[key], of) for key, of in _KEYS.items()):
                return claim
        except (ValueError, KeyError, TypeError, RecursionError):
            pass
        self.storage.move(f"{other}.json", f"damaged/{other.replace('/', '-')}.json")
        self.store.notes.append(f"{other}.json is damaged: set aside, what it claimed is free")
        return None

    def _lives(self, other: str, claim: dict[str, Any]) -> bool:
        if claim["machine"] == _machine() and not _is_running(claim["pid"]):
            return False
        now, last = time.monotonic(), self.storage.written_at(f"{other}.alive")
        before, since = self.seen.get(other, (last, now))
        self.seen[other] = last, since if last == before else now
        return now - self.seen[other][1] < DEAD_AFTER_S

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


_KEYS = {"who": str, "machine": str, "pid": int, "ids": list}


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
