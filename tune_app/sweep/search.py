"""The `search` block of a sweep file: its objective, its budgets, and what it gives up early."""

import math
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from lt_core.config import Config, RuleErrors
from tune_app.sweep.durations import TimeBudget, parse
from tune_app.sweep.prune import Fraction, Sparsities
from tune_app.sweep.spaces import MAX_POINTS, NonEmpty

# The plan of a million trainings takes half a minute and 0.8 GB; more is a mistake.
MAX_TRAININGS = 1_000_000


def _as_list(value: Any) -> Any:
    return value if value is None or isinstance(value, tuple | list) else (value,)


SparsityOrList = Annotated[
    Sparsities, BeforeValidator(_as_list, json_schema_input_type=Fraction | Sparsities)
]


def _validation_metric(value: str) -> str:
    if value != "val_accuracy":
        why = "; a search that selects on test reports what it overfits" * value.startswith("test")
        raise ValueError(f"must be val_accuracy, got {value!r}{why}")
    return value


class Stop(Config):
    """Early stopping, by rules of Ray Tune."""

    evaluations: Literal["asha", "median"] | None = None
    """Rule for evaluations, compared by epoch. Not sound where the learning rate falls late: a
    small one leads before."""

    grace_epochs: int | None = Field(default=None, ge=1)
    """Epochs that every evaluation gets; a quarter of the longest if not given."""

    chains: Literal["asha", "median"] | None = None
    """Rule for chains, compared by their tickets at `probe_at`, each trained as `train` says: the
    accuracy of a chain's own networks does not tell how good its masks are."""

    probe_at: SparsityOrList | None = None
    """Sparsities at which chains are compared, by the nearest rounds."""

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        if (self.chains is None) != (self.probe_at is None):
            raise RuleErrors([((), "`chains` and `probe_at` go together")])
        if self.grace_epochs is not None and self.evaluations is None:
            raise RuleErrors([(("grace_epochs",), "goes with `evaluations`")])
        return self


class Search(Config):
    """The objective of a search, and its budgets; the one that is spent first ends it."""

    metric: Annotated[str, AfterValidator(_validation_metric)] = "val_accuracy"
    """The objective, to be high: its mean over `seeds` and over the sparsities `at`."""

    at: SparsityOrList | None = None
    """One sparsity or several, by the nearest rounds; if not given all that `eval` evaluates, the
    curve."""

    num_samples: int | None = Field(default=None, ge=1, le=MAX_POINTS)
    """Budget of configurations, pairs of H_find and H_eval."""

    trainings: int | None = Field(default=None, ge=1, le=MAX_TRAININGS)
    """Budget of networks to train; those that the store has are free."""

    time_budget: TimeBudget | None = None
    """Budget of wall time, over all launches."""

    report_seeds: NonEmpty[int]
    """Fresh replicates: the best coupled and the best decoupled configuration are trained again
    with these, and only these are reported."""

    seed: int = Field(default=0, ge=0)
    """Seed of what is drawn."""

    max_concurrent: int | None = Field(default=None, ge=1)
    """Trials at a time: the more, the less each choice knows. If not given, as many as fit at the
    start."""

    stop: Stop = Stop()
    """Early stopping of trials that do badly; off if not given."""

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if self.num_samples is None and self.trainings is None and self.time_budget is None:
            text = "needs an end: `num_samples`, `trainings` or `time_budget`"
            raise RuleErrors([((), text)])
        return self

    @property
    def seconds(self) -> float:
        """`time_budget`; infinite if there is none."""
        return math.inf if self.time_budget is None else parse(self.time_budget).seconds
