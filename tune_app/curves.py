"""Curves of accuracy over sparsity: one for each kind, H_find, H_eval and seed."""

import json
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Result = Mapping[str, Any]
"""One line of results.jsonl."""


@dataclass(frozen=True)
class Curve:
    """The results of one kind, H_find, H_eval and seed, by rising round.

    The dense network at H_eval, which no mask and so no H_find touches, is the first point of
    every curve of that H_eval and seed. `find` is None for kinds that have none.
    """

    kind: str
    find: Result | None
    eval: Result
    seed: int
    results: tuple[Result, ...]


def curves(results: Iterable[Result]) -> list[Curve]:
    """Sort results into curves, in the order in which they are first met."""
    dense: dict[tuple, Result] = {}
    groups: dict[tuple, list[Result]] = defaultdict(list)
    for result in results:
        if result["round"] == 0:
            dense[canonical(result["eval"]), result["seed"]] = result
        else:
            find, eval_ = canonical(result["find"]), canonical(result["eval"])
            groups[result["kind"], find, eval_, result["seed"]].append(result)
    found = []
    for (kind, _, eval_, seed), pruned in groups.items():
        start = [dense[eval_, seed]] if (eval_, seed) in dense else []
        points = (*start, *sorted(pruned, key=lambda result: result["round"]))
        found.append(Curve(kind, pruned[0]["find"], pruned[0]["eval"], seed, points))
    return found


def canonical(value: Any) -> str:
    """The same text for equal values, whatever the order of their keys."""
    return json.dumps(value, sort_keys=True)


def label(recipe: Result, varied: Sequence[str]) -> str:
    """A recipe in the words of what the sweep varies: `lr 0.1, batch_size 64`."""
    return ", ".join(f"{name} {text(recipe[name])}" for name in varied) or "train"


def text(value: Any) -> str:
    """A value of a recipe as a person would write it."""
    if isinstance(value, float):
        return f"{value:g}"
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


@dataclass(frozen=True)
class Statistic:
    """Mean and sample standard deviation (0 for n = 1) over n seeds."""

    mean: float
    std: float
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Statistic":
        std = statistics.stdev(values) if len(values) > 1 else 0.0
        return cls(statistics.fmean(values), std, len(values))

    def percent(self) -> str:
        """`97.5 ± 0.3 (3)`."""
        return f"{100 * self.mean:.1f} ± {100 * self.std:.1f} ({self.n})"
