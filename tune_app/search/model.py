"""A Gaussian process over both search spaces, with a term for the mask.

    y = -log(error) = m + g(H_find) + h(H_eval) + k(H_find, H_eval) + mask + noise

g and h are Matern 5/2 with one length for each field and stage, k is their product with a variance
of its own; mask is one number per mask, the same in all its evaluations (Rasmussen & Williams 2006,
sections 2.2, 4.2 and 5.4.1). What is predicted is m + g + h + k: a recipe is wanted, and neither
mask nor noise comes again with another seed.

Shapes: n samples, c columns of an encoded recipe, f fields of which they are, p places.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize

Array = NDArray[np.float64]
Fields = Sequence[int]
"""For each column of an encoded recipe the number of its field."""

LOWEST_ERROR = 0.005
"""Errors below count as this one: of some hundred validation images, one more or less is chance."""

_NUM_TERMS = 5
_FIND, _EVAL, _PAIR, _MASK, _NOISE = range(_NUM_TERMS)
_SHARES = (1 / 3, 1 / 3, 1 / 6)
"""Expected variances of g, h and k, of the variance of all values."""

_MASK_VARIANCE, _NOISE_VARIANCE, _LENGTH = 0.03, 0.05, 0.7
_LOG_SD = np.array([1.2] * _NUM_TERMS), 0.6
"""Deviations of the logarithms of variances and lengths around what is expected."""

_LEAST_TO_FIT = 8
_JITTER = 1e-6


def score(accuracy: float) -> float:
    """What is modelled in place of an accuracy in [0, 1]: noise is even, failures are not far."""
    return float(-np.log(max(1.0 - accuracy, LOWEST_ERROR)))


@dataclass(frozen=True)
class Places:
    """Pairs of encoded recipes."""

    find: Array
    """[p, c], each column in [0, 1]."""

    eval: Array
    """[p, c]."""

    def __getitem__(self, chosen: slice) -> "Places":
        return Places(self.find[chosen], self.eval[chosen])

    def __len__(self) -> int:
        return len(self.find)


@dataclass(frozen=True)
class Data:
    """Samples of a search."""

    places: Places
    masks: NDArray[np.int64]
    """[n], the number of each sample's mask."""

    y: Array
    """[n], from `score`."""

    def __getitem__(self, chosen: slice) -> "Data":
        return Data(self.places[chosen], self.masks[chosen], self.y[chosen])


class Kernel:
    """Covariances, given the logarithms of variances and lengths."""

    def __init__(self, fields: Fields, parameters: Array) -> None:
        """Take parameters.

        Args:
            fields: of the columns.
            parameters: logarithms of the variances of g, h, k, mask and noise, then of the lengths
                of the fields of H_find, then of H_eval.
        """
        self.fields = fields
        self.parameters = parameters
        self.variances = np.exp(parameters[:_NUM_TERMS])
        self.lengths = np.exp(parameters[_NUM_TERMS:]).reshape(2, -1)

    def __call__(self, a: Places, b: Places) -> Array:
        """Covariances of what is predicted, [len(a), len(b)]."""
        squares = _squares(self.fields, a.find, b.find), _squares(self.fields, a.eval, b.eval)
        (find, _), (eval_, _) = self.stages(*squares)
        return self._sum(find, eval_)

    def stages(self, find: Array, eval_: Array) -> list[tuple[Array, Array]]:
        """Correlations and their slopes by stage, of squared distances [f, p, q]."""
        pairs = zip(self.lengths, (find, eval_), strict=True)
        return [_matern(np.tensordot(lengths**-2, squares, 1)) for lengths, squares in pairs]

    def _sum(self, find: Array, eval_: Array) -> Array:
        v = self.variances
        result: Array = v[_FIND] * find + v[_EVAL] * eval_ + v[_PAIR] * find * eval_
        return result

    def of_samples(self, data: Data) -> Array:
        """Covariances of values, masks and noise included, [n, n]."""
        return self(data.places, data.places) + self._of_values(data)

    def _of_values(self, data: Data) -> Array:
        """What masks and noise add to covariances, [n, n]."""
        v = self.variances
        of_noise = (v[_NOISE] + _JITTER) * np.eye(len(data.masks))
        result: Array = v[_MASK] * _same(data.masks, data.masks) + of_noise
        return result


def _squares(fields: Fields, a: Array, b: Array) -> Array:
    """Squared distances by field, [f, len(a), len(b)]."""
    squares = np.zeros((max(fields, default=-1) + 1, len(a), len(b)))
    for column, field in enumerate(fields):
        squares[field] += (a[:, None, column] - b[None, :, column]) ** 2
    return squares


def _matern(squares: Array) -> tuple[Array, Array]:
    """Matern 5/2 of squared distances in lengths (Rasmussen & Williams 2006, equation 4.17).

    And its slope by the logarithm of a length, for each squared distance along it.
    """
    r = np.sqrt(5 * squares)
    falls = np.exp(-r)
    return (1 + r + r * r / 3) * falls, 5 / 3 * (1 + r) * falls


def _same(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.bool_]:
    result: NDArray[np.bool_] = a[:, None] == b[None, :]
    return result


