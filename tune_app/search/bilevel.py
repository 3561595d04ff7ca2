"""Which configuration to try next, where H_find and H_eval are two search spaces.

A mask, once found, can be evaluated at one more H_eval for the price of one training, while a new
H_find costs a chain of them. So a search decides each time between a new chain and another
evaluation of a mask that it has.

Memoization-aware Bayesian optimization (EEIPU, arXiv:2411.03731) decides by expected improvement
per unit of cost under a Gaussian process. Here Optuna's TPE samples each space by itself, and three
rules, none with a knob, join the two:

- Masks are compared alike: a new one is evaluated at the best H_eval so far. It is also evaluated
  at its own H_find, since how much decoupling gains is what is asked.
- What a mask is worth is the mean of its values, which is less noisy than the best of them, and
  evaluations go to the best mask so far. What an H_eval is worth is how far it is above the mean of
  its mask, so that a good mask does not make a bad H_eval look good.
- Of the budget, as much goes to more evaluations as two-stage sampling gives to its second stage
  where both stages vary alike: sqrt(cost of a chain / cost of an evaluation) for each chain
  (Cochran, Sampling Techniques, 1977, section 10.6). Half or twice as many do about as well.
"""

import math
import statistics
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import TrialState, create_trial

from lt_core.config import Recipe
from tune_app.search.chooser import Chooser, Configuration
from tune_app.sweep.spaces import Dimension, Stage, at_point, points
from tune_app.sweep.sweep import Sweep

NUM_RANDOM = 8
"""Points drawn at random before TPE has something to go by."""

_DRAWS = 20
"""How often to draw again where a point was drawn before; a space of few values runs out."""

# Optuna says on each draw what it calls experimental, and logs each study.
optuna.logging.set_verbosity(optuna.logging.ERROR)


class SearchSpace:
    """One of the two search spaces: draws points of it, given what is known of others."""

    def __init__(self, stage: Stage, train: Recipe) -> None:
        self.stage = stage
        self.train = train
        self.dimensions: dict[str, Dimension[Any]] = {
            name: domain for name, domain in stage.parameters if domain is not None
        }
        self.distributions = {
            name: _distribution(domain) for name, domain in self.dimensions.items()
        }
        self.is_finite = all(domain.values for domain in self.dimensions.values())

    def draw(
        self,
        values: Mapping[Recipe, float],
        running: Collection[Recipe],
        tried: Collection[Recipe],
        seed: int,
    ) -> Recipe | None:
        """A point that is not among `tried`; None if there is none.

        Args:
            values: what is known: high is good. Points outside of the space are not considered.
            running: points whose value will be known.
            tried: what not to draw.
            seed: of what is drawn.
        """
        if self.stage.method != "grid":
            for attempt in range(_DRAWS):
                recipe = self._sample(values, running, seed + attempt)
                if recipe not in tried:
                    return recipe
            if not self.is_finite:
                return None
        recipes = (at_point(self.train, point) for point in points(self.stage))
        return next((recipe for recipe in recipes if recipe not in tried), None)

    def _sample(
        self, values: Mapping[Recipe, float], running: Collection[Recipe], seed: int
    ) -> Recipe:
        study = optuna.create_study(direction="maximize", sampler=self._sampler(seed))
        known = [(recipe, value) for recipe, value in values.items() if self.has(recipe)]
        study.add_trials(
            [
                *(self._trial(recipe, TrialState.COMPLETE, value) for recipe, value in known),
                *(self._trial(r, TrialState.RUNNING) for r in running if self.has(r)),
            ]
        )
        params = study.ask(self.distributions).params
        return at_point(self.train, {name: self._value(name, params[name]) for name in params})

    def _sampler(self, seed: int) -> BaseSampler:
        if self.stage.method == "random":
            return RandomSampler(seed=seed)
        return TPESampler(
            multivariate=True, constant_liar=True, n_startup_trials=NUM_RANDOM, seed=seed
        )

    def _trial(
        self, recipe: Recipe, state: TrialState, value: float | None = None
    ) -> optuna.trial.FrozenTrial:
        return create_trial(
            params=self.params(recipe), distributions=self.distributions, state=state, value=value
        )

    def has(self, recipe: Recipe) -> bool:
        """Whether a recipe is a point of the space."""
        if self.stage.points:
            return any(at_point(self.train, point) == recipe for point in points(self.stage))
        point = {name: getattr(recipe, name) for name in self.dimensions}
        is_inside = (_contains(self.dimensions[name], value) for name, value in point.items())
        return dict(self.train) | point == dict(recipe) and all(is_inside)

    def params(self, recipe: Recipe) -> dict[str, Any]:
        """A point in Optuna's words."""
        return {
            name: getattr(recipe, name) if domain.values is None else str(getattr(recipe, name))
            for name, domain in self.dimensions.items()
        }

    def _value(self, name: str, param: Any) -> Any:
        domain = self.dimensions[name]
        if domain.values is not None:
            return next(value for value in domain.values if str(value) == param)
        if isinstance(param, int):
            return param
        return as_read(domain, param)


