"""Names of networks, data sets, strategies and masks: ours, or import paths of the user's own."""

import difflib
from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

MODELS = (
    "small_resnet",
    "resnet20",
    "resnet32",
    "resnet56",
    "resnet18",
    "resnet34",
    "resnet50",
    "vgg16",
    "lenet_300_100",
)
PACKAGES = ("timm", "torchvision")
"""Whose networks go by name too: `timm:resnet18`."""

DATA_SETS = (
    "digits",
    "mnist_5000",
    "mnist",
    "fashion_mnist",
    "cifar10",
    "cifar100",
    "tiny_imagenet",
    "miniplaces",
    "image_folder",
    "synthetic",
)

NUM_TRAINING_IMAGES = {
    "digits": 1_000,
    "mnist_5000": 3_500,
    "mnist": 54_000,
    "fashion_mnist": 54_000,
    "cifar10": 45_000,
    "cifar100": 45_000,
    "tiny_imagenet": 90_000,
    "miniplaces": 90_000,
    "synthetic": 400,
}
"""Of all data sets with a published content: known without their files."""


def model_name(value: str) -> str:
    """`value`, if it is one of `MODELS` or an import path; ValueError if not."""
    return _known_or_import_path(value, MODELS, "my_package.nets:make_net")


def is_of_a_package(path: str) -> bool:
    """Whether a name with a colon is of one of `PACKAGES`, and no import path."""
    return path.partition(":")[0] in PACKAGES


def data_set_name(value: str) -> str:
    """`value`, if it is one of `DATA_SETS` or an import path; ValueError if not."""
    return _known_or_import_path(value, DATA_SETS, "my_package.data:load")


def _known_or_import_path(value: str, known: Sequence[str], example: str) -> str:
    if value in known:
        return value
    module, colon, name = value.partition(":")
    if not colon:
        near = difflib.get_close_matches(value, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(
            f"must be one of {', '.join(known)}, or an import path such as {example}, "
            f"got {value!r}{hint}"
        )
    if not all(part.isidentifier() for part in (*module.split("."), *name.split("."))):
        raise ValueError(
            f"must be module:function if it has a colon, such as {example}, got {value!r}"
        )
    return value


BY_MAGNITUDE = ("global_magnitude", "layerwise_magnitude", "filter_l1")
SCORES = ("random", "magnitude", "magnitude_increase", "taylor")


def strategy_name(value: str) -> str:
    """`value`, if it is a strategy of pruning or an import path; ValueError if not."""
    return _known_or_import_path(value, (*BY_MAGNITUDE, *SCORES), "my_package.scores:score")


def mask_name(value: str) -> str:
    """`value`, if it is a safetensors file by its name or an import path; ValueError if not."""
    if value.endswith(".safetensors"):
        return value
    if ":" not in value:
        raise ValueError(
            "must be an import path such as my_package.search:find, or a file whose name ends with "
            f".safetensors, got {value!r}"
        )
    return _known_or_import_path(value, (), "my_package.search:find")


def _one_of(known: Sequence[str]) -> WithJsonSchema:
    """One of ours, which an editor then offers, or an import path."""
    return WithJsonSchema({"anyOf": [{"enum": [*known]}, {"type": "string", "pattern": ":"}]})


Strategy = Annotated[str, AfterValidator(strategy_name), _one_of((*BY_MAGNITUDE, *SCORES))]
"""One of `BY_MAGNITUDE`, one of `SCORES`, or the import path of the user's own score."""


def kept_of(pattern: str) -> tuple[int, int]:
    """How many weights a pattern keeps, and of how many; ValueError for text that is none."""
    keep, _, of = pattern.partition(":")
    if not (keep.isdecimal() and of.isdecimal() and 0 < int(keep) < int(of)):
        raise ValueError(
            "must be how many weights stay of how many, which are more, such as 2:4, got "
            f"{pattern!r}"
        )
    return int(keep), int(of)


def pattern_name(value: str) -> str:
    """`value`, if it is an N:M pattern; ValueError if not."""
    return "{}:{}".format(*kept_of(value))


ModelName = Annotated[str, AfterValidator(model_name), _one_of(MODELS)]
"""One of `MODELS`, the import path of the user's own, or a name of `torchvision:` or `timm:`."""

DataSetName = Annotated[str, AfterValidator(data_set_name), _one_of(DATA_SETS)]
"""One of `DATA_SETS`, or the import path of the user's own."""

MaskName = Annotated[str, AfterValidator(mask_name)]
"""Where a given mask comes from: a file, or the import path of the user's own search."""
