"""Masks in the object store of a real Ray, with their files behind them."""

import time

import numpy as np
import pytest
import ray
from ray.exceptions import ActorDiedError, RayError
from tiny_sweep import file_of

from lt_core.packed_mask import PackedMask
from tune_app.store.store import Missing, Store
from tune_app.trial.ticket_store import TicketHolder, TicketStore, start_holder

MASK = PackedMask({"conv": (2, 5)}, np.array([0b10110100, 0b01000000], dtype=np.uint8))


@pytest.fixture(scope="module")
def local_ray():
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture
def tickets(local_ray, tmp_path):
    store = Store(str(tmp_path))
    store.create()
    holder = start_holder(store.place)
    yield TicketStore(store)
    ray.kill(holder)


def same(mask: PackedMask) -> bool:
    return mask.shapes == MASK.shapes and mask.bits.tolist() == MASK.bits.tolist()


def test_a_ticket_comes_from_the_object_store_without_a_copy(tickets):
    tickets.put("a1", MASK)
    got = tickets.get("a1")
    assert same(got) and tickets.num_from_disk == 0
    assert not got.bits.flags.writeable  # mapped from shared memory


def test_a_ticket_outlives_the_process_that_made_it(tickets):
    @ray.remote(max_calls=1)
    def find(store: Store) -> None:
        TicketStore(store).put("a1", MASK)

    ray.get(find.remote(tickets.store))
    assert same(tickets.get("a1")) and tickets.num_from_disk == 0


def test_what_the_object_store_lost_is_read_from_its_file_once(tickets):
    tickets.put("a1", MASK)
    ray.kill(tickets.holder, no_restart=False)
    wait_until_lost(tickets.holder)
    assert same(tickets.get("a1")) and tickets.num_from_disk == 1
    assert same(tickets.get("a1")) and tickets.num_from_disk == 1


def wait_until_lost(holder) -> None:
    """A kill takes its time, and so does the restart."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if not ray.get(holder.get.remote("a1")):
                return
        except ActorDiedError:
            return
        except RayError:
            continue  # between the two
    raise TimeoutError


def test_without_a_holder_the_files_do(tickets):
    tickets.put("a1", MASK)
    ray.kill(tickets.holder)
    wait_until_lost(tickets.holder)
    tickets.put("b2", MASK)
    assert same(tickets.get("a1")) and same(tickets.get("b2"))
    assert tickets.num_from_disk == 2


def test_over_its_budget_the_oldest_go(local_ray):
    holder = TicketHolder.remote(5)
    ray.get([holder.put.remote(id, MASK) for id in ("a", "b", "c")])  # 2 bytes each
    held = ray.get([holder.get.remote(id) for id in ("a", "b", "c")])
    assert [len(refs) for refs in held] == [0, 1, 1]


def test_a_missing_ticket_is_named(tickets):
    with pytest.raises(Missing, match="there is no ticket a1; the same command finds it again"):
        tickets.get("a1")


def test_a_damaged_ticket_is_missing(tickets):
    tickets.store.put_ticket("a1", MASK.to_bytes())
    file_of(tickets.store, "tickets", "a1").write_bytes(b"garbage")
    with pytest.raises(Missing, match="there is no ticket a1"):
        tickets.get("a1")
