"""The sweep file, as types, and every mistake in it as one line with file, line and key."""

import difflib
import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    ValidationError,
    create_model,
    model_validator,
)
from pydantic.fields import FieldInfo

from lt_core.config import (
    Config,
    DataSetName,
    ModelName,
    Pruning,
    Recipe,
    Rewinding,
    RuleErrors,
)
from tune_app.sweep.yaml_source import Loc, SpecError, YamlSource, read_yaml

# The plan of a million trainings takes half a minute and 0.8 GB; more is a mistake.
MAX_POINTS = 100_000
MAX_ROUNDS = 1000
MAX_TRAININGS = 1_000_000
MAX_SEARCH_NAME = 95

Baseline = Literal["global_random", "preserve_lpr", "reinit"]
Kind = Literal["lottery", "lpr_constrained", Baseline]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Item = TypeVar("Item")


def _no_repeats(items: tuple[Any, ...]) -> tuple[Any, ...]:
    repeats = [_words(item) for item, count in Counter(items).items() if count > 1]
    if repeats:
        raise ValueError(f"each may be given once, got {', '.join(repeats)} again")
    return items


Distinct = Annotated[tuple[Item, ...], AfterValidator(_no_repeats)]
NonEmpty = Annotated[Distinct[Item], Field(min_length=1)]
Sparsities = Annotated[NonEmpty[Fraction], Field(max_length=MAX_ROUNDS)]


class Dimension(Config, Generic[Item]):
    """One dimension of a search space: `values`, or the numbers from `min` to `max`."""

    values: NonEmpty[Item] | None = None

    min: Item | None = None
    max: Item | None = None
    """For `method: random` and `tpe`; both ends belong to it."""

    log: bool = False
    """Whether numbers are drawn evenly by order of magnitude."""

    @model_validator(mode="after")
    def _one_way(self):
        ends = {"min": self.min, "max": self.max}
        given = [name for name, end in ends.items() if end is not None]
        if self.values is not None:
            more = [*given, *(["log"] if self.log else [])]
            if more:
                raise RuleErrors([((more[0],), "goes with a range, not with `values`")])
            return self
        if len(given) < 2:
            raise RuleErrors([((), "needs `values`, or `min` and `max`")])
        for name, end in ends.items():
            if isinstance(end, bool) or not isinstance(end, int | float):
                raise RuleErrors([((name,), f"a range is of numbers, got {_words(end)}")])
        if self.min >= self.max:
            text = f"must be more than `min` ({self.min:g}), got {self.max:g}"
            raise RuleErrors([(("max",), text)])
        if self.log and self.min <= 0:
            raise RuleErrors([(("min",), f"must be more than 0 with `log`, got {self.min:g}")])
        return self


def _checked_type(field: FieldInfo) -> Any:
    return Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation


# One optional dimension for each field of a recipe, its values checked as that field is.
Space = create_model(
    "Space",
    __base__=Config,
    __doc__="Which fields of `train` vary, and over what.",
    **{
        name: (Dimension[_checked_type(field)] | None, None)
        for name, field in Recipe.model_fields.items()
    },
)


# One point of a search space: what is left out, or null, is as `train` says.
PointOfRecipe = create_model(
    "PointOfRecipe",
    __base__=Config,
    __doc__="Fields of `train`, replaced.",
    **{name: (_checked_type(field) | None, None) for name, field in Recipe.model_fields.items()},
)


def dimensions(space: Space) -> dict[str, tuple[Any, ...]]:
    """What a search space varies: field -> its values; of a range the two ends."""
    return {
        name: domain.values or (domain.min, domain.max)
        for name, domain in space
        if domain is not None
    }


def _given(point: Config) -> dict[str, Any]:
    return {name: value for name, value in point if value is not None}


