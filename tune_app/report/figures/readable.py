"""The part of a large grid that figures show: more curves than these nobody can tell apart."""

from collections.abc import Sequence

from lt_core.config import Recipe
from tune_app.results.curves import Means, comparisons
from tune_app.sweep.spaces import num_points
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
    return shown, f"Of curves and tables, but for tables/*.csv, {_some(shown)}"


def configurations_shown(sweep: Sweep) -> str:
    """Which configurations a figure of this grid shows, for its caption."""
    every = len(sweep.find_recipes), len(sweep.eval_recipes)
    if every == (num_points(sweep.find), num_points(sweep.eval)):
        return "every configuration is shown."
    return _some(sweep)


def _some(shown: Sweep) -> str:
    return (
        f"{len(shown.find_recipes)} of {num_points(shown.find)} H_find and "
        f"{len(shown.eval_recipes)} of {num_points(shown.eval)} H_eval are shown, evenly spread "
        "and with the best."
    )


def _spread(recipes: Sequence[Recipe], best: set[Recipe]) -> tuple[Recipe, ...]:
    if len(recipes) <= MOST:
        return tuple(recipes)
    last = len(recipes) - 1
    chosen = {recipes[round(i * last / (MOST - 1))] for i in range(MOST)} | best
    return tuple(recipe for recipe in recipes if recipe in chosen)
