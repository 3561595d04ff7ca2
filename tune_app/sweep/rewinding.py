"""What a sweep's rewinding, of each stage, does not go with."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from lt_core.config import Recipe, Rewinding
from tune_app.sweep.kinds import NEW_WEIGHTS, OF_WEIGHTS
from tune_app.sweep.yaml_source import Loc

if TYPE_CHECKING:
    from tune_app.sweep.sweep import Sweep


def rewinding_problems(sweep: "Sweep") -> Iterator[tuple[Loc, str]]:
    """For each problem the key to point at, and what is wrong with it."""
    finds, evals = sweep.find_recipes, sweep.eval_recipes
    keys: dict[Loc, tuple[Rewinding, tuple[Recipe, ...]]] = {}
    # A ticket is rewound to weights of H_find's training, or of H_eval's.
    keys[("eval", "rewind") if sweep.eval.rewind else ("rewind",)] = (
        sweep.eval_rewind,
        (*finds, *evals),
    )
    if sweep.find.rewind:
        keys["find", "rewind"] = sweep.find.rewind, finds
    for key, (rewinding, recipes) in keys.items():
        if (end := _too_early(rewinding, recipes)) is not None:
            text = f"must lie before the end of every training, such as {end}, got {rewinding.to}"
            yield (*key, "to"), text
    if sweep.find.rewind and sweep.prune.one_shot is not None:
        text = "does not go with `prune.one_shot`: no network is rewound to find its tickets"
        yield ("find", "rewind"), text
    method, where = sweep.eval_rewind.method, "eval.rewind" if sweep.eval.rewind else "rewind"
    for i, baseline in enumerate(sweep.baselines):
        if method != "weights" and baseline not in NEW_WEIGHTS | {"interpolated"}:
            text = f"{baseline} has no trained weights to go on from; use `{where}.method: weights`"
            yield ("baselines", i), text
        elif sweep.prune.strategy == "filter_l1" and baseline in OF_WEIGHTS:
            text = "of whole filters use global_random, which preserves the LPR too"
            yield ("baselines", i), text
    if method != "weights" and sweep.eval.rewind_from == "eval":
        text = f"needs `{where}.method: weights`: no weights are rewound"
        yield ("eval", "rewind_from"), text


def _too_early(rewinding: Rewinding, recipes: Iterable[Recipe]) -> str | None:
    """The end of a training that ends before it would begin; None where none does."""
    ends = (recipe.trains_for for recipe in recipes)
    to = rewinding.to
    return next((str(e) for e in ends if to.unit == e.unit and to.count >= e.count), None)