class Prune(Pruning):
    """How far and how fast to prune; exactly one of the three keys below."""

    rounds: int | None = Field(default=None, ge=1, le=MAX_ROUNDS)
    """Prunings in a chain; round 0 is the dense network."""

    final_sparsity: Fraction | None = None
    """Prune until at least this fraction of the weights is gone."""

    one_shot: Sparsities | None = None
    """Prune the dense network at once: a ticket for each of these in place of `fraction`, which
    count as rounds 1, 2, ..."""

    @model_validator(mode="after")
    def _one_target(self):
        targets = ("rounds", "final_sparsity", "one_shot")
        given = [name for name in targets if getattr(self, name) is not None]
        if len(given) != 1:
            got = f"{' and '.join(given)} (null unsets one)" if given else "none"
            text = f"needs one of `rounds`, `final_sparsity` and `one_shot`, got {got}"
            raise RuleErrors([((), text)])
        problems = []
        if self.one_shot is None and self.num_rounds > MAX_ROUNDS:
            text = f"takes more than {MAX_ROUNDS} rounds at `fraction` {self.fraction:g}"
            problems.append((("final_sparsity",), text))
        if self.one_shot is None and self.strategy == "filter_l1":
            text = "prunes once: needs `one_shot`, the shares of the filters to remove"
            problems.append((("strategy",), text))
        if self.one_shot is not None and list(self.one_shot) != sorted(self.one_shot):
            problems.append((("one_shot",), f"must rise, got {_words(self.one_shot)}"))
        if problems:
            raise RuleErrors(problems)
        return self

    @property
    def num_rounds(self) -> int:
        if self.one_shot is not None:
            return len(self.one_shot)
        if self.rounds is not None:
            return self.rounds
        rounds = math.log1p(-self.final_sparsity) / math.log1p(-self.fraction)
        return max(1, math.ceil(min(rounds - 1e-9, MAX_ROUNDS + 1)))

    def of_round(self, round: int) -> Pruning:
        """The pruning that finds the ticket of a round."""
        return self.model_copy(update={"fraction": self.fractions(round)[-1]})

    def fractions(self, round: int) -> tuple[float, ...]:
        """What each pruning up to a round removes of what is left, nominally."""
        if self.one_shot is not None:
            return (self.one_shot[round - 1],) if round else ()
        return (self.fraction,) * round

    def sparsity(self, round: int) -> float:
        """Nominal sparsity of a round: without rounding up to whole weights and without
        `layer_fractions`; the share of the filters for `filter_l1`."""
        return 1 - math.prod(1 - fraction for fraction in self.fractions(round))


class Resources(Config):
    """What one trial is given."""

    cpu: int = Field(default=1, ge=1)
    """Cores, and so threads, of a training."""

    gpu: float = Field(default=0.0, ge=0)
    """GPUs; 0.25 packs four trials on one."""

    @model_validator(mode="after")
    def _whole_gpus(self):
        if self.gpu > 1 and self.gpu != int(self.gpu):
            raise RuleErrors([(("gpu",), f"must be whole above 1, got {self.gpu:g}")])
        return self


Method = Literal["grid", "random", "tpe"]


class Stage(Config):
    """A search space, and how its points are chosen."""

    method: Method = "grid"
    """`grid`: all of them. `random`, or `tpe`, the tree-structured Parzen estimator (Bergstra et
    al. 2011), draw points as long as `search` says."""

    parameters: Space = Space()
    """Every combination of these."""

    points: Distinct[PointOfRecipe] = ()
    """In place of `parameters`, the points one by one."""

    resources: Resources | None = None
    """Of its trials, in place of `resources_per_trial`."""

    @model_validator(mode="after")
    def _points_go_with_grid(self):
        varied = dimensions(self.parameters)
        ranges = [name for name in varied if getattr(self.parameters, name).values is None]
        problems = []
        if self.points and varied:
            problems.append((("points",), "stands in place of `parameters`; give one of them"))
        if self.points and self.method != "grid":
            problems.append((("points",), f"goes with `method: grid`, not with {self.method}"))
        elif self.method != "grid" and not varied:
            problems.append((("method",), f"{self.method} needs `parameters` to draw from"))
        if self.method == "grid":
            text = "a range needs `method: random` or `tpe`; a grid needs `values`"
            problems += [(("parameters", name), text) for name in ranges]
        if problems:
            raise RuleErrors(problems)
        return self

    @property
    def varied(self) -> tuple[str, ...]:
        """The fields of `train` that it replaces."""
        if not self.points:
            return tuple(dimensions(self.parameters))
        given = {name for point in self.points for name in _given(point)}
        return tuple(name for name in Recipe.model_fields if name in given)


