"""What is left of a network, as fractions of the dense one."""

from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from lt_core.cost import Cost
from tune_app.results.curves import Statistic
from tune_app.results.result import Result

Axis = Literal["weights", "macs", "live", "bitmask", "csr"]

AXES: Mapping[Axis, str] = {
    "weights": "weights",
    "macs": "multiply-adds",
    "live": "live weights",
    "bitmask": "bytes, bitmask and values",
    "csr": "bytes, CSR",
}

_LEFT: Mapping[Axis, Callable[[Cost], float | None]] = {
    "weights": lambda cost: cost.alive / cost.weights,
    "macs": lambda cost: cost.macs / cost.dense_macs,
    "live": lambda cost: None if cost.live is None else cost.live / cost.weights,
    "bitmask": lambda cost: cost.bitmask_bytes / cost.dense_bytes,
    "csr": lambda cost: cost.csr_bytes / cost.dense_bytes,
}


def left(result: Result, axis: Axis) -> float | None:
    """The fraction of the dense network's that is left; None where it was not counted."""
    return None if result.cost is None else _LEFT[axis](result.cost)


def mean_left(results: Iterable[Result], axis: Axis) -> Statistic | None:
    """Over results that differ in their seed; None where one was not counted."""
    found = [left(result, axis) for result in results]
    counted = [fraction for fraction in found if fraction is not None]
    return Statistic.of(counted) if counted and len(counted) == len(found) else None
