"""What a sweep will take: hours of cores or GPUs, wall time and money, before anything is trained.

The seconds of a training come from like ones in the store, or else from a few optimization steps
on this machine (`probe.py`).
"""

import heapq
import math
import statistics
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from lt_core.config import Precision
from lt_core.steps import Steps
from tune_app.plan.ids import Ids
from tune_app.plan.left import ToDo
from tune_app.plan.plan import Plan
from tune_app.plan.trainings import Training
from tune_app.results.result import Result
from tune_app.store.store import Store
from tune_app.sweep.kinds import NEW_WEIGHTS, Kind
from tune_app.sweep.resources import Resources
from tune_app.sweep.sweep import Sweep
from tune_app.words import plural

if TYPE_CHECKING:
    from lt_core.data import DataSet

# torch is loaded for a probe alone: a dry run of what has been trained before needs none.

SAMPLE = 200
"""Results that are read of a store, which may hold 100,000."""

SHIPPED = ("digits", "mnist_5000", "synthetic")
"""Data sets that come with a package, to be probed on unasked."""


class NotKnown(Exception):
    """What a sweep takes cannot be told; says why."""


class Pace(NamedTuple):
    """What the seconds of an optimization step depend on, for one network and data set."""

    batch_size: int
    precision: Precision
    filters_pruned: float
    """Share of the filters that the network is without, where it is the smaller one."""

    cpu: int
    gpu: float


class Workload(NamedTuple):
    """What the seconds of a training depend on."""

    pace: Pace
    begin: Steps
    end: Steps
    times: int = 1
    """The trainings that it consists of."""

    @property
    def length(self) -> int | None:
        """Epochs or iterations; None where its ends are in different units."""
        if self.begin.count == 0 or self.begin.unit == self.end.unit:
            return self.times * (self.end.count - self.begin.count)
        return None


@dataclass(frozen=True)
class Estimate:
    """The time that the trainings of a plan take."""

    seconds: Mapping[str, float]
    """Of each training, by id."""

    find_seconds: float
    """Of all rounds of chains."""

    eval_seconds: float
    """Of all evaluations."""

    longest: float
    """Seconds of the longest chain, whose rounds follow each other."""

    whence: str
    """`from 128 like trainings in the store`."""

    def times(self, factor: float) -> "Estimate":
        """That of so many times the trainings."""
        return replace(
            self,
            find_seconds=factor * self.find_seconds,
            eval_seconds=factor * self.eval_seconds,
        )

    def wall_seconds(self, sweep: Sweep, cores: int, gpus: int) -> float | None:
        """Wall time of the trainings on a machine, without the seconds that a launch takes to start
        and to report; None where a trial does not fit the machine."""
        wall = 0.0
        for resources, seconds in self.by_resources(sweep):
            slots = resources.fit(cores, gpus)
            if slots == 0:
                return None
            wall += seconds / slots
        return max(wall, self.longest)

    def by_resources(self, sweep: Sweep) -> list[tuple[Resources, float]]:
        """The seconds of chains and of evaluations, those that there are, with their resources."""
        chains = sweep.find_resources, self.find_seconds
        evaluations = sweep.eval_resources, self.eval_seconds
        return [(resources, seconds) for resources, seconds in (chains, evaluations) if seconds]


def estimate(
    sweep: Sweep,
    plan: Plan,
    to_do: ToDo,
    store: Store,
    results: Collection[str],
    data: "DataSet | None" = None,
) -> Estimate:
    """What the trainings of `to_do` take.

    Args:
        sweep: what they are of.
        plan: theirs.
        to_do: the part of the plan that is to be trained.
        store: holds results of like trainings, or none.
        results: the ids of these.
        data: the data set of the sweep, which its network can be trained on; without it a probe is
            taken only where both are ours and come without a download.

    Raises:
        NotKnown: when there are no like trainings and no probe.
        StoreError: when the store refuses.
    """
    workloads = _workloads(sweep, plan)
    work = {id: workloads[id] for id in to_do.trainings}
    wanted = set(work.values())
    like = _stored(sweep, workloads, wanted, store, results)
    known: dict[Workload, float] = {}
    used: set[Workload] = set()
    for workload in wanted:
        found = _like(workload, like)
        if found is not None:
            known[workload], sources = found
            used.update(sources)
    number = plural(sum(len(like[workload]) for workload in used), "like training")
    others = " of other lengths" if used - known.keys() else ""
    whence = [f"{number}{others} in the store"] if used else []
    if missing := wanted - known.keys():
        probed, num_steps = _probed(sweep, missing, data)
        known |= probed
        whence.append(f"a probe of {plural(num_steps, 'step')}")
    seconds = {id: known[workload] for id, workload in work.items()}
    chains = [sum(seconds.get(id, 0.0) for id in chain.ids) for chain in to_do.chains]
    return Estimate(
        seconds,
        find_seconds=sum(chains),
        eval_seconds=sum(seconds[training.id] for training in to_do.evaluations),
        longest=max(chains, default=0.0),
        whence=f"from {' and '.join(whence)}",
    )


