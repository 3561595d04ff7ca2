"""Which search ends with the best configuration for the same trainings: a replay on real tables.

Both tables are of the digits, 8 epochs, 40% pruned a round, with the accuracies of masks found at
some H_find and trained at some H_eval. small_resnet: 12 x 12 (LR 0.02 to 1, WD 5e-4 and 5e-3),
98.3% (seeds 0 to 7) and 99.0% pruned (seeds 1 to 7). lenet_300_100: 6 x 6 (LR 0.02 to 0.5), 99.0%
(seeds 0 to 2), by table.py.

A Gaussian process through all cells of a table is the truth, in log error. A search sees one seed
of it: truth, an effect of each mask and noise of each training, as large as in the table, rounded
to the accuracies that 297 images allow. A new mask costs a chain, an evaluation one training.

Regret: the best true accuracy less that of the configuration which a search ends with, in points.
Repeats differ in the seed of everything, and strategies are compared repeat by repeat.
"""

import csv
import gzip
import math
import statistics
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import optuna
from measure import Row
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler
from scipy import stats
from threadpoolctl import threadpool_limits

from lt_core.config import Recipe
from tune_app.search.bilevel import NUM_RANDOM, Bilevel
from tune_app.search.chooser import Configuration
from tune_app.search.gaussian import Gaussian
from tune_app.search.judgement import Judge
from tune_app.sweep.sweep import Sweep

TABLES = Path(__file__).parent / "tables"
BUDGETS = (60, 120, 240)
REPEATS = 24
DEFAULT = "gp"

Values = Mapping[Configuration, float | None]


@dataclass(frozen=True)
class Setting:
    """A network and a sparsity, and how the cells of its table vary in log error."""

    model: str
    pruned: str
    round: int
    highest_lr: float
    """Of the table, and so of what is searched; the lowest is 0.02."""

    variances: tuple[float, float, float]
    """Of H_find, of H_eval and of both together; these and the next two by maximum likelihood."""

    mask: float
    """Standard deviation between masks of one H_find."""

    noise: float
    """Standard deviation between trainings of one mask, with the images of validation and test."""


SETTINGS = (
    Setting("small_resnet", "98.3%", 8, 1.0, (0.108, 0.955, 0.151), mask=0.161, noise=0.176),
    Setting("small_resnet", "99.0%", 9, 1.0, (0.0127, 0.245, 0.0734), mask=0.209, noise=0.153),
    Setting("lenet_300_100", "99.0%", 9, 0.5, (0.0618, 0.0898, 0.264), mask=0.0900, noise=0.145),
)
_LENGTHS = np.array([0.4, 3.0])
"""Of LR and WD in shares of their ranges, for both stages: two values of WD are nearly a line."""

_FEWER_IMAGES = 0.02
"""Variance of log error that 297 images have more than 797."""

_LOW, _HIGH = np.log([0.02, 5e-4]), np.log([1.0, 5e-3])


def _unit(recipes: list[Recipe]) -> np.ndarray:
    """[n, 2], LR and WD."""
    return _to_unit([(recipe.lr, recipe.weight_decay) for recipe in recipes])


def _to_unit(values) -> np.ndarray:
    return (np.log(values) - _LOW) / (_HIGH - _LOW)


