"""Which configuration to try next, by a Gaussian process over both search spaces.

The next sample is the one of the highest knowledge gradient per training, as Frazier et al. weigh
what a sample tells and EEIPU (arXiv:2411.03731) what it costs where a part is stored: a new mask
takes a chain of trainings, one that is there a single one. No share of the budget has to be set for
either, since a mask's own error is known in part: its further evaluations tell less and less.

Both questions of a search count alike, which decoupled and which coupled configuration is best.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from scipy.stats import qmc

from lt_core.config import Recipe
from tune_app.search.acquisition import knowledge_gradient
from tune_app.search.bilevel import SearchSpace
from tune_app.search.chooser import Chooser, Configuration
from tune_app.search.cube import Cube
from tune_app.search.judgement import Judge
from tune_app.search.model import Array
from tune_app.sweep.spaces import at_point, points
from tune_app.sweep.sweep import Sweep

NUM_START = 3
"""Chains before the model chooses, each with two H_eval."""

_NUM_SOBOL = 8
_NUM_BEST = 5
_NUM_NEW, _NUM_OLD = 40, 40
"""Candidates of either kind that are drawn from the whole space; as many again near the best."""

_NEAR, _NEAR_EVAL = 0.12, 0.2
"""Deviations of what is drawn near to a point: of a new mask, and of an H_eval for one."""


class Gaussian(Chooser):
    """Decides what to try next from what is known; knows nothing of how it is tried."""

    def __init__(self, sweep: Sweep, chain_cost: float, evaluation_cost: float) -> None:
        """Know nothing yet.

        Args:
            sweep: a search.
            chain_cost: trainings that finding a mask takes.
            evaluation_cost: trainings that evaluating it takes; at its own H_find one, where the
                others are rounds of its chain.
        """
        super().__init__()
        self.find = SearchSpace(sweep.find, sweep.find_train)
        self.eval = SearchSpace(sweep.eval, sweep.eval_train)
        self.seed = sweep.search_block.seed
        self.given_up: set[Configuration] = set()
        """Those that failed or were stopped: as bad as the worst that was measured."""

        self._chain_cost = chain_cost
        is_in_chain = sweep.rewinds_alike and not sweep.prune.is_one_shot
        self._costs = {False: evaluation_cost, True: 1 if is_in_chain else evaluation_cost}
        """Of an evaluation, by whether it is coupled."""

        self._cubes = Cube(sweep.find, sweep.find_train), Cube(sweep.eval, sweep.eval_train)
        self._judge = Judge(sweep)

    def _choose(self) -> Configuration | None:
        return self._start() or self._best() or self._any()

    def tell(self, configuration: Configuration, value: float, is_whole: bool) -> None:
        """The value of a configuration; that of one that failed or was stopped does not count."""
        super().tell(configuration, value, is_whole)
        if not is_whole:
            self.given_up.add(configuration)

    def is_exhausted(self) -> bool:
        """True where every configuration has been tried, but for those of masks that failed."""
        if not self.find.is_finite:
            return False
        running = {pair.find for pair, value in self.values.items() if value is None}
        finds = (f for f in self._points(self.find) if self.found.get(f, True) or f in running)
        some = finds if not self.eval.is_finite else self._untried(finds)
        return next(iter(some), None) is None

    def _any(self) -> Configuration | None:
        """A configuration that no draw has met, where the spaces have few values."""
        if not (self.find.is_finite and self.eval.is_finite):
            return None
        finds = (find for find in self._points(self.find) if self.found.get(find, True))
        return next(self._untried(finds), None)

    def _untried(self, finds: Iterable[Recipe]) -> Iterator[Configuration]:
        for find in finds:
            pairs = (Configuration(find, eval_) for eval_ in (*self._points(self.eval), find))
            yield from (pair for pair in pairs if pair not in self.values)

    def _points(self, space: SearchSpace) -> Iterator[Recipe]:
        return (at_point(space.train, point) for point in points(space.stage))

    def _start(self) -> Configuration | None:
        """Chains that fill the spaces evenly, each evaluated there and at its own H_find."""
        if len(self.found) <= NUM_START:
            for find in self.found:
                evals = [value for pair, value in self.values.items() if pair.find == find]
                may_come = self.found[find] or None in evals
                if may_come and Configuration(find, find) not in self.values:
                    return Configuration(find, find)
        if len(self.found) < NUM_START:
            axes = [cube.num_axes for cube in self._cubes]
            for place in qmc.Sobol(sum(axes), rng=self.seed).random(_NUM_SOBOL):
                pair = self._at(place[: axes[0]], place[axes[0] :])
                if pair.find not in self.found:
                    return pair
        return None

    def _at(self, find: Array, eval_: Array) -> Configuration:
        return Configuration(self._cubes[0].at(find), self._cubes[1].at(eval_))

    def _best(self) -> Configuration | None:
        """The candidate that tells most per training."""
        judged = self._judge.judge(self.values, self.given_up)
        candidates = [
            pair
            for pair in dict.fromkeys(self._candidates(judged.best(_NUM_BEST)))
            if pair not in self.values and self.found.get(pair.find, True)
        ]
        if not candidates:
            return None
        tried = judged.tried
        places = self._judge.places([*candidates, *tried])
        masks = judged.masks(candidates)
        told = judged.posterior.told_by(places, places[: len(candidates)], masks)
        coupled = np.array([pair.coupled for pair in (*candidates, *tried)])
        among = [each for each in (coupled, ~coupled) if each.any()]
        gain = knowledge_gradient(judged.posterior.mean(places), *told, among)
        return candidates[int((gain / [self._cost(pair) for pair in candidates]).argmax())]

    def _cost(self, pair: Configuration) -> float:
        mask = 0 if pair.find in self.found else self._chain_cost
        return mask + self._costs[pair.coupled]

    def _candidates(self, best: Sequence[Configuration]) -> Iterator[Configuration]:
        """New masks and those that are there, in the whole space and near the best samples."""
        rng = np.random.default_rng([self.seed, len(self.values)])
        find, eval_ = self._cubes
        old = [recipe for recipe, is_found in self.found.items() if is_found]

        def near(cube: Cube, recipe: Recipe, deviation: float) -> Array:
            place = cube.place(recipe)
            moved: Array = np.clip(place + rng.normal(0, deviation, len(place)), 0, 1)
            return moved

        yield from (Configuration(recipe, recipe) for recipe in old)
        for i in range(_NUM_NEW):
            pair = self._at(rng.random(find.num_axes), rng.random(eval_.num_axes))
            yield pair if i % 4 else Configuration(pair.find, pair.find)
        for i in range(_NUM_NEW if best else 0):
            of = best[int(rng.integers(len(best)))]
            place = near(find, of.find, _NEAR)
            h_eval = of.eval if self.eval.has(of.eval) else eval_.at(rng.random(eval_.num_axes))
            pair = self._at(place, near(eval_, h_eval, _NEAR))
            yield pair if i % 4 else Configuration(pair.find, pair.find)
        for _ in range(_NUM_OLD if old else 0):
            yield Configuration(old[rng.integers(len(old))], eval_.at(rng.random(eval_.num_axes)))
        for _ in range(_NUM_OLD if best else 0):
            of, other = (best[int(i)] for i in rng.integers(len(best), size=2))
            if self.eval.has(other.eval):
                yield Configuration(of.find, eval_.at(near(eval_, other.eval, _NEAR_EVAL)))