def fit(fields: Fields, data: Data) -> Kernel:
    """The kernel with the parameters of the highest posterior density.

    Their prior is log-normal; few samples are not worth leaving its middle.
    """
    n, num_fields = len(data.y), max(fields, default=-1) + 1
    variance = max(float(data.y.var()), 0.05) if n else 0.05
    variances = [*(variance * share for share in _SHARES), _MASK_VARIANCE, _NOISE_VARIANCE]
    middle = np.log([*variances, *[_LENGTH] * 2 * num_fields])
    if n < _LEAST_TO_FIT:
        return Kernel(fields, middle)
    deviations = np.concatenate([_LOG_SD[0], np.full(2 * num_fields, _LOG_SD[1])])
    density = _Density(fields, data, middle, deviations)
    bounds = [(mid - 5 * sd, mid + 5 * sd) for mid, sd in zip(middle, deviations, strict=True)]
    options: dict[str, Any] = {"maxiter": 15}
    found = minimize(density, middle, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    return Kernel(fields, found.x)


class _Density:
    """Minus the log posterior density of parameters, without constants, and its gradient."""

    def __init__(self, fields: Sequence[int], data: Data, middle: Array, deviations: Array) -> None:
        self.fields, self.middle, self.deviations = fields, middle, deviations
        self.data = data
        self.y = data.y - np.median(data.y)
        places = data.places
        self.squares = [_squares(self.fields, x, x) for x in (places.find, places.eval)]

    def __call__(self, parameters: Array) -> tuple[float, Array]:
        kernel = Kernel(self.fields, parameters)
        v = kernel.variances
        (find, by_find), (eval_, by_eval) = kernel.stages(*self.squares)
        covariance = kernel._sum(find, eval_) + kernel._of_values(self.data)
        lower = cholesky(covariance, lower=True)
        inverse = cho_solve((lower, True), np.eye(len(self.y)))
        alpha = inverse @ self.y
        away = (parameters - self.middle) / self.deviations
        loss = 0.5 * self.y @ alpha + np.log(np.diag(lower)).sum() + 0.5 * away @ away
        # Rasmussen & Williams 2006, equation 5.9.
        weights = 0.5 * (inverse - np.outer(alpha, alpha))
        by_find *= (v[_FIND] + v[_PAIR] * eval_) * weights
        by_eval *= (v[_EVAL] + v[_PAIR] * find) * weights
        slopes = [
            v[_FIND] * np.vdot(weights, find),
            v[_EVAL] * np.vdot(weights, eval_),
            v[_PAIR] * np.vdot(weights, find * eval_),
            v[_MASK] * weights[_same(self.data.masks, self.data.masks)].sum(),
            v[_NOISE] * np.trace(weights),
            *(
                np.vdot(by_find, square) / length**2
                for square, length in zip(self.squares[0], kernel.lengths[0], strict=True)
            ),
            *(
                np.vdot(by_eval, square) / length**2
                for square, length in zip(self.squares[1], kernel.lengths[1], strict=True)
            ),
        ]
        return float(loss), np.array(slopes) + away / self.deviations


class Posterior:
    """What samples, and those that run, tell of all places."""

    def __init__(self, kernel: Kernel, data: Data, running: Data) -> None:
        """Condition on the values of `data`.

        Samples that run count as if they would end at their posterior mean: no mean changes, but
        what they will tell is known. Their `y` is not read.
        """
        self.kernel = kernel
        self.middle = float(np.median(data.y)) if len(data.y) else 0.0
        self.places = Places(
            np.concatenate([data.places.find, running.places.find]),
            np.concatenate([data.places.eval, running.places.eval]),
        )
        self.masks = np.concatenate([data.masks, running.masks])
        every = Data(self.places, self.masks, np.zeros(len(self.masks)))
        self.lower = cholesky(kernel.of_samples(every), lower=True)
        n = len(data.y)
        self._alpha = cho_solve((self.lower[:n, :n], True), data.y - self.middle)

    def mean(self, at: Places) -> Array:
        """[p]."""
        n = len(self._alpha)
        result: Array = self.middle + self.kernel(at, self.places[:n]) @ self._alpha
        return result

    def covariance(self, at: Places) -> Array:
        """Of what is predicted, [p, p]."""
        known = self._lowered(self.kernel(self.places, at))
        result: Array = self.kernel(at, at) - known.T @ known
        return result

    def told_by(
        self, at: Places, one_more: Places, masks: NDArray[np.int64]
    ) -> tuple[Array, Array]:
        """What one more sample would tell.

        Args:
            at: p places.
            one_more: m places, each of a sample that might be made.
            masks: [m], of each the number of its mask; new numbers are new masks.

        Returns:
            The covariance of each prediction with the value of each sample, [p, m], and the
            variances of these values, [m].
        """
        v, between = self.kernel.variances, self.kernel(self.places, one_more)
        value = self._lowered(between + v[_MASK] * _same(self.masks, masks))
        covariance = self.kernel(at, one_more)
        covariance -= self._lowered(self.kernel(self.places, at)).T @ value
        variance = v.sum() + _JITTER - (value**2).sum(0)
        return covariance, np.maximum(variance, _JITTER)

    def _lowered(self, between: Array) -> Array:
        result: Array = solve_triangular(self.lower, between, lower=True)
        return result

    @property
    def spread(self) -> float:
        """Variance of mask and noise together: of one value around what is predicted."""
        return float(self.kernel.variances[_MASK] + self.kernel.variances[_NOISE])
