"""recipe.json: what was trained, how, and how well it does."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tune_app.export.choice import Choice
from tune_app.plan.trainings import Training
from tune_app.results.reading import RunError
from tune_app.results.result import described
from tune_app.results.run_directory import provenance

if TYPE_CHECKING:
    from lt_core.data import DataSet
    from tune_app.export.retraining import Trained  # loads torch


def recipe_of(choice: Choice, trained: "Trained", command: str) -> dict[str, Any]:
    """The content of recipe.json, but for what is measured; `not_traced` is None until torch.export
    has failed, and `not_onnx` likewise."""
    sweep, images, evaluation = choice.sweep, trained.images, trained.evaluation
    accuracies = ("val_accuracy", "test_accuracy")
    return {
        **described(choice.training),
        "ticket": choice.training.ticket,
        "model": sweep.model,
        "dataset": sweep.dataset,
        "prune": sweep.prune.model_dump(mode="json"),
        "rewind": choice.training.rewind.model_dump(mode="json") | {"from": sweep.eval.rewind_from},
        "sparsity": evaluation.sparsity,
        "lpr": evaluation.lpr,
        **{name: getattr(evaluation, name) for name in accuracies},
        "recorded": {name: getattr(choice.result, name) for name in accuracies},
        "precision": evaluation.precision,
        "seconds": evaluation.seconds,
        "input": _input(images),
        "sizes": vars(images.shape),
        "classes": images.classes,
        "not_traced": None,
        "not_onnx": None,
        **provenance(command),
    }


def _input(images: "DataSet") -> dict[str, Any]:
    """What the network takes: images normalized by mean and std, all else as it was trained on."""
    of_one = {"shape": list(images.train.images.shape[1:])}
    if images.is_normalized:
        mean, std = (value.flatten().tolist() for value in images.mean_and_std)
        return of_one | {"mean": mean, "std": std}
    if images.vocabulary is not None:
        return of_one | {"dtype": "int64", "vocabulary": images.vocabulary}
    return of_one | {"dtype": "float32"}


def read_recipe(out: Path, training: Training) -> dict[str, Any]:
    """The recipe of an earlier export of this training.

    Raises:
        RunError: `out` is another directory, or the export of another training.
    """
    try:
        recipe: dict[str, Any] = json.loads((out / "recipe.json").read_bytes())
        exported = recipe["id"]
    except (OSError, ValueError, KeyError, TypeError):
        raise RunError(f"{out}: is there already, and no export") from None
    if exported != training.id:
        raise RunError(f"{out}: holds another training, {exported}; give another --out")
    return recipe


def compared(recipe: Mapping[str, Any]) -> str:
    """The accuracies in words, and whether they are those that the sweep recorded."""
    now, recorded = (
        f"validation {100 * its['val_accuracy']:.2f}%, test {100 * its['test_accuracy']:.2f}%"
        for its in (recipe, recipe["recorded"])
    )
    if all(recipe[name] == value for name, value in recipe["recorded"].items()):
        return f"{now}: as the sweep recorded it"
    return (
        f"{now}; NOT as the sweep recorded it: {recorded}. Other hardware, versions or precision "
        f"round differently (here {recipe['precision']}, {recipe['hardware']}; run.json has the "
        "sweep's)"
    )
