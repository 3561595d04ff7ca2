"""Keys of a sweep that do not go together."""

import itertools
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from lt_core.config import Problem, Recipe, Rewinding
from tune_app.sweep.fingerprints import misplaced
from tune_app.sweep.kinds import NEW_WEIGHTS, OF_WEIGHTS, mask_problems
from tune_app.sweep.resources import unpriced, without_gpu
from tune_app.sweep.spaces import (
    dimensions,
    in_epochs,
    in_words,
    num_points,
    point_in_words,
    points,
)
from tune_app.sweep.yaml_source import Loc

if TYPE_CHECKING:
    from tune_app.sweep.sweep import Sweep

MAX_SEARCH_NAME = 95


def conflicts(sweep: "Sweep") -> Iterator[Problem]:
    """For each problem the key to point at, and what is wrong with it."""
    yield from _of_rewinding(sweep)
    yield from unpriced(sweep.resources)
    yield from mask_problems(sweep.masks or (), sweep.prune.strategy, sweep.eval_rewind.method)
    by_name = {
        "dataset": None if sweep.has_own_data else sweep.dataset,
        "model": None if sweep.has_own_network else sweep.model,
        "score": None if sweep.has_own_score else sweep.prune.strategy,
        "initial_weights": None if sweep.initial_weights else "an initialization",
    }
    yield from misplaced(sweep.fingerprints, by_name)
    yield from _of_units(sweep)
    recipes = {"find": sweep.find_recipes, "eval": sweep.eval_recipes}
    yield from without_gpu(recipes, (sweep.find_resources, sweep.eval_resources))
    yield from _of_search(sweep)
    yield from _of_race(sweep)
    yield from _of_lpr_from(sweep)


def _of_rewinding(sweep: "Sweep") -> Iterator[Problem]:
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
    if sweep.find.rewind and sweep.prune.is_one_shot:
        text = "does not go with `prune.one_shot` or a pattern: no network is rewound to find them"
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


def _of_units(sweep: "Sweep") -> Iterator[Problem]:
    met: dict[Recipe, Recipe] = {}
    for recipe in (*sweep.find_recipes, *sweep.eval_recipes):
        if met.setdefault(in_epochs(recipe, sweep.dataset), recipe) != recipe:
            text = f"some iterations are whole epochs of {sweep.dataset}: give both in epochs"
            yield ("train",), text
            break


def _of_search(sweep: "Sweep") -> list[Problem]:
    drawn = [stage for stage in ("find", "eval") if getattr(sweep, stage).method != "grid"]
    if sweep.search is None:
        text = "needs a `search`, which says what is best and when to end"
        return [((stage, "method"), text) for stage in drawn]
    if not drawn:
        text = "needs a range, or `method: gp`, in `find`, `eval` or both; a grid is run whole"
        return [(("search",), text)]
    problems: list[Problem] = []
    methods = {sweep.find.method, sweep.eval.method}
    if "gp" in methods and (others := methods - {"gp", "grid"}):
        stage = "find" if sweep.find.method in others else "eval"
        text = f"must be gp or grid where the other stage is gp, got {others.pop()}"
        problems.append(((stage, "method"), text))
    if len(sweep.name) > MAX_SEARCH_NAME:
        text = f"of a search must be at most {MAX_SEARCH_NAME} long: its best are NAME-best"
        problems.append((("name",), text))
    for stage in ("find", "eval"):
        for name, values in dimensions(getattr(sweep, stage).parameters).items():
            if None in values:
                problems.append(((stage, "parameters", name), "null cannot be searched"))
    if sweep.find.lpr_from:
        problems.append((("find", "lpr_from"), "does not go with a search"))
    for key, resources in sweep.resources.items():
        if resources.pack > 1:
            text = "does not go with a search, which chooses one configuration after another"
            problems.append(((*key.split("."), "pack"), text))
    if sweep.select_on == "test":
        problems.append((("select_on",), "must be validation in a search"))
    last = sweep.search_rounds[-1] if sweep.search_rounds else 0
    if sweep.search.stop.chains and sweep.prune.is_one_shot:
        text = "does not go with `prune.one_shot` or a pattern: all tickets are found at once"
        problems.append((("search", "stop", "chains"), text))
    elif any(not 0 < round < last for round in sweep.probe_rounds):
        text = f"must be sparsities of rounds before that of `at`, {sweep.sparsities[last]:.1%}"
        problems.append((("search", "stop", "probe_at"), text))
    if again := set(sweep.seeds).intersection(sweep.search.report_seeds):
        text = f"must be others than `seeds`, got {in_words(tuple(sorted(again)))} again"
        problems.append((("search", "report_seeds"), text))
    return problems


def _of_race(sweep: "Sweep") -> Iterator[Problem]:
    coupled = set(sweep.find_recipes).intersection(sweep.eval_recipes)
    if sweep.race is None:
        return
    if sweep.search is not None:
        yield ("seeds",), "must be a list in a search, which has `report_seeds` to be sure"
    elif sweep.find.lpr_from:
        yield ("find", "lpr_from"), "goes with a list of `seeds`, which are all trained"
    elif sweep.eval_rounds == (0,):
        yield ("seeds",), "a race compares tickets, and `eval` trains none; give a list"
    elif not coupled:
        text = "a race compares coupled with decoupled, and no H_find is an H_eval; give a list"
        yield ("seeds",), text
    elif len(sweep.find_recipes) == len(sweep.eval_recipes) == 1:
        yield ("seeds",), "a race compares configurations, and there is one; give a list"


def _of_lpr_from(sweep: "Sweep") -> Iterator[Problem]:
    other = sweep.prune.pattern and f"`prune.pattern: {sweep.prune.pattern}`"
    if sweep.find.lpr_from and (other or sweep.prune.strategy != "global_magnitude"):
        text = "goes with `prune.strategy: global_magnitude`, not with "
        yield ("find", "lpr_from"), text + (other or sweep.prune.strategy)
    known = list(map(point_in_words, itertools.islice(points(sweep.find), 10)))
    if num_points(sweep.find) > len(known):
        known.append("...")
    for i, source in enumerate(sweep.named_by_lpr_from()):
        if source is None:
            text = "must be a point of `find`: " + ("; ".join(known) or "there are none")
            yield ("find", "lpr_from", i), text
