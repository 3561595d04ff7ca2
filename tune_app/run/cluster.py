"""What a person sees of a Ray cluster: its nodes as they come and go, and what they cost."""

import operator
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.autoscaler.v2.sdk import get_cluster_status
from ray.exceptions import RayError

from tune_app.run.head import Head
from tune_app.sweep.resources import Resources
from tune_app.words import duration, plural

INTERVAL_S = 5.0

PATIENCE_S = 300.0
"""How long a cluster may have no node that is large enough before it is said once more."""


@dataclass(frozen=True)
class Nodes:
    """The nodes of a cluster at a moment, the head among them."""

    number: int
    starting: int
    """Asked for by the autoscaler, and not there yet."""

    cpus: tuple[float, float]
    """In use, and in all."""

    gpus: tuple[float, float]
    without_room: tuple[Resources, ...]
    """What no node is large enough for, busy or not."""

    ids: frozenset[str] = field(default=frozenset(), compare=False)

    def words(self) -> str:
        parts = [plural(self.number, "node")]
        if self.starting:
            parts.append(f"{self.starting} more starting")
        for (used, total), name in ((self.cpus, "CPU"), (self.gpus, "GPU")):
            if total:
                parts.append(f"{used:g} of {plural(total, name)} in use")
        return ", ".join(parts)


def look(resources: Iterable[Resources]) -> Nodes:
    """The nodes of the cluster that this process is connected to, by its autoscaler's report.

    Args:
        resources: of trials.
    """
    status = get_cluster_status(ray.get_runtime_context().gcs_address)
    nodes = (*status.active_nodes, *status.idle_nodes)
    alive = [_usage(node) for node in nodes]
    launches = sum(launch.count for launch in status.pending_launches)
    return Nodes(
        number=len(alive),
        starting=len(status.pending_nodes) + launches,
        cpus=_sum(alive, "CPU"),
        gpus=_sum(alive, "GPU"),
        without_room=tuple(
            asked
            for asked in dict.fromkeys(resources)
            if not any(
                node.get("CPU", (0, 0))[1] >= asked.cpu and node.get("GPU", (0, 0))[1] >= asked.gpu
                for node in alive
            )
        ),
        ids=frozenset(str(node.node_id) for node in nodes),
    )


def has_idle_gpu(amount: float) -> bool:
    """Whether a node of the cluster has so much of its GPUs left."""
    try:
        status = get_cluster_status(ray.get_runtime_context().gcs_address)
    except RayError:
        return False  # the head is away
    gpus = (_usage(node).get("GPU", (0, 0)) for node in (*status.active_nodes, *status.idle_nodes))
    return any(total - used >= amount for used, total in gpus)


def _usage(node: Any) -> dict[str, tuple[float, float]]:
    usage = node.resource_usage.usage if node.resource_usage else ()
    return {each.resource_name: (each.used, each.total) for each in usage}


def _sum(nodes: list[dict[str, tuple[float, float]]], name: str) -> tuple[float, float]:
    used, total = zip((0.0, 0.0), *(node.get(name, (0.0, 0.0)) for node in nodes), strict=True)
    return sum(used), sum(total)


class Watch:
    """Says how many nodes there are when that changes or more is in use than ever, and at the end
    their hours."""

    def __init__(
        self,
        resources: Iterable[Resources],
        say: Callable[[str], None],
        head: Head | None = None,
    ) -> None:
        """Prepare.

        Args:
            resources: of trials; that no node holds one yet is said too.
            say: called from a thread.
            head: told of each look.
        """
        self.head = head
        self.resources = tuple(resources)
        self.say = say
        self.most = 0
        self.node_seconds = 0.0
        self.said: tuple[int, int] | None = None
        self.most_in_use = (0.0, 0.0)
        self.waits_since: float | None = None
        """Since when there is a trial that no node is large enough for."""
        self.said_that_it_waits = False
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Watch":
        self.thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.over.set()
        self.thread.join(timeout=INTERVAL_S)  # it may ask a head that is away
        hours = self.node_seconds / 3600
        self.say(f"cluster: at most {plural(self.most, 'node')}, {hours:.2f} node hours")

    def _watch(self) -> None:
        last = time.monotonic()
        while True:
            nodes = self._look()
            if nodes is not None:
                now = time.monotonic()
                self.node_seconds += nodes.number * (now - last)
                last = now
                self._tell(nodes, now)
            if self.over.wait(INTERVAL_S):
                return

    def _look(self) -> Nodes | None:
        if self.head is None or self.head.is_there():  # else Ray would try for long
            with suppress(RayError):
                nodes = look(self.resources)
                if self.head is not None:
                    self.head.seen(nodes.ids)
                return nodes
        if self.head is not None:
            self.head.missed()
        return None

    def _tell(self, nodes: Nodes, now: float) -> None:
        self.most = max(self.most, nodes.number)
        in_use = nodes.cpus[0], nodes.gpus[0]
        is_more = any(map(operator.gt, in_use, self.most_in_use))
        cpus, gpus = map(max, in_use, self.most_in_use)
        self.most_in_use = cpus, gpus
        trials = " or ".join(map(_words, nodes.without_room))
        if is_more or (nodes.number, nodes.starting) != self.said:
            self.said = nodes.number, nodes.starting
            waits = f"; none holds a trial {trials} yet" if trials else ""
            self.say(f"cluster: {nodes.words()}{waits}")
        if not trials or nodes.starting:
            self.waits_since = None
        elif self.waits_since is None:
            self.waits_since = now
        elif now - self.waits_since >= PATIENCE_S and not self.said_that_it_waits:
            self.said_that_it_waits = True
            self.say(
                f"cluster: for {duration(PATIENCE_S)} no node that holds a trial {trials}, and "
                "none starts: it may have none that large. The sweep waits; Ctrl-C ends it"
            )


def _words(resources: Resources) -> str:
    gpu = f", gpu: {resources.gpu:g}" if resources.gpu else ""
    return f"(cpu: {resources.cpu:g}{gpu})"
