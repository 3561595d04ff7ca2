"""The samples of a search as an Optuna study, which optuna-dashboard opens."""

import tempfile
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from lt_core.config import Recipe
from tune_app.search.bilevel import SearchSpace
from tune_app.search.samples import Sample
from tune_app.store.files import write_atomically
from tune_app.sweep.spaces import Stage, at_point, points
from tune_app.sweep.sweep import Sweep

_STATES = {
    "running": TrialState.RUNNING,
    "complete": TrialState.COMPLETE,
    "stopped": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


def distributions(sweep: Sweep) -> dict[str, BaseDistribution]:
    """The distribution of each varied parameter: `find.lr`, `eval.lr`, ..."""
    return {
        f"{name}.{field}": distribution
        for name, stage, train in (
            ("find", sweep.find, sweep.find_train),
            ("eval", sweep.eval, sweep.eval_train),
        )
        for field, distribution in _of_stage(stage, train).items()
    }


def _of_stage(stage: Stage, train: Recipe) -> dict[str, BaseDistribution]:
    if not stage.points:
        return SearchSpace(stage, train).distributions
    recipes = [at_point(train, point) for point in points(stage)]
    return {
        name: CategoricalDistribution(list(dict.fromkeys(str(getattr(r, name)) for r in recipes)))
        for name in stage.varied
    }


def as_trials(sweep: Sweep, samples: list[Sample]) -> list[FrozenTrial]:
    """A trial for each sample, in their order.

    Parameters are named as in `distributions`. An H outside of its search space, as in some coupled
    samples, has no parameters: their values may lie in no distribution, and if they do, the trial
    would look like one of another H.
    """
    varied = distributions(sweep)
    spaces = {
        "find": SearchSpace(sweep.find, sweep.find_train),
        "eval": SearchSpace(sweep.eval, sweep.eval_train),
    }
    trials = []
    for number, sample in enumerate(samples, start=1):
        params: dict[str, Any] = {}
        for stage, space in spaces.items():
            recipe = getattr(sample.configuration, stage)
            if space.has(recipe):
                params |= {
                    name: _param(getattr(recipe, name.partition(".")[2]), distribution)
                    for name, distribution in varied.items()
                    if name.startswith(f"{stage}.")
                }
        trials.append(
            create_trial(
                params=params,
                distributions={name: varied[name] for name in params},
                state=_STATES[sample.state],
                # A failed sample counts as 0 in the search, but 0 was not measured: no value here.
                value=sample.value if sample.state in ("complete", "stopped") else None,
                user_attrs={
                    "sample": number,
                    "coupled": sample.configuration.coupled,
                    "reason": sample.reason,
                    "trainings": sample.trainings,
                },
            )
        )
    return trials


def _param(value: Any, distribution: BaseDistribution) -> Any:
    return str(value) if isinstance(distribution, CategoricalDistribution) else value


def write_study(path: Path, sweep: Sweep, samples: list[Sample]) -> None:
    """Write an SQLite database with one study, in place of an earlier one.

    Raises:
        OSError: when it cannot be written.
    """
    # Written elsewhere first: the file system of a run directory may lack the locks of SQLite.
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / path.name
        storage = RDBStorage(f"sqlite:///{database}")
        study = optuna.create_study(
            storage=storage, study_name=sweep.name, direction="maximize", load_if_exists=False
        )
        study.add_trials(as_trials(sweep, samples))
        storage.remove_session()
        storage.engine.dispose()
        write_atomically(path, database.read_bytes())
