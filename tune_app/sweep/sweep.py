"""A sweep file, as a type."""

from collections.abc import Iterator
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from lt_core.config import Config, Recipe, Rewinding, RuleErrors
from lt_core.names import DataSetName, MaskName, ModelName, is_of_a_package
from lt_core.pretrained import Network
from tune_app.sweep.conflicts import conflicts
from tune_app.sweep.durations import Interval
from tune_app.sweep.fingerprints import Fingerprints
from tune_app.sweep.initial_weights import InitialWeights
from tune_app.sweep.kinds import Baseline, Kind, is_file
from tune_app.sweep.prune import Fraction, Prune, Sparsities
from tune_app.sweep.resources import Resources
from tune_app.sweep.search import MAX_TRAININGS, Search
from tune_app.sweep.seeds import SeedRace, Seeds
from tune_app.sweep.spaces import (
    MAX_POINTS,
    Distinct,
    NonEmpty,
    PointOfRecipe,
    Stage,
    at_point,
    bad_stage,
    dimensions,
    fields_of,
    num_points,
    points,
    stage_train,
)


class Find(Stage):
    """H_find: one chain of rounds for each point and seed."""

    lpr_from: Distinct[PointOfRecipe] = ()
    """LPR-constrained pruning: for each of these points of H_find, chains of all other points that
    prune each layer as far as its chain did, and choose by magnitude within the layer only."""


class Eval(Stage):
    """H_eval: every ticket is trained at every point."""

    at_sparsity: Sparsities | None = None
    """Sparsities of the tickets to evaluate, by the nearest rounds; all rounds if not given."""

    at_macs: Distinct[Fraction] = ()
    """Fractions of the multiply-adds at which the report compares too, between evaluated rounds."""

    rewind_from: Literal["find", "eval"] = "find"
    """The H of the dense network whose weights at `rewind.to` a ticket starts from. Initialization
    is the same for both."""


def _not_taken(value: str) -> str:
    if value.startswith("mlflow.db"):
        raise ValueError(
            f"must not start with mlflow.db, which is MLflow's and lies beside it, got {value!r}"
        )
    return value


