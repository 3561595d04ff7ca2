"""The part of a large grid that figures show: more curves than these nobody can tell apart."""

from collections.abc import Sequence

from lt_core.config import Recipe
from tune_app.results.curves import Means, comparisons
from tune_app.sweep.sweep import Sweep

MOST = 12
"""H_find, and H_eval, in a figure, beside the best."""


def readable(sweep: Sweep, means: Means) -> tuple[Sweep, str]:
    """A grid with fewer recipes, evenly spread over its own and with the best of both kinds, and a
    sentence on what was left out; the same grid and no sentence where it is small enough."""
    finds, evals = sweep.find_recipes, sweep.eval_recipes
    if max(len(finds), len(evals)) <= MOST:
        return sweep, ""
    best = {
        recipe
        for pair in comparisons(sweep, means)[-1:]
        for c in pair
        for recipe in (c.find, c.eval)
    }
    kept = {"find_recipes": _spread(finds, best), "eval_recipes": _spread(evals, best)}
    shown = sweep.model_copy()
    vars(shown).update(kept)  # in place of what they are worked out to
    sentence = (
        f"figures of curves show {len(kept['find_recipes'])} of {len(finds)} H_find and "
        f"{len(kept['eval_recipes'])} of {len(evals)} H_eval, evenly spread and with the best; the "
        "tables have all"
    )
    return shown, sentence


def _spread(recipes: Sequence[Recipe], best: set[Recipe]) -> tuple[Recipe, ...]:
    if len(recipes) <= MOST:
        return tuple(recipes)
    last = len(recipes) - 1
    chosen = {recipes[round(i * last / (MOST - 1))] for i in range(MOST)} | best
    return tuple(recipe for recipe in recipes if recipe in chosen)
