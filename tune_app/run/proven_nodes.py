"""Which nodes of a cluster may train a sweep: those that have what its launch has."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from tune_app.run.crashes import in_a_line
from tune_app.sweep.resources import Resources
from tune_app.sweep.yaml_source import SpecError
from tune_app.trial.proof import Proof
from tune_app.trial.store_keys import take_up
from tune_app.words import duration, plural

PROOF_S = 60.0
"""How long a node may take for its proof; the first trial on it proves it too."""

INTERVAL_S = 5.0


@dataclass
class ProvenNodes:
    """Nodes that may train. Those of the start prove it before the first trial, in a task on each,
    later ones as they come; every worker proves it once more as it starts."""

    proof: Proof
    keys: Mapping[str, str]
    """To the store, for a node that has none."""

    resources: tuple[Resources, ...]
    """Of trials."""

    say: Callable[[str], None]
    refused: dict[str, str] = field(default_factory=dict)
    """By node id, why."""

    looked_at: float = 0.0

    asked: "dict[str, ray.ObjectRef[list[str]]]" = field(default_factory=dict)
    """By node id, the proofs that were asked for and have not come."""

    met: set[str] = field(default_factory=set)
    """The ids of nodes that were asked."""

    met_at: float = 0.0

    def prove(self) -> None:
        """Have all nodes prove it that could hold a trial.

        Raises:
            SpecError: when none of those that could hold a trial may.
        """
        began = time.monotonic()
        self._ask()
        if not self.asked:  # they come later, and prove it then
            return
        number = len(self.asked)
        fit = self._hear(PROOF_S)
        late = len(self.asked)
        wait = f", {plural(late, 'node')} not yet" if late else ""
        self.say(
            f"cluster: {fit} of {plural(number, 'node')} proved to have this code, torch and "
            f"store, in {duration(time.monotonic() - began)}{wait}"
        )
        if why := self.none_left():
            raise SpecError(why)

    def look(self) -> None:
        """Have nodes prove it that have come since; to be called now and then."""
        now = time.monotonic()
        if now - self.met_at < INTERVAL_S:
            return
        self.met_at = now
        self._ask()
        self._hear(0)

    def _ask(self) -> None:
        for node in _alive():
            id = node["NodeID"]
            if id not in self.met and any(_holds(node, each) for each in self.resources):
                self.met.add(id)
                self.asked[id] = _asked(id, self.proof, self.keys)

    def _hear(self, timeout_s: float) -> int:
        """Refuse the nodes whose proof has come and fails; the number of those that may train."""
        if not self.asked:
            return 0
        nodes = {ref: id for id, ref in self.asked.items()}
        answered, _ = ray.wait(list(nodes), num_returns=len(nodes), timeout=timeout_s)
        fit = 0
        for ref in answered:
            del self.asked[nodes[ref]]
            try:
                lacks = ray.get(ref)
            except RayTaskError as error:
                lacks = [f"its code cannot prove it ({in_a_line(str(error))})"]
            except RayError:  # the node is gone, or dies at it: its first trial would tell
                continue
            if lacks:
                self.refuse(nodes[ref], "; ".join(lacks))
            else:
                fit += 1
        return fit

    def refuse(self, node: str, why: str) -> None:
        """Give a node no more trials; said once."""
        if node not in self.refused:
            self.refused[node] = why
            self.say(f"cluster: no trials for {_name(node)}: {why}")

    def avoided(self) -> tuple[str, ...]:
        """The ids of nodes that no trial may be given."""
        return tuple(sorted(self.refused))

    def none_left(self) -> str:
        """Why no trial can be run, where all nodes that are large enough for one are refused."""
        if not self.refused:
            return ""
        alive = _alive()
        for asked in self.resources:
            large = {node["NodeID"] for node in alive if _holds(node, asked)}
            if large and large <= self.refused.keys():
                last = next(why for id, why in reversed(self.refused.items()) if id in large)
                return (
                    f"no node is left that may train: {plural(len(large), 'node')} large enough, "
                    f"{'it' if len(large) == 1 else 'each'} lacks something that this launch has; "
                    f"the last: {last}"
                )
        return ""

    def none_left_by_now(self) -> str:
        """The same, looked at every few seconds."""
        now = time.monotonic()
        if now - self.looked_at < INTERVAL_S:
            return ""
        self.looked_at = now
        return self.none_left()


@ray.remote(num_cpus=0, max_retries=1)
def _lacks(proof: Proof, keys: Mapping[str, str]) -> list[str]:
    take_up(keys)
    return proof.lacks()


def _asked(node: str, proof: Proof, keys: Mapping[str, str]) -> "ray.ObjectRef[list[str]]":
    pinned = NodeAffinitySchedulingStrategy(node, soft=False)
    asked: ray.ObjectRef[list[str]] = _lacks.options(scheduling_strategy=pinned).remote(proof, keys)
    return asked


def _alive() -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]


def _holds(node: Mapping[str, Any], asked: Resources) -> bool:
    has = node["Resources"]
    return bool(has.get("CPU", 0) >= asked.cpu and has.get("GPU", 0) >= asked.gpu)


def _name(id: str) -> str:
    """`node worker-3 (10.0.0.7, 5fa3b2c1)`; the last is how Ray's page begins its id."""
    found = next((node for node in ray.nodes() if node["NodeID"] == id), None)
    if found is None:
        return f"node {id[:8]}"
    return f"node {found['NodeManagerHostname']} ({found['NodeManagerAddress']}, {id[:8]})"
