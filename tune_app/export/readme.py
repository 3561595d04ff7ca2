"""README.md of an export: what its files are, how large and how fast, and how they are loaded."""

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from tune_app.export.choice import Choice
from tune_app.export.measured import IN_TORCH, NOT_PRUNED
from tune_app.export.sparse import load_sparse

_WHAT = {
    "weights.safetensors": "parameters and buffers by name; pruned weights are 0",
    "sparse.safetensors": "the same as bitmasks and values",
    "mask.safetensors": "a bool for each prunable weight, true where it is alive",
    "model.pt2": "the network as a torch.export program",
    "model": "the same as an MLflow model",
    "model.onnx": "the same for ONNX runtimes",
}

_LOAD = {
    "weights.safetensors": 'network.load_state_dict(load_file("weights.safetensors"))',
    "sparse.safetensors": 'network.load_state_dict(load_sparse("sparse.safetensors"))',
    "mask.safetensors": 'mask = load_file("mask.safetensors")',
    "model.pt2": 'network = torch.export.load("model.pt2").module()',
    "model": 'network = mlflow.pytorch.load_model("model")',
    "model.onnx": 'network = onnxruntime.InferenceSession("model.onnx")',
}


def readme(choice: Choice, recipe: Mapping[str, Any]) -> str:
    """The text.

    Args:
        choice: what is exported.
        recipe: with what was measured.
    """
    files = recipe["bytes"]
    lines = [
        f"# {recipe['model']} on {recipe['dataset']}\n",
        f"{choice.described()}. recipe.json has the rest.\n",
        "| file | bytes | |",
        "| --- | ---: | --- |",
        *(
            f"| `{name}` | {files[name]:,} | {what} |"
            for name, what in _WHAT.items()
            if name in files
        ),
        *_latency(recipe.get("latency")),
        f"\n{_inputs(recipe)}\n",
        "```python",
        *_imports(files),
        *_built(recipe, "sparse.safetensors" in files),
        *(line for name, line in _LOAD.items() if name in files),
        "```",
    ]
    if "sparse.safetensors" in files:
        lines += [
            "\nwith\n",
            "```python",
            "import json",
            "import math\n",
            "import numpy as np",
            "import safetensors",
            "import torch\n\n",
            _plain(load_sparse),
            "```",
        ]
    if choice.sweep.prune.pattern == "2:4":
        lines.append(
            "\nOn a GPU from Ampere on, `torch.sparse.to_sparse_semi_structured(layer.weight)` of "
            "a linear layer in fp16 or bf16 multiplies by 2:4; that is not measured here."
        )
    return "\n".join(lines) + "\n"


def _inputs(recipe: Mapping[str, Any]) -> str:
    if "mean" in recipe["input"]:
        normalized = "(pixels from 0 to 255 - mean) / std, both in recipe.json under `input`"
        return f"Images are normalized: {normalized}."
    return "Inputs are what the data set has: recipe.json under `input`."


def _imports(files: Collection[str]) -> Iterator[str]:
    yield "from safetensors.torch import load_file"
    if "sparse.safetensors" in files:
        yield "import lt_core.models  # or the class of a network of your own"
    if "model.pt2" in files:
        yield "import mlflow.pytorch\nimport torch"
    if "model.onnx" in files:
        yield "import onnxruntime"
    yield ""


def _built(recipe: Mapping[str, Any], is_whole: bool) -> Iterator[str]:
    """The network that weights are loaded into; no function builds what is left of one."""
    if is_whole:
        arguments = "".join(f", {name}={size!r}" for name, size in recipe["sizes"].items())
        yield f'network = lt_core.models.build("{recipe["model"]}"{arguments}, seed=0)'


def _plain(function: Callable[..., object]) -> str:
    """A function as text, without types that need an import."""
    return inspect.getsource(function).replace(" -> Mapping[str, Any]", "").rstrip()


def _latency(latency: Mapping[str, Any] | None) -> Iterator[str]:
    if latency is None:
        return
    yield (
        f"\nMilliseconds for one image on the CPU, with {latency['threads']} of its threads, one "
        "network after the other in turn: median (10th to 90th percentile). Zeros are multiplied "
        "as other weights are.\n"
    )
    names = {
        NOT_PRUNED: "not pruned, in torch",
        IN_TORCH: "this one, in torch, from any of the files of weights",
    }
    yield "| | ms |"
    yield "| --- | ---: |"
    for form, ms in latency["ms"].items():
        name = names.get(form, f"`{form}`")
        yield f"| {name} | {ms['median']:.2f} ({ms['low']:.2f} to {ms['high']:.2f}) |"
