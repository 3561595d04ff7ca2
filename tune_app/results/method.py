"""How a sweep prunes and rewinds, in sentences for people."""

from collections.abc import Collection, Iterable, Iterator

from lt_core.config import Rewinding
from lt_core.names import kept_of
from tune_app.results.words import KIND_NAMES, kind_name, text
from tune_app.sweep.kinds import AT_INITIALIZATION, WITHOUT_TICKET, is_shared
from tune_app.sweep.prune import Prune
from tune_app.sweep.sweep import Sweep

_BY = {
    "global_magnitude": "by magnitude over all layers together",
    "layerwise_magnitude": "by magnitude, layer by layer",
    "filter_l1": "whole filters by L1 norm, layer by layer",
}
_WHERE = {
    "global": "over all layers together",
    "layerwise": "layer by layer",
    "erk": "at the layerwise ratios of Erdős and Rényi",
}
_MAX_LAYERS = 3  # to name one by one


def method(sweep: Sweep, baselines: Collection[str] = ()) -> list[str]:
    """What is other than iterative global magnitude pruning, rewound to initialization.

    Args:
        sweep: the sweep.
        baselines: those that are shown.
    """
    return [*_pruning(sweep.prune), *_rewinding(sweep), *_baselines(sweep, baselines)]


def _pruning(prune: Prune) -> Iterator[str]:
    if prune.pattern is not None:
        keep, of = kept_of(prune.pattern)
        by = f"the score {prune.strategy}" if prune.is_scored else "magnitude"
        yield (
            f"Pruned one-shot to {prune.pattern}: of each {of} weights in a row along a layer's "
            f"inputs {keep} {'stays' if keep == 1 else 'stay'}, by {by}."
        )
    elif prune.one_shot is not None or prune.strategy != "global_magnitude":
        times = "iteratively" if prune.one_shot is None else "one-shot"
        yield f"Pruned {times}, {_by(prune)}."
    if prune.layer_fractions:
        shares = [f"{layer} {text(share)}" for layer, share in prune.layer_fractions.items()]
        yield f"Pruned at a fraction of their own: {_few(shares)}."
    if prune.skip:
        yield f"Never pruned and not counted: {_few(prune.skip)}."


def _by(prune: Prune) -> str:
    if not prune.is_scored:
        return _BY[prune.strategy]
    return f"by the score {prune.strategy} {_WHERE[prune.scope]}"


def _few(layers: Iterable[str]) -> str:
    layers = list(layers)
    return ", ".join(layers) if len(layers) <= _MAX_LAYERS else f"{len(layers)} layers"


def _rewinding(sweep: Sweep) -> Iterator[str]:
    if sweep.rewinds_alike:
        if rewound := _rewound(sweep.eval_rewind, sweep.eval.rewind_from):
            yield rewound
        return
    found = _rewound(sweep.find_rewind, "find") or "Rewound to initialization."
    evaluated = _rewound(sweep.eval_rewind, sweep.eval.rewind_from) or "Rewound to initialization."
    yield f"While finding: {found}"
    yield f"To evaluate: {evaluated}"


def _rewound(rewind: Rewinding, whose: str) -> str:
    """A sentence; empty for initialization."""
    if rewind.method == "learning_rate":
        return f"LR rewinding to {rewind.to}: the weights go on as H_find trained them."
    if rewind.method == "fine_tuning":
        rest = f"for as long as from {rewind.to} to its end"
        return f"Fine-tuned at the last LR of the schedule, {rest}."
    return f"Rewound to {rewind.to}, to the weights of H_{whose}." if rewind.to.count else ""


def _baselines(sweep: Sweep, baselines: Collection[str]) -> Iterator[str]:
    if sweep.prune.strategy == "filter_l1" and "global_random" in baselines:
        yield "Global random removes random filters, the same share of each layer."
    if sweep.prune.pattern is not None and "global_random" in baselines:
        yield f"Global random is random, of the pattern {sweep.prune.pattern} too."
    if shown := AT_INITIALIZATION.intersection(baselines):
        names = ", ".join(name for kind, name in KIND_NAMES.items() if kind in shown)
        yield f"Found in the network as initialized, without training: {names}."
    if "preserve_lpr_live" in baselines:
        yield (
            "Preserve LPR, live, moves random weights that are on no path from input to output "
            "within their layer until as many are on one as of the ticket."
        )
    if _rewinds_late(sweep):
        if {"preserve_lpr", "preserve_lpr_live"}.intersection(baselines):
            yield "Preserve LPR starts as its ticket does."
        for kind in sorted(WITHOUT_TICKET.intersection(baselines), reverse=True):
            name = KIND_NAMES[kind]
            yield (
                f"{name[0].upper()}{name[1:]}, which has no H_find, starts from the weights at "
                "H_eval."
            )
    if "interpolated" in baselines:
        yield (
            "Between two orders is the worst network on the line between two trainings of the "
            "ticket that differ in data order: what it is below the ticket is the error barrier."
        )
    yield from _given(sweep, baselines)
    if "reinit" in baselines:
        yield "Random reinit is the ticket's mask on new weights, trained from step 0 in full."
    if "signs" in baselines:
        yield "Reinit, signs kept, gives the new weights the signs of the ticket's initialization."


def _given(sweep: Sweep, shown: Collection[str]) -> Iterator[str]:
    given = [kind for kind in sweep.masks or () if kind in shown]
    if not given:
        return
    start = "the weights at H_eval" if _rewinds_late(sweep) else "the initialization"
    yield f"Given, and trained from {start} of each seed: {', '.join(map(kind_name, given))}."
    if (shared := list(filter(is_shared, given))) and len(sweep.seeds) > 1:
        yield f"One mask for all seeds: {', '.join(map(kind_name, shared))}."


def _rewinds_late(sweep: Sweep) -> bool:
    return sweep.eval_rewind.method == "weights" and sweep.eval_rewind.to.count > 0
