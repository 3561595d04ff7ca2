"""How large the files of an export are, and how long its network takes."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lt_core import rewind
from lt_core.latency import latencies
from tune_app.export.choice import Choice
from tune_app.export.models import Models
from tune_app.export.onnx_file import onnx_session
from tune_app.export.retraining import Trained

NOT_PRUNED, IN_TORCH = "not pruned", "in torch"


def sizes(folder: Path) -> Mapping[str, int]:
    """Bytes of the files, by name; of a folder all of its files together."""
    return {
        path.name: sum(file.stat().st_size for file in (path, *path.rglob("*")) if file.is_file())
        for path in sorted(folder.iterdir())
    }


def latency_of(folder: Path, choice: Choice, trained: Trained, models: Models) -> dict[str, Any]:
    """Milliseconds for one image on the CPU, of each form of the network and of the one that is not
    pruned, one after the other in turn: median, 10th and 90th percentile, by name."""
    dense = rewind.to_initialization(choice.sweep.model, trained.images, seed=choice.training.seed)
    program = models.program.module()
    forms: dict[str, Callable[[Tensor], object]] = {
        NOT_PRUNED: dense,
        IN_TORCH: models.network,
        "model.pt2": lambda image: program(image),  # which cannot be put in evaluation mode
    }
    path = folder / "model.onnx"
    if path.exists() and (session := onnx_session(path)) is not None:
        forms[path.name] = session
    found = latencies([*forms.values()], trained.images.image_shape)
    ms = {name: asdict(latency) for name, latency in zip(forms, found, strict=True)}
    return {"threads": torch.get_num_threads(), "ms": ms}