def as_read(domain: Dimension[Any], value: float) -> float:
    """A number of a range in the four digits that people read; both ends stay inside."""
    low, high = domain.ends
    inside: float = min(max(float(f"{value:.4g}"), low), high)
    return inside


def _distribution(domain: Dimension[Any]) -> BaseDistribution:
    if domain.values is not None:
        return CategoricalDistribution([str(value) for value in domain.values])
    low, high = domain.ends
    if isinstance(low, int):
        return IntDistribution(low, high, log=domain.log)
    return FloatDistribution(low, high, log=domain.log)


def _contains(domain: Dimension[Any], value: Any) -> bool:
    if domain.values is not None:
        return value in domain.values
    low, high = domain.ends
    return bool(low <= value <= high)


class Bilevel(Chooser):
    """Decides what to try next from what is known; knows nothing of how it is tried."""

    def __init__(self, sweep: Sweep, chain_cost: float, evaluation_cost: float) -> None:
        """Know nothing yet.

        Args:
            sweep: a search.
            chain_cost: trainings that finding a mask takes.
            evaluation_cost: trainings that evaluating it takes.
        """
        super().__init__()
        self.find = SearchSpace(sweep.find, sweep.find_train)
        self.eval = SearchSpace(sweep.eval, sweep.eval_train)
        self.seed = sweep.search_block.seed
        # One for its own H_find beside those that are chosen.
        self.evaluations_per_chain = 1 + max(1.0, math.sqrt(chain_cost / evaluation_cost))

    def is_exhausted(self) -> bool:
        """True where `ask` would return None."""
        return self._choose() is None

    def _choose(self) -> Configuration | None:
        by_mask = self._by_mask()
        for find, evals in by_mask.items():  # a new mask, or one that another sweep found
            if self.found[find] or None in evals.values():  # else it will not come
                for eval_ in (self._best_eval(), find):
                    if eval_ is not None and eval_ not in evals and len(evals) < 2:
                        return Configuration(find, eval_)
        wanted = self.evaluations_per_chain * len(self.found)
        new = None
        if len(self.values) >= wanted or not any(self.found.values()):
            new = self._new_chain()
        return new or self._another_evaluation(by_mask) or self._new_chain()

    def _new_chain(self) -> Configuration | None:
        values = self._values_of_masks()
        running = [find for find in self.found if find not in values]
        find = self.find.draw(values, running, self.found, self._seed_of_next(0))
        if find is None:
            return None
        eval_ = self._best_eval() or self._new_eval({})
        return Configuration(find, find if eval_ is None else eval_)

    def _another_evaluation(
        self, by_mask: Mapping[Recipe, Mapping[Recipe, float | None]]
    ) -> Configuration | None:
        values = self._values_of_masks()
        for find in sorted(values, key=values.__getitem__, reverse=True):
            if self.found[find]:
                eval_ = self._new_eval(by_mask[find])
                if eval_ is not None:
                    return Configuration(find, eval_)
        return None

    def _new_eval(self, tried: Collection[Recipe]) -> Recipe | None:
        above: dict[Recipe, list[float]] = {}
        for evals in self._known().values():
            if len(evals) > 1:
                mean = statistics.fmean(evals.values())
                for eval_, value in evals.items():
                    above.setdefault(eval_, []).append(value - mean)
        values = {eval_: statistics.fmean(each) for eval_, each in above.items()}
        running = [c.eval for c, value in self.values.items() if value is None]
        return self.eval.draw(values, running, tried, self._seed_of_next(1))

    def _best_eval(self) -> Recipe | None:
        """H_eval of the best configuration so far; of one that runs where none is known."""
        inside = {
            configuration: -1.0 if value is None else value
            for configuration, value in self.values.items()
            if self.eval.has(configuration.eval)
        }
        return max(inside, key=inside.__getitem__).eval if inside else None

    def _by_mask(self) -> dict[Recipe, dict[Recipe, float | None]]:
        by_mask: dict[Recipe, dict[Recipe, float | None]] = {find: {} for find in self.found}
        for configuration, value in self.values.items():
            by_mask[configuration.find][configuration.eval] = value
        return by_mask

    def _values_of_masks(self) -> dict[Recipe, float]:
        return {find: statistics.fmean(evals.values()) for find, evals in self._known().items()}

    def _known(self) -> dict[Recipe, dict[Recipe, float]]:
        known = {
            find: {eval_: value for eval_, value in evals.items() if value is not None}
            for find, evals in self._by_mask().items()
        }
        return {find: evals for find, evals in known.items() if evals}

    def _seed_of_next(self, stage: int) -> int:
        # Not the same for both stages, or they would draw the same numbers.
        sequence = np.random.SeedSequence([self.seed, stage, len(self.values)])
        return int(sequence.generate_state(1)[0]) % 2**31
