"""What one more sample is worth: the knowledge gradient (Frazier, Powell & Dayanik 2009)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tune_app.search.model import Array

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(21)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


def knowledge_gradient(
    mean: Array, covariance: Array, variance: Array, among: Sequence[NDArray[np.bool_]]
) -> Array:
    """How much the highest posterior mean is expected to rise by one more sample, [m].

    Args:
        mean: of p places.
        covariance: of each of them with the value of each of m samples, [p, m].
        variance: of these values, [m].
        among: sets of places, each [p], not all False: the rises of the highest mean of each are
            added up.
    """
    slopes = covariance / np.sqrt(variance)
    total = np.zeros(slopes.shape[1])
    for places in among:
        means, slope = mean[places, None], slopes[places]
        for node, weight in zip(_NODES, _WEIGHTS, strict=True):
            total += weight * (means + slope * node).max(0)
        total -= means.max()
    return total
