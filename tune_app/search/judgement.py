"""What a search knows of configurations: the posterior of the model, given its samples."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lt_core.config import Recipe
from tune_app.search.chooser import Configuration
from tune_app.search.cube import Encoding
from tune_app.search.model import Data, Kernel, Places, Posterior, fit, score
from tune_app.sweep.sweep import Sweep

_GROWTH = 1.4
"""The kernel is fitted again where there are so many times as many samples."""


@dataclass(frozen=True)
class Judged:
    """The posterior of a search's samples."""

    posterior: Posterior
    tried: tuple[Configuration, ...]
    """The configurations that have a value."""

    mean: NDArray[np.float64]
    """The posterior mean of each."""

    finds: Mapping[Recipe, int]
    """The number of each H_find's mask."""

    def best(self, most: int) -> list[Configuration]:
        """The tried configurations of the highest posterior mean, the highest first."""
        return [self.tried[i] for i in np.argsort(-self.mean, kind="stable")[:most]]

    def masks(self, pairs: Sequence[Configuration]) -> NDArray[np.int64]:
        """The number of each configuration's mask; of new ones, one that no sample has."""
        return np.array([self.finds.get(pair.find, len(self.finds)) for pair in pairs], dtype=int)


class Judge:
    """Judges the samples of a search, and keeps its kernel as they grow."""

    def __init__(self, sweep: Sweep) -> None:
        self._encoding = Encoding(sweep)
        self._num_fitted = -1
        self._kernel: Kernel

    def places(self, pairs: Sequence[Configuration]) -> Places:
        """Configurations as the model has them."""
        return Places(
            self._encoding([pair.find for pair in pairs]),
            self._encoding([pair.eval for pair in pairs]),
        )

    def judge(
        self, values: Mapping[Configuration, float | None], given_up: Collection[Configuration]
    ) -> Judged:
        """The posterior of configurations.

        Args:
            values: mean validation accuracies; None where one is running.
            given_up: those that failed or were stopped: as bad as the worst that was measured.
        """
        finds: dict[Recipe, int] = {}
        for pair in values:
            finds.setdefault(pair.find, len(finds))
        known = {pair: value for pair, value in values.items() if value is not None}
        measured = [value for pair, value in known.items() if pair not in given_up]
        worst = min(measured, default=0.0)
        y = [score(worst if pair in given_up else value) for pair, value in known.items()]
        data = self._data(list(known), y, finds)
        running = [pair for pair, value in values.items() if value is None]
        kernel = self._kernel_of(data)
        posterior = Posterior(kernel, data, self._data(running, [0.0] * len(running), finds))
        mean = posterior.mean(data.places) if known else np.zeros(0)
        return Judged(posterior, tuple(known), mean, finds)

    def _data(
        self, pairs: Sequence[Configuration], y: Sequence[float], finds: Mapping[Recipe, int]
    ) -> Data:
        masks = np.array([finds[pair.find] for pair in pairs], dtype=int)
        return Data(self.places(pairs), masks, np.array(y, dtype=float))

    def _kernel_of(self, data: Data) -> Kernel:
        """Fitted to the first samples, as many as were there when it was due."""
        num, n = 8, len(data.y)
        while num * _GROWTH <= n:
            num = int(np.ceil(num * _GROWTH))
        num = min(num, n)
        if self._num_fitted != num:
            self._kernel, self._num_fitted = fit(self._encoding.fields, data[:num]), num
        return self._kernel
