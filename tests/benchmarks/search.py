"""Whether the default search finds better tickets than others for the same trainings, for real.

Trainings on the digits, 99.0% pruned, where decoupling matters (at 98.3% the differences of a
replay are a third of what ten repeats can show; replay.py costs minutes, this hours). A strategy
chooses one configuration after another; a chain that it had before costs nothing. Its answer is
then trained with fresh seeds, and its test accuracy counts. Repeats differ in the seed of
everything.
"""

import math
import statistics
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import optuna
import torch
from measure import Row
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from scipy import stats

from lt_core import data
from lt_core.chain import find
from lt_core.config import Recipe
from lt_core.evaluation import evaluate
from lt_core.mask import Mask
from tune_app.search.bilevel import NUM_RANDOM, Bilevel, SearchSpace
from tune_app.search.chooser import Configuration
from tune_app.search.gaussian import Gaussian
from tune_app.search.judgement import Judge
from tune_app.sweep.sweep import Sweep

TRAININGS = 120
REPEATS = 10
FRESH_SEEDS = range(100, 105)
ROUNDS = 9  # 99.0% at 0.4


def sweep(seed: int) -> Sweep:
    spaces = {
        "method": "tpe",
        "parameters": {
            "lr": {"min": 0.01, "max": 1.0, "log": True},
            "weight_decay": {"min": 1e-4, "max": 2e-2, "log": True},
        },
    }
    return Sweep.model_validate(
        {
            "name": "search",
            "model": "small_resnet",
            "dataset": "digits",
            "seeds": (seed,),
            "train": {
                "lr": 0.1,
                "batch_size": 64,
                "weight_decay": 5e-3,
                "duration": "8ep",
                "milestones": ("4ep", "7ep"),
                "gamma": 0.3,
            },
            "prune": {"fraction": 0.4, "rounds": ROUNDS},
            "find": spaces,
            "eval": spaces,
            "search": {"trainings": TRAININGS, "report_seeds": tuple(FRESH_SEEDS), "seed": seed},
        }
    )


class Strategy(Protocol):
    """Chooses configurations; is told what each is worth."""

    def ask(self) -> Configuration: ...

    def tell(self, configuration: Configuration, value: float) -> None: ...


class TwoLevel:
    """What the program does, one configuration at a time."""

    def __init__(self, method: type[Gaussian] | type[Bilevel], sweep: Sweep) -> None:
        self.chooser = method(sweep, chain_cost=ROUNDS, evaluation_cost=1)

    def ask(self) -> Configuration:
        return self.chooser.ask()

    def tell(self, configuration: Configuration, value: float) -> None:
        self.chooser.found[configuration.find] = True
        self.chooser.tell(configuration, value, is_whole=True)


class Joint:
    """One study over both spaces, as if every configuration cost the same."""

    def __init__(self, sampler: type[BaseSampler], sweep: Sweep, coupled: bool = False) -> None:
        more = {}
        if sampler is TPESampler:
            more = {"multivariate": True, "n_startup_trials": NUM_RANDOM}
        self.study = optuna.create_study(
            direction="maximize", sampler=sampler(seed=sweep.search.seed, **more)
        )
        self.coupled = coupled
        self.train = sweep.train
        space = SearchSpace(sweep.find, sweep.train)
        stages = ("find",) if coupled else ("find", "eval")
        self.distributions = {
            f"{stage}.{name}": distribution
            for stage in stages
            for name, distribution in space.distributions.items()
        }

    def ask(self) -> Configuration:
        self.trial = self.study.ask(self.distributions)
        find = self._recipe("find")
        return Configuration(find, find if self.coupled else self._recipe("eval"))

    def _recipe(self, stage: str) -> Recipe:
        params = self.trial.params
        drawn = {name: params[f"{stage}.{name}"] for name in ("lr", "weight_decay")}
        return self.train.model_copy(update=drawn)

    def tell(self, configuration: Configuration, value: float) -> None:
        self.study.tell(self.trial, value)


DEFAULT = "gp"
STRATEGIES = {
    DEFAULT: partial(TwoLevel, Gaussian),
    "tpe": partial(TwoLevel, Bilevel),
    "random, joint": partial(Joint, RandomSampler),
    "TPE, joint": partial(Joint, TPESampler),
    "TPE, coupled": partial(Joint, TPESampler, coupled=True),
}


