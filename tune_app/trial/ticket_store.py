"""Masks in Ray's object store, owned by an actor on the head node that outlives the trials.

Each launch has an actor of its own, which goes with it, killed or not: what others found comes from
their files.

The files of the store are the truth; the actor is a cache of what fits its budget, packed,
where every trial of a node maps it without a copy. What the actor lost, let go or never had is
read from its file.
"""

import contextlib
import hashlib
from typing import Any

import ray
from ray.actor import ActorHandle
from ray.exceptions import GetTimeoutError, RayError

from lt_core.packed_mask import PackedMask
from tune_app.store.store import Missing, Store

NAMESPACE = "lottery_tickets"
BUDGET_BYTES = 1 << 30
TIMEOUT_S = 30.0


@ray.remote(num_cpus=0)
class TicketHolder:
    """Owns the masks in the object store; over its budget the oldest go."""

    def __init__(self, budget_bytes: int) -> None:
        self.budget_bytes = budget_bytes
        self.held: dict[str, tuple[ray.ObjectRef[PackedMask], int]] = {}
        self.num_bytes = 0

    def put(self, id: str, packed: PackedMask) -> None:
        if id in self.held:
            return
        # Put here and not by the trial: an object is lost with the process that put it.
        self.held[id] = (ray.put(packed), packed.bits.nbytes)
        self.num_bytes += packed.bits.nbytes
        while self.num_bytes > self.budget_bytes:
            _, freed = self.held.pop(next(iter(self.held)))
            self.num_bytes -= freed

    def get(self, id: str) -> list[ray.ObjectRef[PackedMask]]:
        """The mask's reference in a list, so that Ray hands it on unresolved; empty if not held."""
        return [self.held[id][0]] if id in self.held else []


def start_holder(store_place: str) -> ActorHandle[Any]:
    """The holder of this store's tickets for this process's job, started if there is none.

    It is not detached: Ray ends it, and frees what it holds, with the process that started it.
    """
    holder: ActorHandle[Any] = TicketHolder.options(  # type: ignore[attr-defined]  # ray.remote's
        name=_name(store_place),
        namespace=NAMESPACE,
        get_if_exists=True,
        max_restarts=-1,
        max_task_retries=2,
        scheduling_strategy="DEFAULT",
        resources={"node:__internal_head__": 0.001},
    ).remote(BUDGET_BYTES)
    return holder


def _name(store_place: str) -> str:
    place = hashlib.sha256(store_place.encode()).hexdigest()[:20]
    return f"tickets {ray.get_runtime_context().get_job_id()} {place}"


class TicketStore:
    """A trial's access to the tickets of a store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.holder = ray.get_actor(_name(store.place), namespace=NAMESPACE)
        self.num_from_disk = 0
        """Masks that the object store did not have."""

    def put(self, id: str, packed: PackedMask) -> None:
        """Keep a ticket: on disk first, then in the object store as well as it can."""
        self.store.put_ticket(id, packed.to_bytes())
        self._hold(id, packed)

    def get(self, id: str) -> PackedMask:
        """A ticket's mask.

        Raises:
            Missing: when the store does not have it, or not whole.
        """
        with contextlib.suppress(RayError, GetTimeoutError):
            held: list[ray.ObjectRef[PackedMask]]
            held = ray.get(self.holder.get.remote(id), timeout=TIMEOUT_S)
            for ref in held:
                return ray.get(ref, timeout=TIMEOUT_S)
        data = self.store.ticket(id)
        if data is None:
            raise Missing(f"there is no ticket {id}; the same command finds it again")
        self.num_from_disk += 1
        packed = PackedMask.from_bytes(data)
        self._hold(id, packed)
        return packed

    def _hold(self, id: str, packed: PackedMask) -> None:
        with contextlib.suppress(RayError, GetTimeoutError):
            ray.get(self.holder.put.remote(id, packed), timeout=TIMEOUT_S)
