"""Kinds of masks: tickets, the baselines that they are compared with, and masks that are given."""

from collections.abc import Iterator, Sequence
from typing import Literal, get_args

from lt_core.config import Problem
from lt_core.names import MaskName

AtInitialization = Literal["snip", "grasp", "synflow"]
NewWeights = Literal["reinit", "signs"]
Baseline = Literal[
    "global_random",
    "erk",
    "preserve_lpr",
    "preserve_lpr_live",
    "interpolated",
    NewWeights,
    AtInitialization,
]
Kind = Literal["lottery", "lpr_constrained", "chain", Baseline] | MaskName
"""`chain` is a chain's own round where it is no evaluation, since chains rewind otherwise. A given
mask is a kind of its own: by the name that the sweep file gives it."""

TICKETS: frozenset[Kind] = frozenset({"lottery", "lpr_constrained", "chain"})
"""Kinds that are a ticket as a chain found it."""

AT_INITIALIZATION: frozenset[Kind] = frozenset(get_args(AtInitialization))
"""Kinds whose masks are found in the network as it is initialized, without any training."""

NEW_WEIGHTS: frozenset[Kind] = frozenset(get_args(NewWeights))
"""Kinds that are a ticket's mask on another initialization, trained from step 0 in full."""

UNDER_TICKETS: frozenset[Kind] = frozenset({"interpolated", *NEW_WEIGHTS})
"""Baselines whose masks are the tickets themselves."""

WITHOUT_TICKET: frozenset[Kind] = frozenset({"global_random", "erk", *AT_INITIALIZATION})
"""Kinds whose masks depend on the sparsity and the seed alone."""

OF_WEIGHTS: frozenset[Kind] = frozenset(
    {"erk", "preserve_lpr", "preserve_lpr_live", *AT_INITIALIZATION}
)
"""Kinds whose masks are none of whole filters."""

_OF_SEED = "{seed}"
"""In the name of a mask's file: each seed has a file of its own."""

_MAX_LENGTH = 40


def is_file(kind: Kind) -> bool:
    """Whether masks are read from files."""
    return kind.endswith(".safetensors")


def is_given(kind: Kind) -> bool:
    """Whether masks are given: read from files, or found by the user's own search."""
    return is_file(kind) or ":" in kind


def has_find(kind: Kind) -> bool:
    """Whether masks depend on H_find."""
    return kind not in WITHOUT_TICKET and not is_given(kind)


def source(kind: Kind, seed: int) -> str:
    """Where the given mask of a seed comes from: an import path, or the path of a file."""
    return kind.replace(_OF_SEED, str(seed)) if is_file(kind) else kind


def is_shared(kind: Kind) -> bool:
    """Whether all seeds have one mask, which suits the initialization of one of them at most."""
    return is_file(kind) and _OF_SEED not in kind


def in_short(kind: Kind) -> str:
    """A given mask in words that fit a legend: without the packages of an import path, and of the
    path of a file the end."""
    if not is_file(kind):
        module, _, function = kind.partition(":")
        return f"{module.rpartition('.')[2]}:{function}"
    name = kind.removesuffix(".safetensors")
    return name if len(name) <= _MAX_LENGTH else f"...{name[-_MAX_LENGTH:]}"


def mask_problems(masks: Sequence[Kind], strategy: str, rewinds: str) -> Iterator[Problem]:
    """What given masks do not go with: `strategy` of `prune`, or the method `rewinds`."""
    for i in range(len(masks)):
        if strategy == "filter_l1":
            yield ("masks", i), "is of single weights, and filter_l1 prunes whole filters"
        elif rewinds != "weights":
            text = "has no trained weights to go on from; use `rewind.method: weights`"
            yield ("masks", i), text
