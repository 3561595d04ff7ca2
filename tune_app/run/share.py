"""How much of a cluster is a sweep's while others wait for room on it.

Ray gives room in turn, and a sweep keeps what it has from trial to trial, so that the first would
have all until it is done. Each launch notes in the cluster's key-value store how many trials it
runs and whether it wants more, and hands out no more than its equal part while another has less.
"""

import json
import time
import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import ray
from ray.exceptions import RayError
from ray.experimental import internal_kv

from tune_app.run.ray_session import num_slots
from tune_app.sweep.resources import Resources

INTERVAL_S = 5.0

WANTS_AFTER_S = 10.0
"""A launch that finds no room for so long wants some; a worker takes seconds to start."""

DEAD_AFTER_S = 30.0
"""From so long without a new note on a launch counts as dead; by the clock of who reads it."""

_NAMESPACE = b"lottery sweeps"


class Share:
    """The part of one launch; a note of it is in the cluster until `leave` or death."""

    def __init__(self, resources: Iterable[Resources]) -> None:
        """Prepare.

        Args:
            resources: of trials.
        """
        self.resources = tuple(resources)
        self.num_running = 0
        self.wants_since: float | None = None
        self.key = uuid.uuid4().hex.encode()
        self.beat = 0
        self.seen: dict[bytes, tuple[int, float]] = {}
        """Of others, the number of their last note, and since when it is the last."""

        self.most: int | None = None
        """Trials that this launch may have at a time; None: as many as find room."""

        self.next_look = 0.0

    def look(self, num_running: int, num_waiting: int) -> None:
        """Note how it is here, and see how it is elsewhere; to be called now and then.

        Args:
            num_running: trials of this launch.
            num_waiting: those that wait for room.
        """
        now = time.monotonic()
        if not num_waiting:
            self.wants_since = None
        elif self.wants_since is None or num_running > self.num_running:
            self.wants_since = now
        self.num_running = num_running
        if now < self.next_look:
            return
        self.next_look = now + INTERVAL_S
        self.beat += 1
        note = {
            "beat": self.beat,
            "running": num_running,
            "wants_more": self.wants_since is not None and now - self.wants_since > WANTS_AFTER_S,
            "asks": [(asked.cpu, asked.gpu) for asked in self.resources],
        }
        internal_kv._internal_kv_put(self.key, json.dumps(note).encode(), namespace=_NAMESPACE)
        read = (self._living(key, now) for key in self._keys())
        others = [other for other in read if other is not None]
        part = max(1, num_slots(self.resources[0]) // (1 + len(others)))
        has_less = any(
            other.get("wants_more")
            and other.get("running", 0) < part
            and _has_a_node_for(other.get("asks", ()))
            for other in others
        )
        self.most = part if has_less else None

    def leave(self) -> None:
        """Share no more."""
        with suppress(RayError):  # a note that stays is soon taken for that of the dead
            internal_kv._internal_kv_del(self.key, namespace=_NAMESPACE)

    def _keys(self) -> list[bytes]:
        keys = internal_kv._internal_kv_list(b"", namespace=_NAMESPACE)
        return [key for key in keys if key != self.key]

    def _living(self, key: bytes, now: float) -> dict[str, Any] | None:
        read = internal_kv._internal_kv_get(key, namespace=_NAMESPACE)
        if read is None:
            return None
        note: dict[str, Any] = json.loads(read)
        beat, since = self.seen.get(key, (None, now))
        self.seen[key] = note["beat"], since if note["beat"] == beat else now
        if now - self.seen[key][1] < DEAD_AFTER_S:
            return note
        internal_kv._internal_kv_del(key, namespace=_NAMESPACE)
        return None


def _has_a_node_for(asks: Iterable[Sequence[float]]) -> bool:
    """Whether a trial of another launch can be helped by room."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return any(
        has.get("CPU", 0) >= cpu and has.get("GPU", 0) >= gpu for has in nodes for cpu, gpu in asks
    )
