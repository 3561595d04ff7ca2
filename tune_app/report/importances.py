"""The importance of each hyperparameter: its share of the variance over a search's samples."""

import math

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.importance import FanovaImportanceEvaluator
from optuna.trial import FrozenTrial, create_trial

from tune_app.report.optuna_study import as_trials, distributions
from tune_app.report.search_words import complete
from tune_app.search.samples import Samples
from tune_app.sweep.sweep import Sweep
from tune_app.words import plural

MIN_SAMPLES = 20
"""In simulated searches, smooth functions of 2 or 4 parameters with noise, fANOVA named the right
parameter as most important in 45 of 48 with 20 samples and in 38 with 10; PED-ANOVA, which uses the
best tenth only, in 30 and 18."""


class Unknown(ValueError):
    """The samples do not show importances; the message says why."""


def importances(sweep: Sweep, samples: Samples) -> tuple[dict[str, float], int]:
    """The share of the variance that each parameter explains by itself, and the number of samples.

    fANOVA (Hutter et al. 2014): the variance of a random forest, fitted to the complete samples,
    over the two search spaces, and so not over what the search preferred to draw. Parameters are
    named `find.lr`, `eval.lr`, ..., the most important first; the rest of 1 is due to several of
    them together.

    Raises:
        Unknown: one parameter varies, or there are too few samples, or all are equal.
    """
    varied = {name: of for name, of in distributions(sweep).items() if not of.single()}
    if len(varied) < 2:
        raise Unknown(f"{', '.join(varied) or 'nothing'} alone varies")
    trials = [
        trial
        for trial in as_trials(sweep, complete(samples))
        if all(name in trial.params for name in varied)
    ]
    if len(trials) < MIN_SAMPLES:
        raise Unknown(
            f"{plural(len(trials), 'complete sample')} with both H in their search spaces; from "
            f"fewer than {MIN_SAMPLES} the most important parameter is often named wrongly"
        )
    if len({trial.value for trial in trials}) == 1:
        raise Unknown("all samples have the same value")
    study = optuna.create_study(direction="maximize")
    study.add_trials([_evenly(trial, varied) for trial in trials])
    shares = FanovaImportanceEvaluator(seed=0).evaluate(study, params=list(varied))
    return dict(sorted(shares.items(), key=lambda item: -item[1])), len(trials)


def _evenly(trial: FrozenTrial, varied: dict[str, BaseDistribution]) -> FrozenTrial:
    """A trial with the logarithm of log-scaled parameters: the evaluator takes ranges as linear."""
    params, spaces = {}, {}
    for name, distribution in varied.items():
        params[name], spaces[name] = trial.params[name], distribution
        if isinstance(distribution, FloatDistribution | IntDistribution) and distribution.log:
            params[name] = math.log(trial.params[name])
            spaces[name] = FloatDistribution(
                math.log(distribution.low), math.log(distribution.high)
            )
    return create_trial(params=params, distributions=spaces, value=trial.value)
