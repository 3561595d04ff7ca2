"""The samples of a search by what they are worth, given all samples: the posterior of the model.

The highest of many noisy values is optimistic, and often a lucky mask's. The posterior mean is
neither: in a replay on a real table it chose the better configuration, however the samples had been
drawn (tests/benchmarks/replay.py).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tune_app.search.chooser import Configuration
from tune_app.search.judgement import Judge
from tune_app.search.model import Array, Posterior
from tune_app.search.samples import Sample
from tune_app.sweep.sweep import Sweep


@dataclass(frozen=True)
class Expected:
    """A validation accuracy over fresh seeds, or a difference of two, in [0, 1]."""

    mean: float
    deviation: float
    """How well the mean is known, not how far single seeds lie around it."""

    def within(self, deviations: float) -> tuple[float, float]:
        """The accuracies so many deviations of log error to both sides; none is below 0."""
        error = 1 - self.mean
        factor = math.exp(deviations * self.deviation / error)
        return max(1 - error * factor, 0.0), 1 - error / factor


@dataclass(frozen=True)
class Ranking:
    """The complete samples of a search, and what all samples tell of any configuration."""

    samples: tuple[Sample, ...]
    """Those of the highest posterior mean first."""

    _judge: Judge
    _posterior: Posterior

    def best(self, coupled: bool) -> Sample | None:
        """The best coupled or decoupled sample."""
        among = (sample for sample in self.samples if sample.configuration.coupled == coupled)
        return next(among, None)

    def expected(self, pairs: Sequence[Configuration]) -> list[Expected]:
        """The accuracy of each configuration, tried or not."""
        error, covariance = self._errors(pairs)
        deviations = np.sqrt(np.maximum(np.diag(covariance), 0.0))
        return [Expected(float(1 - e), float(d)) for e, d in zip(error, deviations, strict=True)]

    def difference(self, one: Configuration, other: Configuration) -> Expected:
        """The accuracy of `one` less that of the other, which are not known independently."""
        error, covariance = self._errors([one, other])
        variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
        return Expected(float(error[1] - error[0]), math.sqrt(max(float(variance), 0.0)))

    def _errors(self, pairs: Sequence[Configuration]) -> tuple[Array, Array]:
        """Mean errors, with what masks and noise do to them, and covariances to first order."""
        places = self._judge.places(pairs)
        log_error = self._posterior.spread / 2 - self._posterior.mean(places)
        error = np.minimum(np.exp(log_error), 1.0)
        return error, error[:, None] * self._posterior.covariance(places) * error[None, :]


def rank(sweep: Sweep, samples: Sequence[Sample]) -> Ranking:
    """The complete samples by their posterior mean; failed and stopped ones count as the worst."""
    ended = [sample for sample in samples if sample.state != "running"]
    values: dict[Configuration, float | None] = {s.configuration: s.known_value for s in ended}
    given_up = {sample.configuration for sample in ended if sample.state != "complete"}
    complete = [sample for sample in ended if sample.state == "complete"]
    judge = Judge(sweep)
    posterior = judge.judge(values, given_up).posterior
    mean = posterior.mean(judge.places([sample.configuration for sample in complete]))
    order = np.argsort(-mean, kind="stable")
    return Ranking(tuple(complete[i] for i in order), judge, posterior)