class Find(Stage):
    """H_find: one chain of rounds for each point and seed."""

    lpr_from: Distinct[PointOfRecipe] = ()
    """LPR-constrained pruning: for each of these points of H_find, chains of all others that prune
    each layer as far as its chain did, and choose by magnitude within the layer only."""


class Eval(Stage):
    """H_eval: every ticket is trained at every point."""

    at_sparsity: Sparsities | None = None
    """Which tickets are evaluated: the nearest rounds; all of them if not given."""

    rewind_from: Literal["find", "eval"] = "find"
    """Whose weights at `rewind.to` a ticket starts from: those of the dense network trained at
    H_find, or at H_eval. Initialization is the same for both."""


def _as_list(value: Any) -> Any:
    return value if value is None or isinstance(value, tuple | list) else (value,)


def _interval(value: str) -> str:
    if not re.fullmatch(r"[1-9]\d{0,5}(min|ep)", value, re.ASCII):
        raise ValueError(f"must be minutes or epochs, such as 10min or 5ep, got {value!r}")
    return value


def _validation_metric(value: str) -> str:
    if value != "val_accuracy":
        why = "; a search that selects on test reports what it overfits" * value.startswith("test")
        raise ValueError(f"must be val_accuracy, got {value!r}{why}")
    return value


def _span(value: str) -> str:
    if not re.fullmatch(r"[1-9]\d{0,5}(min|h)", value, re.ASCII):
        raise ValueError(f"must be minutes or hours, such as 90min or 2h, got {value!r}")
    return value


class Stop(Config):
    """What is given up before it ends, by rules of Ray Tune (stopping.py)."""

    evaluations: Literal["asha", "median"] | None = None
    """Compared by epoch. Not sound where the learning rate falls late: a small one leads before."""

    grace_epochs: int | None = Field(default=None, ge=1)
    """None is stopped before; a quarter of the longest if not given."""

    chains: Literal["asha", "median"] | None = None
    """Compared by their tickets at `probe_at`, each trained as `train` says: how well a chain's own
    networks do does not tell how good its masks are."""

    probe_at: Annotated[Sparsities, BeforeValidator(_as_list)] | None = None

    @model_validator(mode="after")
    def _go_together(self):
        if (self.chains is None) != (self.probe_at is None):
            raise RuleErrors([((), "`chains` and `probe_at` go together")])
        if self.grace_epochs is not None and self.evaluations is None:
            raise RuleErrors([(("grace_epochs",), "goes with `evaluations`")])
        return self


class Search(Config):
    """What a search looks for, and how long; the budget that is spent first ends it."""

    metric: Annotated[str, AfterValidator(_validation_metric)] = "val_accuracy"
    """What is to be high: the mean over `seeds` and over the sparsities `at`."""

    at: Annotated[Sparsities, BeforeValidator(_as_list)] | None = None
    """At which sparsity or sparsities, by the nearest rounds; at all that `eval` evaluates, the
    curve, if not given."""

    num_samples: int | None = Field(default=None, ge=1, le=MAX_POINTS)
    """Configurations, pairs of H_find and H_eval, to try."""

    trainings: int | None = Field(default=None, ge=1, le=MAX_TRAININGS)
    """Networks to train; what the store has costs nothing."""

    time_budget: Annotated[str, AfterValidator(_span)] | None = None
    """Wall time, of all launches together."""

    report_seeds: NonEmpty[int]
    """Fresh replicates: the best coupled and the best decoupled configuration are trained again
    with these, and only these are reported."""

    seed: int = Field(default=0, ge=0)
    """Of what is drawn."""

    max_concurrent: int | None = Field(default=None, ge=1)
    """Trials at a time: the more, the less each choice knows. If not given, as many as fit at the
    start."""

    stop: Stop = Stop()
    """What is given up early."""

    @model_validator(mode="after")
    def _ends(self):
        if self.num_samples is None and self.trainings is None and self.time_budget is None:
            text = "needs an end: `num_samples`, `trainings` or `time_budget`"
            raise RuleErrors([((), text)])
        return self

    @property
    def seconds(self) -> float:
        """`time_budget`; infinite if there is none."""
        if self.time_budget is None:
            return math.inf
        if self.time_budget.endswith("h"):
            return 3600.0 * int(self.time_budget[:-1])
        return 60.0 * int(self.time_budget[:-3])


