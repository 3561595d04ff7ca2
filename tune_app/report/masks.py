"""The masks that a grid's chains found, compared: between H_find, and between seeds."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from lt_core.overlap import chance_jaccards, jaccards
from lt_core.packed_mask import PackedMask
from tune_app.credentials import hide_credentials
from tune_app.plan.plan import Plan
from tune_app.results.curves import Statistic
from tune_app.store.store import MARKER, Store, StoreError
from tune_app.sweep.sweep import Sweep
from tune_app.words import plural

MAX_ROUNDS = 6
MAX_BYTES = 1 << 30
"""Of all masks that are read, a bit for each weight."""

_Masks = Mapping[tuple[int, int], PackedMask]
"""The masks of one round, by the place of their H_find in `find_recipes`, and seed."""


@dataclass(frozen=True)
class Overlap:
    """The Jaccard index of masks of one round, over all pairs that are compared alike.

    Pairs of masks of two H_find are of the same seed, one pair for each; pairs of masks of one
    H_find are of two seeds, one for every two.
    """

    round: int
    finds: tuple[int, int]
    """Places in `find_recipes`, the lower one first; equal for two seeds of one H_find."""

    jaccard: Statistic
    chance: float
    """The mean of what chance gives at the same layerwise pruning ratios."""

    @property
    def above_chance(self) -> float:
        """The share of the way from chance, 0, to equal masks, 1; negative below chance."""
        return (self.jaccard.mean - self.chance) / (1 - self.chance) if self.chance < 1 else 0.0


@dataclass(frozen=True)
class MaskComparison:
    """The overlaps of a grid's masks."""

    overlaps: tuple[Overlap, ...] = ()
    """By rising round; empty where there are no two masks to compare."""

    sparsities: Mapping[int, float] = field(default_factory=dict)
    """The mean of the masks that were found, for each round with overlaps."""

    notes: tuple[str, ...] = ()
    """One sentence for each thing that is missing, damaged or left out."""


def compare_masks(sweep: Sweep, plan: Plan, store: Store) -> MaskComparison:
    """The tickets of a grid, compared at its evaluated rounds: those that the store has.

    Tickets of LPR-constrained pruning are left out. A damaged file is set aside, as by any reader
    of a store, and noted.
    """
    finds = {recipe: place for place, recipe in enumerate(sweep.find_recipes)}
    chains = {
        (finds[chain.find], chain.seed): chain.tickets
        for chain in plan.chains
        if not chain.lpr_tickets
    }
    if len(chains) < 2 or len(sweep.eval_rounds) < 2:
        return MaskComparison()
    try:
        return _compared(sweep.eval_rounds[1:], chains, store)
    except StoreError as error:
        return MaskComparison(notes=(f"The masks are not compared: {error}.",))


def _compared(
    evaluated: Sequence[int], chains: Mapping[tuple[int, int], Sequence[str]], store: Store
) -> MaskComparison:
    """`compare_masks` of chains.

    Args:
        evaluated: rounds, rising.
        chains: the tickets of rounds 1, 2, ... of each chain, by H_find and seed.
        store: to read them from.

    Raises:
        StoreError: when it cannot be read.
    """
    if not store.patiently(store.storage.exists, MARKER):
        place = hide_credentials(store.place)
        return MaskComparison(notes=(f"The masks are not compared: there is no store at {place}.",))

    def read(round: int) -> _Masks:
        return _read({key: tickets[round - 1] for key, tickets in chains.items()}, store)

    wanted = spread(evaluated, MAX_ROUNDS)
    first = read(wanted[0])
    rounds, notes = _affordable(evaluated, wanted, first)
    overlaps: list[Overlap] = []
    sparsities: dict[int, float] = {}
    num_found = 0
    for round in rounds:
        masks = first if round == wanted[0] else read(round)
        num_found += len(masks)
        if found := list(_overlaps(round, masks)):
            overlaps += found
            sparsities[round] = statistics.fmean(map(_sparsity, masks.values()))
    missing = len(rounds) * len(chains) - num_found
    if not overlaps:
        notes = ["The masks are not compared: the store does not have two of them at any sparsity."]
    elif missing:
        tickets = plural(len(rounds) * len(chains), "ticket")
        notes.append(
            f"The masks are compared without {missing:,} of {tickets}: not in the store, or "
            "damaged."
        )
    return MaskComparison(tuple(overlaps), sparsities, tuple(notes))


def _affordable(
    evaluated: Sequence[int], wanted: list[int], first: _Masks
) -> tuple[list[int], list[str]]:
    """The rounds to compare, and a note where their masks are too large to compare all `wanted`;
    `first` are the masks of one of them."""
    num_bytes = sum(mask.bits.nbytes for mask in first.values())
    if num_bytes * len(wanted) <= MAX_BYTES:
        return wanted, []
    rounds = spread(evaluated, max(1, MAX_BYTES // num_bytes))
    note = (
        f"The masks are compared at {len(rounds)} of {len(evaluated)} sparsities, since those of "
        f"one take {num_bytes / 1e9:.1f} GB."
    )
    return rounds, [note]


def spread(rounds: Sequence[int], most: int) -> list[int]:
    """At most so many rounds, evenly spread, always with the last one."""
    if len(rounds) <= most:
        return [*rounds]
    if most == 1:
        return [rounds[-1]]
    step = (len(rounds) - 1) / (most - 1)
    return [rounds[int(i * step + 0.5)] for i in range(most)]


def _read(ids: Mapping[tuple[int, int], str], store: Store) -> _Masks:
    """The masks that the store has; without those of another network than that of most."""
    read = store.peek("tickets", ids.values(), PackedMask.from_bytes)
    found = {key: read[id] for key, id in ids.items() if id in read}
    layers = {key: tuple(mask.shapes.items()) for key, mask in found.items()}
    own = Counter(layers.values()).most_common(1)
    return {key: mask for key, mask in found.items() if layers[key] == own[0][0]}


def _overlaps(round: int, masks: _Masks) -> Iterator[Overlap]:
    """Those of one round, by H_find."""
    pairs: dict[tuple[int, int], list[tuple[float, float]]] = defaultdict(list)
    finds, seeds = sorted({find for find, _ in masks}), sorted({seed for _, seed in masks})
    for seed in seeds:
        there = [find for find in finds if (find, seed) in masks]
        for (i, j), indices in _pairs([masks[find, seed] for find in there]):
            pairs[there[i], there[j]].append(indices)
    for find in finds:
        of_seeds = [masks[find, seed] for seed in seeds if (find, seed) in masks]
        pairs[find, find] += (indices for _, indices in _pairs(of_seeds))
    for key in sorted(key for key, values in pairs.items() if values):
        found, by_chance = zip(*pairs[key], strict=True)
        yield Overlap(round, key, Statistic.of(found), statistics.fmean(by_chance))


def _pairs(
    masks: Sequence[PackedMask],
) -> Iterator[tuple[tuple[int, int], tuple[float, float]]]:
    """The places of two masks, the lower one first; their Jaccard index, and that by chance."""
    found, by_chance = jaccards(masks).tolist(), chance_jaccards(masks).tolist()
    for i, j in combinations(range(len(masks)), 2):
        yield (i, j), (found[i][j], by_chance[i][j])


def _sparsity(mask: PackedMask) -> float:
    return 1 - int(np.bitwise_count(mask.bits).sum(dtype=np.int64)) / mask.num_weights