@dataclass(frozen=True)
class Outcome:
    """One search."""

    trainings: int
    seconds: float
    chains: int
    samples: int
    validation: float
    """Of the best, as the search saw it."""

    test: float
    """Of the best, mean over fresh seeds."""


def search(name: str, seed: int) -> Outcome:
    """One search by the named strategy, and what comes of the best over fresh seeds."""
    torch.set_num_threads(1)
    digits, setting = data.load("digits"), sweep(seed)
    strategy = STRATEGIES[name](setting)
    masks: dict[Recipe, Mask] = {}
    values: dict[Configuration, float] = {}
    trainings, seconds = 0, 0.0
    while trainings < TRAININGS:
        chosen = strategy.ask()
        if chosen.find not in masks:
            rounds = list(_chain(setting, digits, chosen.find, seed))
            masks[chosen.find] = rounds[-1].next_mask
            trainings += len(rounds)
            seconds += sum(round.evaluation.seconds for round in rounds)
        result = evaluate("small_resnet", digits, masks[chosen.find], chosen.eval, seed=seed)
        trainings, seconds = trainings + 1, seconds + result.seconds
        values[chosen] = result.val_accuracy
        strategy.tell(chosen, result.val_accuracy)
    if isinstance(strategy, TwoLevel):  # as the program answers
        [best] = Judge(setting).judge(values, ()).best(1)
    else:
        best = max(values, key=values.get)
    test = [_test_accuracy(setting, digits, best, fresh) for fresh in FRESH_SEEDS]
    return Outcome(
        trainings, seconds, len(masks), len(values), values[best], statistics.fmean(test)
    )


def _chain(setting: Sweep, digits: data.DataSet, recipe: Recipe, seed: int):
    last = ROUNDS - 1
    return find("small_resnet", digits, recipe, setting.prune, rounds=last, seed=seed)


def _test_accuracy(setting: Sweep, digits: data.DataSet, best: Configuration, seed: int) -> float:
    *_, last = _chain(setting, digits, best.find, seed)
    return evaluate("small_resnet", digits, last.next_mask, best.eval, seed=seed).test_accuracy


def two_level_search() -> Iterator[Row]:
    """Mean and spread over repeats, and the difference to each plain search, paired by repeat."""
    jobs = [(name, seed) for seed in range(REPEATS) for name in STRATEGIES]
    with ProcessPoolExecutor(2) as pool:
        outcomes = dict(zip(jobs, pool.map(search, *zip(*jobs, strict=True)), strict=True))
    for name in STRATEGIES:
        of_name = [outcomes[name, seed] for seed in range(REPEATS)]
        mean = {
            field: statistics.fmean(getattr(outcome, field) for outcome in of_name)
            for field in ("trainings", "seconds", "chains", "samples", "validation")
        }
        yield Row(
            f"{name}: {mean['trainings']:.0f} trainings, {mean['seconds']:.0f} s, "
            f"{mean['chains']:.1f} chains, {mean['samples']:.1f} samples",
            f"test {_spread([100 * o.test for o in of_name])}%, "
            f"validation {100 * mean['validation']:.1f}%",
            "",
        )
        if name != DEFAULT:
            gains = [
                100 * (outcomes[DEFAULT, seed].test - outcomes[name, seed].test)
                for seed in range(REPEATS)
            ]
            yield Row(
                f"{DEFAULT} against {name}, points",
                f"{_spread(gains)}, 95% interval ± {_half(gains):.2f}, better in "
                f"{sum(gain > 0 for gain in gains)} of {REPEATS}",
                "",
            )


def _half(values: list[float]) -> float:
    """Half of a 95% interval of the mean."""
    quantile = stats.t.ppf(0.975, len(values) - 1)
    return quantile * statistics.stdev(values) / math.sqrt(len(values))


def _spread(values: list[float]) -> str:
    return f"{statistics.fmean(values):.2f} ± {statistics.stdev(values):.2f} (n={len(values)})"


BENCHMARKS = (two_level_search,)