def _not_taken(value: str) -> str:
    if value.startswith("mlflow.db"):
        raise ValueError(
            f"must not start with mlflow.db, which is MLflow's and lies beside it, got {value!r}"
        )
    return value


class Sweep(Config):
    """One sweep file."""

    name: Annotated[str, AfterValidator(_not_taken)] = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$"
    )
    """Names the run directory and the MLflow experiment."""

    description: str = ""
    """The question, in one line."""

    model: ModelName
    dataset: DataSetName

    data_dir: str = "data"
    """Where data sets lie or are downloaded to, from the folder that a run is started in. No part
    of a training's id, which has the name of the data set alone: what is there under one name
    (`image_folder` and import paths too) must not change, or use another `--out`."""

    seeds: NonEmpty[int]
    """Replicates: each seeds initialization, data order and random masks."""

    train: Recipe
    """H; `find` and `eval` replace fields of it."""

    prune: Prune
    find: Find = Find()
    eval: Eval = Eval()

    search: Search | None = None
    """Needed where `find` or `eval` have a method other than grid."""

    rewind: Rewinding = Rewinding()

    baselines: Distinct[Baseline] = ()
    """What to compare with: random masks of the same sparsity (`global_random`; with `filter_l1`
    random filters, the same share of each layer) or also the same LPR (`preserve_lpr`), and tickets
    initialized anew and trained in full (`reinit`)."""

    select_on: Literal["validation", "test"] = "validation"
    """Which accuracy picks the best configurations; the paper's protocol is `test`."""

    resources_per_trial: Resources = Resources()

    checkpoint_every: Annotated[str, AfterValidator(_interval)] = "10min"
    """How often the state of a running training is kept, in minutes or epochs."""

    max_failures: int = Field(default=2, ge=0)
    """How often a trial is started again after its worker died."""

    @model_validator(mode="after")
    def _is_feasible(self):
        finds, evals = num_points(self.find), num_points(self.eval)
        problems = [
            ((stage, "parameters"), f"must be at most {MAX_POINTS:,} points, got {points:,}")
            for stage, points in (("find", finds), ("eval", evals))
            if points > MAX_POINTS
        ]
        if problems:
            raise RuleErrors(problems)
        chains = finds * (1 + len(self.find.lpr_from)) * (self.eval_rounds[-1] + 1)
        kinds = 1 + len(self.baselines) + len(self.find.lpr_from)
        asked = (chains + finds * evals * len(self.eval_rounds) * kinds) * len(self.seeds)
        # Each training is described, and named, with all of these.
        listed = self._most_milestones + len(self.prune.skip) + len(self.prune.layer_fractions)
        most = MAX_TRAININGS // max(1, listed // 10)
        if asked > most:
            text = f"with `find` and `eval` asks for {asked:,} trainings; at most {most:,}"
            if most < MAX_TRAININGS:
                text += f" with {listed:,} milestones and layers"
            raise RuleErrors([(("seeds",), text)])
        return self

    @model_validator(mode="after")
    def _every_point_is_a_recipe(self):
        problems = [
            *_bad_points(self.train, self.find, "find"),
            *_bad_points(self.train, self.eval, "eval"),
        ]
        if problems:
            raise RuleErrors(problems)
        return self

    @model_validator(mode="after")
    def _go_together(self):
        problems = []
        method, to = self.rewind.method, self.rewind.to
        for recipe in (*self.find_recipes, *self.eval_recipes):
            end = recipe.trains_for
            if to.unit == end.unit and to.count >= end.count:
                text = f"must lie before the end of every training, such as {end}, got {to}"
                problems.append((("rewind", "to"), text))
                break
        for i, baseline in enumerate(self.baselines):
            if method != "weights" and baseline != "reinit":
                text = (
                    f"{baseline} has no trained weights to go on from; use `rewind.method: weights`"
                )
                problems.append((("baselines", i), text))
            elif self.prune.strategy == "filter_l1" and baseline == "preserve_lpr":
                text = "of whole filters global_random preserves the LPR too, and costs less"
                problems.append((("baselines", i), text))
        if method != "weights" and self.eval.rewind_from == "eval":
            text = "needs `rewind.method: weights`: no weights are rewound"
            problems.append((("eval", "rewind_from"), text))
        if self.find.lpr_from and self.prune.strategy != "global_magnitude":
            text = f"goes with `prune.strategy: global_magnitude`, not with {self.prune.strategy}"
            problems.append((("find", "lpr_from"), text))
        problems += self._search_problems()
        known = list(map(_point_words, itertools.islice(points(self.find), 10)))
        if num_points(self.find) > len(known):
            known.append("...")
        for i, source in enumerate(self.lpr_sources):
            if source is None:
                text = "must be a point of `find`: "
                text += "; ".join(known) or "there are none"
                problems.append((("find", "lpr_from", i), text))
        if problems:
            raise RuleErrors(problems)
        return self

    def _search_problems(self) -> list[tuple[Loc, str]]:
        drawn = [stage for stage in ("find", "eval") if getattr(self, stage).method != "grid"]
        if self.search is None:
            text = "needs a `search`, which says what is best and when to end"
            return [((stage, "method"), text) for stage in drawn]
        if not drawn:
            text = "needs `method: random` or `tpe` in `find`, `eval` or both; a grid is run whole"
            return [(("search",), text)]
        problems = []
        if len(self.name) > MAX_SEARCH_NAME:
            text = f"of a search must be at most {MAX_SEARCH_NAME} long: its best are NAME-best"
            problems.append((("name",), text))
        for stage in ("find", "eval"):
            for name, values in dimensions(getattr(self, stage).parameters).items():
                if None in values:
                    problems.append(((stage, "parameters", name), "null cannot be searched"))
        if self.find.lpr_from:
            problems.append((("find", "lpr_from"), "does not go with a search"))
        if self.select_on == "test":
            problems.append((("select_on",), "must be validation in a search"))
        last = self.search_rounds[-1] if self.search_rounds else 0
        if self.search.stop.chains and self.prune.one_shot is not None:
            text = "does not go with `prune.one_shot`, which finds all tickets at once"
            problems.append((("search", "stop", "chains"), text))
        elif any(not 0 < round < last for round in self.probe_rounds):
            text = f"must be sparsities of rounds before that of `at`, {self.sparsities[last]:.1%}"
            problems.append((("search", "stop", "probe_at"), text))
        if again := set(self.seeds).intersection(self.search.report_seeds):
            text = f"must be others than `seeds`, got {_words(tuple(sorted(again)))} again"
            problems.append((("search", "report_seeds"), text))
        return problems

    @property
    def _most_milestones(self) -> int:
        varied = [self.train.milestones]
        for stage in (self.find, self.eval):
            varied += dimensions(stage.parameters).get("milestones", ())
            varied += [point.milestones for point in stage.points if point.milestones is not None]
        return max(map(len, varied))

    @property
    def find_resources(self) -> Resources:
        """What a chain is given."""
        return self.find.resources or self.resources_per_trial

    @property
    def eval_resources(self) -> Resources:
        """What an evaluation is given."""
        return self.eval.resources or self.resources_per_trial

    @property
    def resources(self) -> dict[str, Resources]:
        """What trials are given, by the key that says so."""
        given = {"find.resources": self.find.resources, "eval.resources": self.eval.resources}
        own = {key: resources for key, resources in given.items() if resources is not None}
        return own if len(own) == 2 else own | {"resources_per_trial": self.resources_per_trial}

    @cached_property
    def find_recipes(self) -> tuple[Recipe, ...]:
        """H_find; in a search with the ends of its ranges in place of what is drawn."""
        return tuple(at_point(self.train, point) for point in points(self.find))

    @cached_property
    def eval_recipes(self) -> tuple[Recipe, ...]:
        """H_eval, likewise."""
        return tuple(at_point(self.train, point) for point in points(self.eval))

    @cached_property
    def lpr_sources(self) -> tuple[Recipe, ...]:
        """The H_find that `find.lpr_from` names."""
        finds = {tuple(dict(recipe).values()): recipe for recipe in self.find_recipes}
        asked = (dict(self.train) | _given(point) for point in self.find.lpr_from)
        return tuple(finds.get(tuple(fields.values())) for fields in asked)

    @cached_property
    def eval_rounds(self) -> tuple[int, ...]:
        """The rounds whose tickets are evaluated, rising; always with round 0, the dense one."""
        rounds = range(self.prune.num_rounds + 1)
        if self.eval.at_sparsity is None:
            return tuple(rounds)
        searched = (self.search and self.search.at) or ()
        nearest = {self.nearest_round(at) for at in (*self.eval.at_sparsity, *searched)}
        return tuple(sorted({0} | nearest))

    @cached_property
    def search_rounds(self) -> tuple[int, ...]:
        """The rounds at whose sparsity a search compares."""
        if self.search.at is None:
            return self.eval_rounds[1:]
        return tuple(sorted({self.nearest_round(at) for at in self.search.at} - {0}))

    @cached_property
    def probe_rounds(self) -> tuple[int, ...]:
        """The rounds whose tickets tell a search whether a chain is worth to go on."""
        probe_at = self.search.stop.probe_at or ()
        return tuple(sorted({self.nearest_round(at) for at in probe_at}))

    @cached_property
    def sparsities(self) -> dict[int, float]:
        """The nominal sparsity of each round."""
        rounds = range(self.prune.num_rounds + 1)
        return {round: self.prune.sparsity(round) for round in rounds}

    def nearest_round(self, sparsity: float) -> int:
        """The round whose nominal sparsity is nearest; the earlier one if two are."""
        return min(self.sparsities, key=lambda round: abs(self.sparsities[round] - sparsity))


