"""How benchmarks measure: two ways alternately in one process, since machines are noisy."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    measured: str
    goal: str
    is_met: bool | None = None
    """None: for orientation, without a goal."""


@dataclass(frozen=True)
class Ratio:
    """How many times as long `a` takes as `b`: medians over pairs that ran next to each other."""

    wall: float
    cpu: float
    """Process CPU time: what the machine's other work does not slow down."""

    seconds: tuple[float, float]
    """Median wall times of `a` and `b`."""

    def __str__(self) -> str:
        a, b = (f"{1000 * s:.3g} ms" if s < 1 else f"{s:.3g} s" for s in self.seconds)
        return f"{self.wall:.2f} (CPU time {self.cpu:.2f}; {a} and {b})"


def ratio(a: Callable[[], object], b: Callable[[], object], repeats: int = 7) -> Ratio:
    """Run `a` and `b` alternately, each once to warm up and then `repeats` times."""
    a(), b()
    pairs = [(_timed(a), _timed(b)) for _ in range(repeats)]
    wall, cpu = (statistics.median(x[i] / y[i] for x, y in pairs) for i in (0, 1))
    seconds = tuple(statistics.median(pair[i][0] for pair in pairs) for i in (0, 1))
    return Ratio(wall, cpu, seconds)


def _timed(run: Callable[[], object]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - wall, time.process_time() - cpu
