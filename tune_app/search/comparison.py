"""The sweep that a search ends with: its best coupled and best decoupled configuration."""

from collections.abc import Sequence

from lt_core.config import Recipe
from tune_app.search.chooser import Configuration
from tune_app.search.ranking import rank
from tune_app.search.samples import Samples
from tune_app.sweep.spaces import PointOfRecipe
from tune_app.sweep.sweep import Eval, Find, Sweep


def comparison(sweep: Sweep, samples: Samples) -> Sweep | None:
    """The best coupled against the best decoupled configuration over fresh seeds, as a sweep.

    None where a search has not finished one of each.
    """
    ranking = rank(sweep, samples.judged)
    coupled, decoupled = ranking.best(coupled=True), ranking.best(coupled=False)
    if coupled is None or decoupled is None:
        return None
    return between(sweep, (coupled.configuration, decoupled.configuration))


def between(sweep: Sweep, found: Sequence[Configuration]) -> Sweep:
    """Configurations of a search against each other over its fresh seeds."""
    at = sweep.eval.at_sparsity
    if at is not None:
        at = tuple(dict.fromkeys((*at, *(sweep.search_block.at or ()))))
    finds = dict.fromkeys(_point(sweep.train, configuration.find) for configuration in found)
    evals = dict.fromkeys(_point(sweep.train, configuration.eval) for configuration in found)
    changes = {
        "name": f"{sweep.name}-best",
        "description": f"the best coupled and the best decoupled configuration of {sweep.name}, "
        f"and each H_find with the other H_eval; the report of {sweep.name} has what decoupling "
        "gains",
        "seeds": sweep.search_block.report_seeds,
        "find": Find(points=tuple(finds), rewind=sweep.find.rewind, resources=sweep.find.resources),
        "eval": Eval(
            points=tuple(evals),
            at_sparsity=at,
            rewind_from=sweep.eval.rewind_from,
            rewind=sweep.eval.rewind,
            resources=sweep.eval.resources,
        ),
        "search": None,
    }
    fields = {key.alias or name: getattr(sweep, name) for name, key in Sweep.model_fields.items()}
    return Sweep(**fields | changes)


def _point(train: Recipe, recipe: Recipe) -> PointOfRecipe:
    """A recipe as what it changes in `train`."""
    changed = {name: value for name, value in recipe if value != getattr(train, name)}
    return PointOfRecipe(**changed)