def points(stage: Stage) -> Iterator[dict[str, Any]]:
    """Every assignment of a search space, the last dimension fastest."""
    if stage.points:
        yield from map(_given, stage.points)
        return
    varied = dimensions(stage.parameters)
    for values in itertools.product(*varied.values()):
        yield dict(zip(varied, values, strict=True))


def num_points(stage: Stage) -> int:
    """How many points a search space has."""
    return len(stage.points) or math.prod(map(len, dimensions(stage.parameters).values()))


def at_point(train: Recipe, point: dict[str, Any]) -> Recipe:
    """`train` with the fields of a point; ValidationError where they do not go together."""
    return Recipe(**(dict(train) | point))


def _bad_points(train: Recipe, stage: Stage, name: str) -> Iterator[tuple[Loc, str]]:
    """Points whose fields do not go together, such as a milestone after a shorter duration."""
    seen = set()
    for point in points(stage):
        try:
            at_point(train, point)
        except ValidationError as error:
            at = _point_words(point)
            for problem in error.errors()[0]["ctx"]["error"].problems:
                if problem not in seen:
                    seen.add(problem)
                    (field, *_), text = problem
                    key = "points" if stage.points else "parameters"
                    yield (name, key), f"at {at}, `{field}` {text}"


def _words(value: Any) -> str:
    if isinstance(value, PointOfRecipe):
        return _point_words(_given(value))
    return f"[{', '.join(map(str, value))}]" if isinstance(value, tuple) else str(value)


