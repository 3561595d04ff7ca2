"""H, pruning and rewinding, as validated frozen types."""

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from lt_core.names import BY_MAGNITUDE, Strategy, pattern_name
from lt_core.steps import Steps, StepsField

Problem = tuple[tuple[str | int, ...], str]
"""The key to point at, and what is wrong with its value."""


class RuleErrors(ValueError):
    """Keys that do not go together: for each problem the key to point at, and what is wrong."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(f"{'.'.join(map(str, at))} {text}" for at, text in problems))
        self.problems = tuple(problems)


class Config(BaseModel):
    """Closed, strict and frozen: an unknown key or a value of another type is an error."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        allow_inf_nan=False,
    )


Optimizer = Literal["sgd", "nesterov", "adamw"]
Decay = Literal["milestones", "cosine", "linear"]
Precision = Literal["fp32", "tf32", "bf16", "auto"]

_ADDED = ("optimizer", "clip_norm", "label_smoothing", "ema", "micro_batch", "order_seed")
"""Fields of a recipe that are written only where they are not at their default: lines of results
and sweep files from before they existed stay as they are."""


class Recipe(Config):
    """H: the hyperparameters of one training on cross-entropy."""

    lr: float = Field(gt=0)
    """Learning rate after warmup and before the first milestone."""

    batch_size: int = Field(ge=1)
    """Images per optimizer step; the last, smaller batch of an epoch is left out."""

    micro_batch: int | None = Field(default=None, ge=1)
    """Most images of one pass through the network: a batch that does not fit into memory is passed
    in parts, whose gradients are added up. Batch norm normalizes each part by itself. Smaller
    batches, and all with null, are passed whole."""

    optimizer: Optimizer = "sgd"
    """`sgd` is SGD with momentum. `nesterov` is the same with the gradient where the momentum leads
    to (Sutskever et al. 2013, section 2, as torch computes it). `adamw` is Adam with decoupled
    weight decay (Loshchilov & Hutter 2019, arXiv:1711.05101, algorithm 2; betas 0.9 and 0.999,
    eps 1e-8)."""

    weight_decay: float = Field(default=0.0, ge=0)
    """Multiple of each weight that is added to its gradient; for `adamw` the share of each weight,
    times the learning rate, that a step takes off. Biases and batch norm included."""

    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Share of the momentum that a step keeps; of `sgd` and `nesterov` only."""

    clip_norm: float | None = Field(default=None, gt=0)
    """Largest norm of all gradients together, without weight decay and pruned weights; longer ones
    are scaled down to it (Pascanu et al. 2013, arXiv:1211.5063, algorithm 1). null: any norm."""

    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of each label that is spread evenly over all classes (Szegedy et al. 2016,
    arXiv:1512.00567, section 7); in the training loss only."""

    ema: float | None = Field(default=None, gt=0, lt=1)
    """Share of the old value that a step keeps in the exponential moving average of the weights,
    which then is the trained network (after Polyak & Juditsky 1992): what is validated, tested and
    pruned. Batch norm statistics are the latest. null: the weights themselves."""

    duration: StepsField
    """Length of a training: `160ep` or `5000it`."""

    stop: StepsField | None = None
    """End of a training before the end of its schedule (early pruning); null: `duration`."""

    warmup: StepsField = Steps(0, "ep")
    """Time of the linear rise of the learning rate at the start; its first step is not 0."""

    decay: Decay = "milestones"
    """How the learning rate falls after warmup: in steps, along half a cosine to 0, or along a line
    to 0; with a warmup, the line is one cycle (Smith & Topin 2019, arXiv:1708.07120)."""

    milestones: tuple[StepsField, ...] = ()
    """The learning rate is multiplied by `gamma` at each."""

    gamma: float = Field(default=0.1, gt=0, le=1)
    """Factor of the learning rate at each milestone."""

    order_seed: int | None = None
    """Seed of all that is drawn while training: data order, augmentation, dropout. null: the
    replicate's seed, which always gives the initialization."""

    precision: Precision = "fp32"
    """Precision of forward and backward passes. `tf32` is fp32 with products of 10 bits on GPUs
    from Ampere on, and plain fp32 on others and on CPUs. `auto` is bf16 where the processor is
    built for it. With both, results of different machines differ by more than rounding; each result
    records what it was trained in. Accuracies are measured in fp32."""

    if TYPE_CHECKING:  # the fields' types do not say that durations are read from text

        def __init__(
            self,
            *,
            lr: float,
            batch_size: int,
            micro_batch: int | None = ...,
            optimizer: Optimizer = ...,
            weight_decay: float = ...,
            momentum: float = ...,
            clip_norm: float | None = ...,
            label_smoothing: float = ...,
            ema: float | None = ...,
            duration: Steps | str,
            stop: Steps | str | None = ...,
            warmup: Steps | str = ...,
            decay: Decay = ...,
            milestones: tuple[Steps | str, ...] = ...,
            gamma: float = ...,
            order_seed: int | None = ...,
            precision: Precision = ...,
        ) -> None: ...

    @property
    def trains_for(self) -> Steps:
        """Length of a training: `stop`, or `duration` without it."""
        return self.duration if self.stop is None else self.stop

    @model_serializer(mode="wrap")
    def _written(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = write(self)
        for name in _ADDED:
            if getattr(self, name) == _default(name):
                fields.pop(name, None)
        return fields

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.duration.count == 0:
            raise RuleErrors([(("duration",), f"must not be 0, got {self.duration}")])
        problems: list[Problem] = []
        if self.stop is not None and (self.stop.count == 0 or _later(self.stop, self.duration)):
            text = f"must be more than 0 and at most `duration` ({self.duration}), got {self.stop}"
            problems.append((("stop",), text))
        if self.decay != "milestones" and self.milestones:
            text = f"go with `decay: milestones`, not with {self.decay}"
            problems.append((("milestones",), text))
        if self.optimizer == "nesterov" and self.momentum == 0:
            text = f"must be more than 0 with `optimizer: nesterov`, got {self.momentum:g}"
            problems.append((("momentum",), text))
        if self.optimizer == "adamw" and self.momentum != _default("momentum"):
            text = f"goes with `optimizer: sgd` or nesterov, not with adamw, got {self.momentum:g}"
            problems.append((("momentum",), text))
        if _later(self.warmup, self.duration):
            text = f"must end by `duration` ({self.duration}), got {self.warmup}"
            problems.append((("warmup",), text))
        for i, milestone in enumerate(self.milestones):
            if milestone == self.duration or _later(milestone, self.duration):
                text = f"must lie before the end of `duration` ({self.duration}), got {milestone}"
                problems.append((("milestones", i), text))
        for i, (before, after) in enumerate(itertools.pairwise(self.milestones)):
            if before == after or _later(before, after):
                problems.append((("milestones", i + 1), f"must rise, got {after} after {before}"))
        if problems:
            raise RuleErrors(problems)
        return self


def _default(field: str) -> Any:
    return Recipe.model_fields[field].default


def _later(a: Steps, b: Steps) -> bool:
    """Whether a > b; where the units differ only the data set's size could tell."""
    return a.unit == b.unit and a.count > b.count


class Pruning(Config):
    """What is removed after each round."""

    strategy: Strategy = "global_magnitude"
    """`global_magnitude`: the smallest weights of all layers together; `layerwise_magnitude`: the
    smallest weights of each layer; `filter_l1`: whole filters, those of smallest L1 norm in each
    layer. Or the weights of the lowest score: `random`, `magnitude`, `magnitude_increase`,
    `taylor`, or the import path of a function, which is given an `lt_core.scores.ToScore`."""

    scope: Literal["global", "layerwise", "erk"] = "global"
    """For scores: whether the lowest of all layers together go, or of each layer the same share, or
    as many as leave the layers at the ratios of Erdős and Rényi."""

    fraction: float = Field(default=0.2, gt=0, lt=1)
    """Share of the weights still alive that each round removes; of the filters for `filter_l1`."""

    layer_fractions: Mapping[str, Annotated[float, Field(ge=0, lt=1)]] = {}
    """For `layerwise_magnitude`, `filter_l1` and `scope: layerwise`: layers that lose another share
    than `fraction`; of `filter_l1` whatever the round."""

    skip: tuple[str, ...] = ()
    """Layers that are never pruned. They are no part of the mask: sparsity counts only the other
    layers."""

    pattern: Annotated[str, AfterValidator(pattern_name)] | None = None
    """N:M, such as `2:4`: the dense network is pruned at once, to at most N of each M weights in a
    row along the inputs of a layer, those of largest magnitude or highest score."""

    shrink: bool = True
    """For `filter_l1`: train the network without the removed filters, or, slower and with the same
    result up to rounding, the whole network under a mask."""

    @model_serializer(mode="wrap")
    def _written(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = write(self)
        if self.pattern is None:  # as in lines and files from before there was one
            fields.pop("pattern", None)
        return fields

    @property
    def is_scored(self) -> bool:
        """Whether a score says what goes, other than a magnitude."""
        return self.strategy not in BY_MAGNITUDE

    @property
    def is_layerwise(self) -> bool:
        """Whether each layer loses a given share of its weights."""
        return self.strategy == "layerwise_magnitude" or self.scope == "layerwise"

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        problems: list[Problem] = []
        if self.layer_fractions and not (self.is_layerwise or self.strategy == "filter_l1"):
            text = (
                "goes with `strategy: layerwise_magnitude` or filter_l1, or a score and "
                "`scope: layerwise`"
            )
            problems.append((("layer_fractions",), f"{text}, not with {self.strategy}"))
        is_global = self.scope == "global" and not self.is_layerwise
        if self.pattern is not None and not (is_global and self.strategy != "filter_l1"):
            text = "goes with `strategy: global_magnitude` or a score, of global scope"
            problems.append((("pattern",), f"{text}: each layer loses the same share anyway"))
        if self.scope != "global" and not self.is_scored:
            text = f"goes with a score such as taylor, not with `strategy: {self.strategy}`"
            problems.append((("scope",), text))
        if self.strategy == "magnitude" and self.scope != "erk":
            text = f"magnitude goes with `scope: erk`; alike, and faster, is {self.scope}_magnitude"
            problems.append((("strategy",), text))
        if not self.shrink and self.strategy != "filter_l1":
            text = f"goes with `strategy: filter_l1`, not with {self.strategy}"
            problems.append((("shrink",), text))
        for layer in self.layer_fractions:
            if layer in self.skip:
                text = "is in `skip`, so it loses nothing"
                problems.append((("layer_fractions", layer), text))
        if problems:
            raise RuleErrors(problems)
        return self


class Rewinding(Config):
    """Rewinding after a pruning: Renda et al. 2020 (arXiv:2003.02389), section 2.

    Each method trains the pruned network from step `to` of the schedule to its end.
    """

    method: Literal["weights", "learning_rate", "fine_tuning"] = "weights"
    """`weights`: weights and learning rate go back to `to`. `learning_rate`: the learning rate goes
    back, the weights stay as trained. `fine_tuning`: neither, the trained weights are trained on at
    the last learning rate of the schedule."""

    to: StepsField = Steps(0, "ep")
    """Target step: 0ep is initialization, `2ep` is late rewinding to the end of epoch 2."""

    def is_as(self, other: "Rewinding") -> bool:
        """Whether they are the same, in whatever unit 0 is given."""
        return self.method == other.method and (
            self.to == other.to or self.to.count == other.to.count == 0
        )

    if TYPE_CHECKING:  # as in Recipe

        def __init__(
            self,
            *,
            method: Literal["weights", "learning_rate", "fine_tuning"] = ...,
            to: Steps | str = ...,
        ) -> None: ...
