"""The Gaussian process of a search, on samples whose posterior is worked out by hand."""

import math

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from tune_app.search.acquisition import knowledge_gradient
from tune_app.search.model import Data, Kernel, Places, Posterior, _Density, fit, score

TINY = -40.0
"""The logarithm of a variance that is none."""

HALF = math.log(0.5)


def kernel(mask=HALF, noise=HALF) -> Kernel:
    """One field; g has variance 1 and length 1, h and k none."""
    return Kernel((0,), np.array([0.0, TINY, TINY, mask, noise, 0.0, 0.0]))


def places(*finds: float) -> Places:
    column = np.array(finds)[:, None]
    return Places(column, np.zeros_like(column))


def data(finds, masks, y) -> Data:
    return Data(places(*finds), np.array(masks, dtype=int), np.array(y, dtype=float))


NONE = data((), (), ())


def test_the_posterior_of_two_samples():
    # sqrt(5) r = 1, so that their correlation c is (1 + 1 + 1/3) / e = 0.8584. Around the median 1
    # they are -1 and 1, an eigenvector of their covariances with eigenvalue 1.5 - c: the mean is
    # 1 - (1 - c) / (1.5 - c) at the first, as much above 1 at the other, and 1 in the middle.
    c, apart = 7 / 3 / math.e, 5**-0.5
    posterior = Posterior(kernel(mask=TINY), data((0, apart), (0, 1), (0, 2)), NONE)
    off = (1 - c) / (1.5 - c)
    at = places(0, apart, apart / 2)
    assert posterior.mean(at) == pytest.approx([1 - off, 1 + off, 1], abs=1e-5)
    # Of their covariances [[1.5, c], [c, 1.5]] the inverse is [[1.5, -c], [-c, 1.5]] over
    # 2.25 - c^2; so at the first the variance is 1 - (1.5 - 2 c^2 + 1.5 c^2) over that.
    variance = 1 - (1.5 - 0.5 * c**2) / (2.25 - c**2)
    assert posterior.covariance(at)[0, 0] == pytest.approx(variance, abs=1e-5)


def test_two_masks_tell_more_than_one_mask_twice():
    # At one place, with noise 1/2 and mask 1/2: of two masks the covariances are [[2, 1], [1, 2]],
    # and 1 - 2/3 = 1/3 of the variance is left; of one they are [[2, 1.5], [1.5, 2]]: 1 - 4/7.
    two = Posterior(kernel(), data((0, 0), (0, 1), (1, 1)), NONE)
    one = Posterior(kernel(), data((0, 0), (0, 0), (1, 1)), NONE)
    assert two.covariance(places(0))[0, 0] == pytest.approx(1 / 3, abs=1e-5)
    assert one.covariance(places(0))[0, 0] == pytest.approx(3 / 7, abs=1e-5)


def test_one_more_sample_tells_less_of_a_mask_that_is_known():
    # A new mask: covariance 1/3 as above, variance 1/3 + 1/2 + 1/2. The first one again: before
    # the samples its value has the covariances (1.5, 1) with them, and (1.5, 1) times the inverse
    # [[2, -1], [-1, 2]] / 3 is (2, 0.5) / 3. So 1 - 2.5 / 3 = 1/6 and 2 - 3.5 / 3 = 5/6 are left.
    posterior = Posterior(kernel(), data((0, 0), (0, 1), (1, 1)), NONE)
    covariance, variance = posterior.told_by(places(0), places(0, 0), np.array([7, 0]))
    assert covariance[0] == pytest.approx([1 / 3, 1 / 6], abs=1e-5)
    assert variance == pytest.approx([4 / 3, 5 / 6], abs=1e-5)


def test_what_runs_changes_no_mean_but_makes_it_surer():
    known, running = data((0, 1), (0, 1), (1, 3)), data((0.5,), (2,), (99,))
    before, after = Posterior(kernel(), known, NONE), Posterior(kernel(), known, running)
    at = places(0, 0.5, 1)
    assert after.mean(at) == pytest.approx(before.mean(at))
    # As if it were known.
    whole = Posterior(kernel(), data((0, 1, 0.5), (0, 1, 2), (1, 3, 2)), NONE)
    assert after.covariance(at) == pytest.approx(whole.covariance(at))
    assert (np.diag(after.covariance(at)) < np.diag(before.covariance(at))).all()


def test_of_few_samples_the_prior_is_left_alone_and_none_is_known_by_chance():
    lonely = fit((0, 0, 1), data((0, 1), (0, 1), (1, 3)))
    # 1/3, 1/3 and 1/6 of the variance 1; a length for each of two fields and stages.
    assert lonely.variances == pytest.approx([1 / 3, 1 / 3, 1 / 6, 0.03, 0.05])
    assert lonely.lengths == pytest.approx(np.full((2, 2), 0.7))
    assert fit((0,), NONE).variances[0] == pytest.approx(0.05 / 3)


def drawn(n=60):
    """Values that H_find decides along a sine, of masks with two evaluations each."""
    rng = np.random.default_rng(3)
    find, eval_ = np.repeat(rng.random((n // 2, 2)), 2, axis=0), rng.random((n, 2))
    y = np.sin(4 * find[:, 0]) + 0.05 * rng.normal(size=n)
    return Data(Places(find, eval_), np.repeat(np.arange(n // 2), 2), y)


def test_the_gradient_is_the_slope_of_the_density():
    n = 9
    density = _Density((0, 1), drawn(20), np.zeros(n), np.ones(n))
    at = np.linspace(-2, 0.3, n)
    slope = approx_fprime(at, lambda parameters: density(parameters)[0], 1e-6)
    assert density(at)[1] == pytest.approx(slope, rel=1e-3, abs=1e-3)


def test_the_fit_finds_what_matters():
    found = fit((0, 1), drawn())
    g, h, k, mask, noise = found.variances
    assert g > 10 * max(h, k, mask) and math.sqrt(noise) == pytest.approx(0.05, rel=0.5)
    assert found.lengths[0, 1] > 2 * found.lengths[0, 0]  # along the first field of H_find only


def test_the_knowledge_gradient_of_two_places_is_in_closed_form():
    # One sample moves the first mean by a normal number of deviation s and the other not at all:
    # E max(d + s Z, 0) - max(d, 0), with d the first mean less the other, is
    # d Phi(d / s) + s phi(d / s) - max(d, 0): 0.3989 s for d = 0; for d = -s it is
    # s (0.2420 - 0.1587) = 0.0833 s.
    mean, among = np.array([1.0, 1.0]), [np.array([True, True])]
    covariance, variance = np.array([[0.6], [0.0]]), np.array([4.0])  # s = 0.6 / 2
    [gain] = knowledge_gradient(mean, covariance, variance, among)
    assert gain == pytest.approx(0.3989 * 0.3, rel=0.1)  # of 21 nodes
    [gain] = knowledge_gradient(np.array([0.7, 1.0]), covariance, variance, among)
    assert gain == pytest.approx(0.0833 * 0.3, rel=0.1)
    # Of two sets the rises are added up; a set whose means all move alike gains nothing.
    apart = [np.array([True, False]), np.array([False, True])]
    assert knowledge_gradient(mean, covariance, variance, apart) == pytest.approx([0], abs=1e-9)
    assert knowledge_gradient(mean, covariance, variance, among + apart) == pytest.approx(
        knowledge_gradient(mean, covariance, variance, among)
    )


def test_errors_are_compared_by_their_logarithm_and_not_below_half_a_percent():
    assert score(0.9) - score(0.8) == pytest.approx(math.log(2))
    assert score(1.0) == score(0.996) == pytest.approx(math.log(200))