def _point_words(point: dict[str, Any]) -> str:
    """`lr=0.1, batch_size=64`."""
    return ", ".join(f"{name}={_words(value)}" for name, value in point.items())


def load_sweep(path: Path, overrides: Sequence[str] = ()) -> Sweep:
    """Read and check a sweep file.

    Args:
        path: the file.
        overrides: `key.below=value` assignments that replace what the file says.

    Raises:
        SpecError: with one line per problem, all of them.
    """
    source = read_yaml(path)
    for assignment in overrides:
        source.override(assignment)
    try:
        return Sweep.model_validate(source.data)
    except ValidationError as error:
        raise SpecError(_explain_all(source, error)) from None


# What other tools call these keys; difflib alone cannot get from `learning_rate` to `lr`.
_ALIASES = {
    "learning_rate": "lr",
    "wd": "weight_decay",
    "bs": "batch_size",
    "epochs": "duration",
    "max_epochs": "duration",
    "steps": "duration",
    "seed": "seeds",
    "replicates": "seeds",
    "network": "model",
    "arch": "model",
    "data": "dataset",
    "levels": "rounds",
    "iterations": "rounds",
    "pruning_fraction": "fraction",
    "pruning": "prune",
    "sparsity": "final_sparsity",
    "sparsities": "at_sparsity",
    "resources": "resources_per_trial",
    "num_cpus": "cpu",
    "num_gpus": "gpu",
    "max_restarts": "max_failures",
    "retries": "max_failures",
    "params": "parameters",
    "vals": "values",
    "value": "values",
    "grid": "values",
}

