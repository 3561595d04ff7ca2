"""Kinds of masks: tickets, and the baselines that they are compared with."""

from typing import Literal, get_args

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
Kind = Literal["lottery", "lpr_constrained", "chain", Baseline]
"""`chain` is a chain's own round where it is no evaluation, since chains rewind otherwise."""

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