class Sweep(Config):
    """One sweep file."""

    model_config = ConfigDict(serialize_by_alias=True)

    name: Annotated[str, AfterValidator(_not_taken)] = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$"
    )
    """Name of the run directory and of the MLflow experiment."""

    description: str = ""
    """The question, in one line; reports and MLflow show it."""

    model: ModelName
    """The network: one of ours, of torchvision or timm by name, or your own by import path."""

    dataset: DataSetName
    """The data set: one of ours, or your own by import path."""

    initial_weights: InitialWeights | None = None
    """What every network starts from, and a ticket is rewound to, in place of an initialization."""

    data_dir: str = "data"
    """Folder of the data sets, those on disk and those downloaded; relative to the folder that a
    run is started in."""

    fingerprints: Fingerprints | None = None
    """What your own code and files were in an earlier run, as its sweep.yaml has them; worked out
    if not given."""

    given_seeds: Seeds = Field(alias="seeds")
    """Replicates: each seeds initialization, data order and random masks."""

    train: Recipe
    """H; `find` and `eval` replace fields of it, for all of their points or point by point."""

    prune: Prune
    """How far, how fast and by what the dense network is pruned."""

    find: Find = Find()
    """H_find: the hyperparameters that find masks, a chain of rounds for each point and seed."""

    eval: Eval = Eval()
    """H_eval: the hyperparameters that train each mask, at every point."""

    search: Search | None = None
    """Objective and budget of a search; needed where `find` or `eval` have a method other than
    grid."""

    rewind: Rewinding = Rewinding()
    """Rewinding of chains and of evaluations; `find.rewind` and `eval.rewind` stand in place of
    it."""

    baselines: Distinct[Baseline] = ()
    """Controls: random masks of the same sparsity (`global_random`; with `filter_l1` random
    filters, the same share of each layer), at the layerwise ratios of `erk`, or of the ticket
    (`preserve_lpr`; with as many weights on a live path as the ticket, `preserve_lpr_live`), and
    tickets initialized anew and trained in full (`reinit`; with their signs, `signs`), or the
    worst network between two trainings of a ticket (`interpolated`). Or masks of the network as
    initialized, which no training finds (`snip`, `grasp`, `synflow`)."""

    masks: NonEmpty[MaskName] | None = None
    """Masks that are found elsewhere, evaluated beside tickets: each a safetensors file, with
    `{seed}` in its name if seeds have their own, or the import path of a function, which is given
    an `lt_core.given_masks.ToFind`."""

    select_on: Literal["validation", "test"] = "validation"
    """The accuracy that picks the best configurations; the paper's protocol is `test`."""

    resources_per_trial: Resources = Resources()
    """Cores and GPUs of a trial, of either stage."""

    max_concurrent: int | None = Field(default=None, ge=1)
    """Chains and evaluations that run at a time, on a cluster that others use too; as many as find
    room if not given."""

    checkpoint_every: Interval = "10min"
    """Interval at which the state of a running training is kept, in minutes or epochs."""

    max_failures: int = Field(default=2, ge=0)
    """Retries of a trial whose worker died."""

    @model_validator(mode="after")
    def _is_feasible(self) -> Self:
        finds, evals = num_points(self.find), num_points(self.eval)
        problems = [
            ((stage, "parameters"), f"must be at most {MAX_POINTS:,} points, got {points:,}")
            for stage, points in (("find", finds), ("eval", evals))
            if points > MAX_POINTS
        ]
        if problems:
            raise RuleErrors(problems)
        chains = finds * (1 + len(self.find.lpr_from)) * (self.eval_rounds[-1] + 1)
        kinds = 1 + len(self.controls) + len(self.find.lpr_from)
        asked = (chains + finds * evals * len(self.eval_rounds) * kinds) * len(self.seeds)
        # Milestones and layers are part of every training's description, and of what its id hashes.
        listed = self._most_milestones + len(self.prune.skip) + len(self.prune.layer_fractions)
        most = MAX_TRAININGS // max(1, listed // 10)
        if asked > most:
            text = f"with `find` and `eval` asks for {asked:,} trainings; at most {most:,}"
            if most < MAX_TRAININGS:
                text += f" with {listed:,} milestones and layers"
            raise RuleErrors([(("seeds",), text)])
        return self

    @model_validator(mode="after")
    def _every_point_is_a_recipe(self) -> Self:
        problems = [
            *bad_stage(self.train, self.find, "find"),
            *bad_stage(self.train, self.eval, "eval"),
        ]
        if problems:
            raise RuleErrors(problems)
        return self

    @property
    def controls(self) -> tuple[Kind, ...]:
        """The kinds of masks beside tickets: baselines, and those that are given."""
        return (*self.baselines, *(self.masks or ()))

    @property
    def has_own_data(self) -> bool:
        """Whether the name of the data set does not tell its content."""
        return self.dataset == "image_folder" or ":" in self.dataset

    @property
    def has_own_network(self) -> bool:
        """Likewise of the network."""
        return ":" in self.model

    @property
    def network(self) -> Network:
        """What is built for each training."""
        given = self.initial_weights
        return given.of(self.model, self.fingerprints) if given else self.model

    @property
    def own_modules(self) -> dict[str, str]:
        """The import paths of the user's own that trials need, by the key that has each."""
        named = {"model": self.model, "prune.strategy": self.prune.strategy}
        named |= {f"masks.{i}": mask for i, mask in enumerate(self.masks or ())}
        return {
            key: path
            for key, path in named.items()
            if ":" in path and not is_of_a_package(path) and not is_file(path)
        }

    @property
    def has_own_score(self) -> bool:
        """Whether weights are pruned by a score of the user's."""
        return ":" in self.prune.strategy

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        problems = [*conflicts(self)]
        if problems:
            raise RuleErrors(problems)
        return self

    @property
    def seeds(self) -> tuple[int, ...]:
        """All replicates, or all that a race may come to."""
        given = self.given_seeds
        return given.seeds if isinstance(given, SeedRace) else given

    @property
    def race(self) -> SeedRace | None:
        """When to train no more seeds; None for a list, all of which are trained."""
        return self.given_seeds if isinstance(self.given_seeds, SeedRace) else None

    @property
    def _most_milestones(self) -> int:
        varied = [self.train.milestones]
        for stage in (self.find, self.eval):
            varied += dimensions(stage.parameters).get("milestones", ())
            given = map(fields_of, (*stage.points, *([stage.train] if stage.train else [])))
            varied += [fields["milestones"] for fields in given if "milestones" in fields]
        return max(map(len, varied))

    @property
    def find_resources(self) -> Resources:
        """Resources of a chain."""
        return self.find.resources or self.resources_per_trial

    @property
    def eval_resources(self) -> Resources:
        """Resources of an evaluation."""
        return self.eval.resources or self.resources_per_trial

    @property
    def resources(self) -> dict[str, Resources]:
        """Resources of trials, by the key of the sweep file that gives them."""
        given = {"find.resources": self.find.resources, "eval.resources": self.eval.resources}
        own = {key: resources for key, resources in given.items() if resources is not None}
        return own if len(own) == 2 else own | {"resources_per_trial": self.resources_per_trial}

    @property
    def find_rewind(self) -> Rewinding:
        """Rewinding between the rounds of a chain."""
        return self.find.rewind or self.rewind

    @property
    def eval_rewind(self) -> Rewinding:
        """Rewinding of a ticket before its evaluation."""
        return self.eval.rewind or self.rewind

    @property
    def rewinds_alike(self) -> bool:
        """Whether a chain's own rounds are evaluations of its tickets."""
        return self.find_rewind.is_as(self.eval_rewind)

    def rewind_of(self, kind: Kind) -> Rewinding:
        """Rewinding before a training of a kind."""
        return self.find_rewind if kind == "chain" else self.eval_rewind

    @cached_property
    def find_train(self) -> Recipe:
        """The recipe that the points of `find` replace fields of."""
        return stage_train(self.train, self.find)

    @cached_property
    def eval_train(self) -> Recipe:
        """Likewise of `eval`."""
        return stage_train(self.train, self.eval)

    @cached_property
    def find_recipes(self) -> tuple[Recipe, ...]:
        """H_find of every point; in a search the ends of each range stand for what is drawn."""
        return tuple(at_point(self.find_train, point) for point in points(self.find))

    @cached_property
    def eval_recipes(self) -> tuple[Recipe, ...]:
        """H_eval of every point, likewise."""
        return tuple(at_point(self.eval_train, point) for point in points(self.eval))

    @cached_property
    def lpr_sources(self) -> tuple[Recipe, ...]:
        """The H_find that `find.lpr_from` names."""
        return tuple(recipe for recipe in self.named_by_lpr_from() if recipe is not None)

    def named_by_lpr_from(self) -> Iterator[Recipe | None]:
        """H_find of each of `find.lpr_from`; None for one that is no point of `find`."""
        finds = {tuple(dict(recipe).values()): recipe for recipe in self.find_recipes}
        for point in self.find.lpr_from:
            fields = dict(self.find_train) | fields_of(point)
            yield finds.get(tuple(fields.values()))

    @cached_property
    def eval_rounds(self) -> tuple[int, ...]:
        """The rounds whose tickets are evaluated, rising; always with round 0, the dense one."""
        rounds = range(self.prune.num_rounds + 1)
        if self.eval.at_sparsity is None:
            return tuple(rounds)
        searched = (self.search and self.search.at) or ()
        nearest = {self.nearest_round(at) for at in (*self.eval.at_sparsity, *searched)}
        return tuple(sorted({0} | nearest))

    @property
    def search_block(self) -> Search:
        """`search`, where the sweep is one."""
        assert self.search is not None  # only what runs or reports a search asks
        return self.search

    @cached_property
    def search_rounds(self) -> tuple[int, ...]:
        """The rounds that a search compares configurations at, rising."""
        searched = self.search_block.at
        if searched is None:
            return self.eval_rounds[1:]
        return tuple(sorted({self.nearest_round(at) for at in searched} - {0}))

    @cached_property
    def probe_rounds(self) -> tuple[int, ...]:
        """The rounds that chains are compared at to stop them early, rising."""
        probe_at = self.search_block.stop.probe_at or ()
        return tuple(sorted({self.nearest_round(at) for at in probe_at}))

    @cached_property
    def sparsities(self) -> dict[int, float]:
        """The nominal sparsity of each round."""
        rounds = range(self.prune.num_rounds + 1)
        return {round: self.prune.sparsity(round) for round in rounds}

    def nearest_round(self, sparsity: float) -> int:
        """The round whose nominal sparsity is nearest; the earlier one if two are."""
        return min(self.sparsities, key=lambda round: abs(self.sparsities[round] - sparsity))