_PLAIN = {
    "float_type": "must be a number",
    "int_type": "must be an integer",
    "int_from_float": "must be an integer",
    "string_type": "must be text",
    "tuple_type": "must be a list",
    "too_short": "must not be empty",
    "finite_number": "must be a finite number",
}


def _explain_all(source: YamlSource, error: ValidationError) -> list[str]:
    """One line per mistake, in the order of the file."""
    found: list[tuple[Loc, str]] = []
    errors = [(_in_data(e, source.data), e) for e in error.errors()]
    misspelt_in = {loc[:-1] for loc, e in errors if e["type"] == "extra_forbidden"}
    for loc, e in errors:
        if e["type"] == "missing" and loc[:-1] in misspelt_in:
            continue  # most likely the same mistake
        found.extend(_explain(loc, e))
    order = {place: i for i, place in enumerate(dict.fromkeys(source.origins.values()))}
    found.sort(key=lambda problem: order[source.origin(problem[0])])
    return [f"{source.origin(loc)}: {text}" for loc, text in found]


def _in_data(error: dict, data: Any) -> Loc:
    """Where the error is in the file: pydantic's `loc` without what the data does not have."""
    loc: Loc = ()
    for part in error["loc"]:
        missing = error["type"] == "missing" and part == error["loc"][-1]
        if missing or (isinstance(data, dict) and part in data):
            loc, data = (*loc, part), None if missing else data[part]
        elif isinstance(data, tuple) and isinstance(part, int) and part < len(data):
            loc, data = (*loc, part), data[part]
    return loc


def _explain(loc: Loc, e: dict) -> Iterator[tuple[Loc, str]]:
    key = _key(loc)
    match e["type"]:
        case "extra_forbidden":
            yield loc, f"unknown key {key}; {_known_instead(loc)}"
        case "missing":
            yield loc, f"{key} is required"
        case "model_type":
            known = ", ".join(f"{name}: .." for name in _keys_at(Sweep, loc))
            yield loc, f"{key} must be a mapping {{{known}}}, {_got(e)}"
        case "literal_error":
            options = re.findall(r"'([^']*)'", e["ctx"]["expected"])
            near = difflib.get_close_matches(str(e["input"]), options, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            yield loc, f"{key} must be one of {', '.join(options)}, {_got(e)}{hint}"
        case "value_error":
            cause = e["ctx"]["error"]
            if isinstance(cause, RuleErrors):
                for below, text in cause.problems:
                    yield (*loc, *below), f"{_key((*loc, *below))}: {text}"
            else:
                yield loc, f"{key}: {cause}"
        case "string_pattern_mismatch":
            yield (
                loc,
                (
                    f"{key} must be letters, digits, `_`, `.` and `-`, at most 100, "
                    f"and start with a letter or digit, {_got(e)}"
                ),
            )
        case "too_long":
            yield loc, f"{key} must be at most {e['ctx']['max_length']} long, {_got(e)}"
        case other:
            rule = _PLAIN.get(other, e["msg"].replace("Input should", "must"))
            yield loc, f"{key} {rule}, {_got(e)}"


def _key(loc: Loc) -> str:
    return f"`{'.'.join(map(str, loc))}`"


def _got(error: dict) -> str:
    text = json.dumps(error["input"], ensure_ascii=False)
    return "got " + (text if len(text) <= 60 else text[:57] + "...")


def _known_instead(loc: Loc) -> str:
    known = _keys_at(Sweep, loc[:-1])
    alias = _ALIASES.get(str(loc[-1]))
    if alias in known:
        return f"did you mean `{alias}`?"
    near = difflib.get_close_matches(str(loc[-1]), known, n=1)
    return f"did you mean `{near[0]}`?" if near else "known here: " + ", ".join(known)


def _keys_at(model: type[BaseModel], loc: Loc) -> list[str]:
    models = [model]
    for part in loc:
        fields = [m.model_fields[part] for m in models if part in m.model_fields]
        models = [
            leaf
            for field in fields
            for leaf in _leaves(field.annotation)
            if isinstance(leaf, type) and issubclass(leaf, BaseModel)
        ]
    return [name for m in models for name in m.model_fields]


def _leaves(annotation: Any) -> list[Any]:
    args = get_args(annotation)
    return [leaf for arg in args for leaf in _leaves(arg)] if args else [annotation]