def _matern(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    r = np.sqrt(5 * (((a[:, None] - b[None]) / _LENGTHS) ** 2).sum(-1))
    return (1 + r + r * r / 3) * np.exp(-r)


class Truth:
    """Log error over both spaces, without masks and noise."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        with gzip.open(TABLES / f"{setting.model}_digits.csv.gz", "rt") as lines:
            rows = [row for row in csv.DictReader(lines) if int(row["round"]) == setting.round]
        finds = [(row["seed"], row["find_lr"], row["find_weight_decay"]) for row in rows]
        self.find, self.eval = (
            _to_unit(
                [[float(row[f"{of}_{name}"]) for name in ("lr", "weight_decay")] for row in rows]
            )
            for of in ("find", "eval")
        )
        right = np.array([int(row["validation"]) + int(row["test"]) for row in rows])
        error = np.log(np.maximum(100 - 100 * right / 797, 0.3))
        self.middle = error.mean()
        same = np.array([[a == b for b in finds] for a in finds])
        covariance = self._of(_matern(self.find, self.find), _matern(self.eval, self.eval))
        covariance += setting.mask**2 * same + setting.noise**2 * np.eye(len(rows))
        self.weights = np.linalg.solve(covariance, error - self.middle)
        self.best, self.best_coupled = self._best()

    def _of(self, find: np.ndarray, eval_: np.ndarray) -> np.ndarray:
        by_find, by_eval, by_both = self.setting.variances
        return by_find * find + by_eval * eval_ + by_both * find * eval_

    def log_error(self, find: np.ndarray, eval_: np.ndarray) -> np.ndarray:
        """[n], of places [n, 2] in both spaces."""
        return (
            self.middle
            + self._of(_matern(find, self.find), _matern(eval_, self.eval)) @ self.weights
        )

    def accuracy(self, log_error: np.ndarray) -> np.ndarray:
        """Mean over masks and trainings, in percent."""
        return 100 - np.exp(log_error + (self.setting.mask**2 + self.setting.noise**2) / 2)

    def _best(self) -> tuple[float, float]:
        """The highest accuracy on a grid of 41 LR and 11 WD in each stage; the highest coupled."""
        [[highest, _]] = _to_unit([[self.setting.highest_lr, 5e-3]])
        lr, decay = np.linspace(0, highest, 41), np.linspace(0, 1, 11)
        grid = np.array([(a, b) for a in lr for b in decay])
        find, eval_ = _matern(grid, self.find), _matern(grid, self.eval)
        by_find, by_eval, by_both = self.setting.variances
        both = by_both * (find * self.weights) @ eval_.T
        both += by_find * (find @ self.weights)[:, None] + by_eval * (eval_ @ self.weights)[None]
        return tuple(float(self.accuracy(self.middle + z.min())) for z in (both, np.diag(both)))


@cache
def truth(setting: Setting) -> Truth:
    return Truth(setting)


class World:
    """What one search sees of the truth, and what it has cost."""

    def __init__(self, setting: Setting, repeat: int) -> None:
        self.truth, self.rng = truth(setting), np.random.default_rng([repeat, 1])
        self.masks: dict[Recipe, float] = {}
        self.values: dict[Configuration, float] = {}
        self.trainings = 0

    def value(self, pair: Configuration) -> float:
        """Validation accuracy in [0, 1]; the same training again gives the same."""
        setting = self.truth.setting
        if pair.find not in self.masks:
            self.masks[pair.find] = self.rng.normal(0, setting.mask)
            self.trainings += setting.round
        self.trainings += 1
        if pair not in self.values:
            [z] = self.truth.log_error(_unit([pair.find]), _unit([pair.eval]))
            z += self.masks[pair.find] + self.rng.normal(
                0, math.hypot(setting.noise, _FEWER_IMAGES**0.5)
            )
            self.values[pair] = max(0.1, 1 - round(math.exp(z) * 2.97) / 297)
        return self.values[pair]

    def regret(self, pair: Configuration) -> float:
        z = self.truth.log_error(_unit([pair.find]), _unit([pair.eval]))
        return self.truth.best - float(self.truth.accuracy(z)[0])


def sweep(setting: Setting, seed: int) -> Sweep:
    parameters = {
        "lr": {"min": 0.02, "max": setting.highest_lr, "log": True},
        "weight_decay": {"min": 5e-4, "max": 5e-3, "log": True},
    }
    spaces = {"method": "tpe", "parameters": parameters}
    return Sweep.model_validate(
        {
            "name": "replay",
            "model": "small_resnet",
            "dataset": "digits",
            "seeds": (0,),
            "train": {"lr": 0.1, "batch_size": 64, "weight_decay": 5e-3, "duration": "8ep"},
            "prune": {"fraction": 0.4, "rounds": setting.round},
            "find": spaces,
            "eval": spaces,
            "search": {"trainings": max(BUDGETS), "report_seeds": (100,), "seed": seed},
        }
    )


Search = Callable[[Sweep, World], Iterator[Values]]
"""Tries one configuration after another; yields all values after each."""


def two_level(
    method: type[Bilevel] | type[Gaussian], sweep: Sweep, world: World
) -> Iterator[Values]:
    """What the program does, one configuration at a time."""
    search = method(sweep, sweep.prune.num_rounds, 1)
    while True:
        pair = search.ask()
        search.values[pair] = world.value(pair)
        search.found[pair.find] = True
        yield search.values


def joint(
    make: Callable[..., BaseSampler], coupled: bool, sweep: Sweep, world: World
) -> Iterator[Values]:
    """One study over both spaces, as if every configuration cost the same."""
    study = optuna.create_study(direction="maximize", sampler=make(seed=sweep.search.seed))
    ends = {"lr": (0.02, world.truth.setting.highest_lr), "weight_decay": (5e-4, 5e-3)}
    stages = ("find",) if coupled else ("find", "eval")
    spaces = {
        f"{stage}.{name}": optuna.distributions.FloatDistribution(*of, log=True)
        for stage in stages
        for name, of in ends.items()
    }
    values: dict[Configuration, float] = {}
    while True:
        trial = study.ask(spaces)
        find, eval_ = (
            sweep.train.model_copy(update={name: trial.params[f"{stage}.{name}"] for name in ends})
            for stage in (stages[0], stages[-1])
        )
        values[Configuration(find, eval_)] = world.value(Configuration(find, eval_))
        study.tell(trial, values[Configuration(find, eval_)])
        yield values


def observed(sweep: Sweep, values: Values) -> Configuration:
    """The configuration of the highest value seen."""
    return max(values, key=values.get)


def posterior(sweep: Sweep, values: Values) -> Configuration:
    """The configuration of the highest posterior mean, as the program answers."""
    return Judge(sweep).judge(values, ()).best(1)[0]


_TPE = partial(TPESampler, multivariate=True, n_startup_trials=NUM_RANDOM)
_GP = partial(GPSampler, n_startup_trials=NUM_RANDOM, deterministic_objective=False)

SEARCHES: dict[str, tuple[Search, Callable[[Sweep, Values], Configuration]]] = {
    "gp": (partial(two_level, Gaussian), posterior),
    "tpe, best observed": (partial(two_level, Bilevel), observed),
    "random, joint": (partial(joint, RandomSampler, False), observed),
    "TPE, joint": (partial(joint, _TPE, False), observed),
    "TPE, coupled": (partial(joint, _TPE, True), observed),
    "Optuna's GPSampler, joint": (partial(joint, _GP, False), observed),
    "tpe": (partial(two_level, Bilevel), posterior),
}
"""Ways to choose configurations, and the answer among them."""

MUST_BE_BEATEN = tuple(SEARCHES)[1:5]


def regrets(setting: Setting, name: str, repeat: int) -> tuple[float, ...]:
    """Of one search, after each budget."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    of_repeat, world = sweep(setting, repeat), World(setting, repeat)
    search, answer = SEARCHES[name]
    found: list[float] = []
    with threadpool_limits(1):
        for values in search(of_repeat, world):
            while world.trainings >= BUDGETS[len(found)]:
                found.append(world.regret(answer(of_repeat, values)))
                if len(found) == len(BUDGETS):
                    return tuple(found)
    raise AssertionError("a search has no end")


def search_replay() -> Iterator[Row]:
    """Mean regret with its 95% interval, and by how much less the default has at the end."""
    for setting in SETTINGS:
        jobs = [(setting, name, repeat) for name in SEARCHES for repeat in range(REPEATS)]
        with ProcessPoolExecutor(2) as pool:
            outcomes = dict(zip(jobs, pool.map(regrets, *zip(*jobs, strict=True)), strict=True))
        found = {
            name: [outcomes[setting, name, repeat] for repeat in range(REPEATS)]
            for name in SEARCHES
        }
        for name in SEARCHES:
            by_budget = ", ".join(map(_interval, zip(*found[name], strict=True)))
            yield Row(
                f"{setting.model}, {setting.pruned} pruned, {name}: regret after {BUDGETS}",
                by_budget,
                "",
            )
        for name in SEARCHES:
            if name != DEFAULT:
                pairs = zip(found[name], found[DEFAULT], strict=True)
                more = [theirs[-1] - ours[-1] for theirs, ours in pairs]
                must = name in MUST_BE_BEATEN
                yield Row(
                    f"{setting.model}, {setting.pruned} pruned, {name}: more than {DEFAULT} after "
                    f"{BUDGETS[-1]}",
                    _interval(more),
                    "an interval above 0" if must else "",
                    statistics.fmean(more) > _half(more) if must else None,
                )


def _half(values: list[float]) -> float:
    """Half of a 95% interval of the mean."""
    return stats.t.ppf(0.975, len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))


def _interval(values: list[float]) -> str:
    return f"{statistics.fmean(values):.2f} ± {_half(values):.2f}"


BENCHMARKS = (search_replay,)