def _workloads(sweep: Sweep, plan: Plan) -> Mapping[str, Workload]:
    """The workload of each training of a plan, by id."""
    in_chains = {id for chain in plan.chains for id in chain.ids}
    shared: dict[tuple[int, int, Kind, bool], Workload] = {}  # of a hundred thousand few differ

    def of(training: Training) -> Workload:
        is_find = training.id in in_chains
        key = (id(training.eval), training.round, training.kind, is_find)
        if key not in shared:
            resources = sweep.find_resources if is_find else sweep.eval_resources
            shared[key] = _workload(sweep, training, resources)
        return shared[key]

    return {training.id: of(training) for training in plan.trainings.values()}


def _workload(sweep: Sweep, of: Training | Result, resources: Resources) -> Workload:
    is_pruned = of.round > 0
    is_smaller = is_pruned and sweep.prune.strategy == "filter_l1" and sweep.prune.shrink
    pace = Pace(
        of.eval.batch_size,
        of.eval.precision,
        sweep.prune.sparsity(of.round) if is_smaller else 0.0,
        resources.threads,
        resources.gpu,
    )
    is_rewound = is_pruned and of.kind not in NEW_WEIGHTS
    begin = sweep.rewind_of(of.kind).to if is_rewound else Steps(0, "ep")
    return Workload(pace, begin, of.eval.trains_for, 2 if of.kind == "interpolated" else 1)


# From the store


def _stored(
    sweep: Sweep,
    planned: Mapping[str, Workload],
    wanted: Collection[Workload],
    store: Store,
    results: Collection[str],
) -> Mapping[Workload, Sequence[float]]:
    """Seconds of stored trainings of the sweep's network and data set, a sample of each workload.

    Args:
        sweep: the sweep.
        planned: the workload of each training of its plan, by id.
        wanted: those that are to be trained; where the plan has none of one, all results of the
            store are looked at.
        store: holds them.
        results: the ids of all.
    """
    there: dict[Workload, list[str]] = defaultdict(list)
    for id, workload in planned.items():
        if id in results:
            there[workload].append(id)
    share = max(1, SAMPLE // len(there)) if there else 0
    sample = [id for ids in there.values() for id in heapq.nsmallest(share, ids)][:SAMPLE]
    seconds: dict[Workload, list[float]] = defaultdict(list)
    for result in store.peek("results", sample, _timed).values():
        seconds[planned[result.id]].append(result.seconds)
    if any(_like(workload, seconds) is None for workload in wanted):
        ids = Ids(sweep)
        others = heapq.nsmallest(SAMPLE, (id for id in results if id not in planned))  # ids: hashes
        for result in store.peek("results", others, _timed).values():
            if _is_of(sweep, ids, result):
                is_find = result.curve.coupled  # which is mostly a round of a chain
                resources = sweep.find_resources if is_find else sweep.eval_resources
                seconds[_workload(sweep, result, resources)].append(result.seconds)
    return seconds


def _timed(line: bytes) -> Result:
    result = Result.from_line(line)
    if not 0 < result.seconds < math.inf:
        raise ValueError(f"no training takes {result.seconds} s")
    return result


def _is_of(sweep: Sweep, ids: Ids, result: Result) -> bool:
    """Whether a result is of the sweep's network and data set, which only its id tells."""
    if result.round == 0:
        return ids.dense(result.eval, result.seed).id == result.id
    if not 0 < result.round <= sweep.prune.num_rounds:
        return False
    find = result.find or result.eval  # a mask that no training found is the same for every H_find
    training = ids.evaluation(
        result.kind, find, result.eval, result.seed, result.round, result.lpr_find
    )
    return training.id == result.id


def _like(
    workload: Workload, stored: Mapping[Workload, Sequence[float]]
) -> tuple[float, Sequence[Workload]] | None:
    """Median seconds of a training, and the workloads of the trainings that tell; None where none
    is like it. Longer or shorter ones tell, by their length, where no equal one is stored."""
    if stored.get(workload):
        return statistics.median(stored[workload]), [workload]
    if workload.length is None:
        return None
    others = {
        other: other.length
        for other in stored
        if other.pace == workload.pace and other.end.unit == workload.end.unit and other.length
    }
    if not others:
        return None
    paces = [s / length for other, length in others.items() for s in stored[other]]
    return workload.length * statistics.median(paces), list(others)


# From a probe


def _probed(
    sweep: Sweep, workloads: Iterable[Workload], data: "DataSet | None"
) -> tuple[Mapping[Workload, float], int]:
    """Seconds of trainings by steps taken here, and the number of these steps."""
    none_stored = "no like training is stored"
    if data is None and (sweep.dataset not in SHIPPED or sweep.has_own_network):
        what = sweep.model if sweep.has_own_network else sweep.dataset
        raise NotKnown(f"{none_stored}; --check tries {what}, and measures a few steps")
    from tune_app.run import probe

    try:
        return probe.seconds(sweep, workloads, data)
    except Exception as error:  # whatever a network of the user's does is told by the launch
        text = " ".join(str(error).split()) or type(error).__name__
        raise NotKnown(f"{none_stored}, and a probe of a few steps fails: {text}") from error
