"""Recipes and kinds in words for people."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lt_core.config import Recipe
from tune_app.results.curves import Point, percent_pruned
from tune_app.sweep.kinds import Kind, in_short, is_file
from tune_app.sweep.sweep import Sweep

KIND_NAMES: Mapping[Kind, str] = {
    "lottery": "lottery",
    "lpr_constrained": "LPR-constrained",
    "chain": "while finding",
    "interpolated": "between two orders",
    "preserve_lpr": "preserve LPR",
    "preserve_lpr_live": "preserve LPR, live",
    "reinit": "random reinit",
    "signs": "reinit, signs kept",
    "snip": "SNIP",
    "grasp": "GraSP",
    "synflow": "SynFlow",
    "erk": "ERK random",
    "global_random": "global random",
}


def kind_name(kind: Kind) -> str:
    """A kind in words."""
    return KIND_NAMES[kind] if kind in KIND_NAMES else in_short(kind)


def kind_at(kind: Kind, points: Iterable[Point | None]) -> str:
    """A kind in words beside those of a round; a mask of a file with the sparsity that it has."""
    there = next(filter(None, points), None)
    if there is None or not is_file(kind):
        return kind_name(kind)
    return f"{kind_name(kind)}, {percent_pruned(there.sparsity)} pruned"


_PAPER = {"lr": "LR", "batch_size": "BS", "weight_decay": "WD"}


def varied_fields(sweep: Sweep) -> tuple[str, ...]:
    """The fields in which the recipes of a sweep differ; all of H where there is only one."""
    recipes = [*sweep.find_recipes, *sweep.eval_recipes]
    names = [name for name in Recipe.model_fields if len({getattr(r, name) for r in recipes}) > 1]
    return tuple(names) or tuple(_PAPER)


def label(recipe: Recipe, varied: Sequence[str]) -> str:
    """A recipe in the words of what the sweep varies: `lr 0.1, batch_size 64`."""
    return ", ".join(f"{name} {text(getattr(recipe, name))}" for name in varied) or "train"


def short(recipe: Recipe, varied: Sequence[str], stage: str = "") -> str:
    """The same in the paper's words: `LR 0.1, BS 64`, or with a stage `LR_find 0.1`."""
    return ", ".join(f"{field_name(name, stage)} {text(getattr(recipe, name))}" for name in varied)


def field_name(field: str, stage: str = "") -> str:
    """A field of a recipe in the paper's words: `LR`, or with a stage `LR_find`."""
    return _PAPER.get(field, field) + (f"_{stage}" if stage else "")


def text(value: Any) -> str:
    """A value of a recipe as a person would write it."""
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {text(item)}" for name, item in value.items())
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
