"""The directory of an export: weights, mask, recipe and models."""

import json
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors.torch

from lt_core import rewind
from tune_app.export.choice import Choice
from tune_app.export.measured import latency_of, sizes
from tune_app.export.models import NotTraced, write_models
from tune_app.export.onnx_file import write_onnx
from tune_app.export.readme import readme
from tune_app.export.recipe import recipe_of
from tune_app.export.retraining import Trained
from tune_app.export.sparse import plain, write_sparse


def write_files(out: Path, choice: Choice, trained: Trained, command: str) -> dict[str, Any]:
    """Make the directory `out`, whole or not at all.

    Returns:
        The content of recipe.json. Its `not_traced` says why there are no models, if so.
    """
    recipe = recipe_of(choice, trained, command)
    with _beside(out) as folder:
        alive = {name: layer.contiguous() for name, layer in trained.mask.items()}
        weights = plain(rewind.state(trained.evaluation.model), alive)
        for name, tensors in (("weights", weights), ("mask", alive)):
            (folder / f"{name}.safetensors").write_bytes(safetensors.torch.save(tensors))
        write_sparse(folder / "sparse.safetensors", weights, alive)
        try:
            models = write_models(folder, choice, trained)
        except NotTraced as reason:
            recipe["not_traced"] = f"{choice.sweep.model}: {reason}"
        else:
            recipe["not_onnx"] = write_onnx(folder / "model.onnx", models) or None
            recipe["latency"] = latency_of(folder, choice, trained, models)
        recipe["bytes"] = sizes(folder)
        (folder / "README.md").write_text(readme(choice, recipe))
        (folder / "recipe.json").write_text(json.dumps(recipe, indent=2) + "\n")
    return recipe


@contextmanager
def _beside(out: Path) -> Iterator[Path]:
    """A new directory: it becomes `out` at the end, or is removed after an error."""
    # Of a name that no export that was killed has left, whatever its process' number.
    folder = out.parent / f".{out.name}-{uuid.uuid4().hex[:8]}"
    folder.mkdir()
    try:
        yield folder
        folder.rename(out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
