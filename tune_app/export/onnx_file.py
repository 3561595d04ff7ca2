"""The trained network as an ONNX file, where torch's exporter has what it needs."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from tune_app.export.models import Models, quiet

NEEDS = ("onnx", "onnxscript")


def write_onnx(path: Path, models: Models) -> str:
    """Write the network for any number of images: why it was not, in words; empty if it was."""
    if any(importlib.util.find_spec(name) is None for name in NEEDS):
        return 'it takes two packages more: pip install -e ".[onnx]"'
    try:
        with quiet():
            torch.onnx.export(models.program, (), path, external_data=False, verbose=False)
    except Exception as error:  # of many kinds, as of torch.export
        path.unlink(missing_ok=True)
        first = next(iter(str(error).splitlines()), "")
        return f"torch cannot convert the network: {type(error).__name__}: {first}"
    return ""


def onnx_session(path: Path) -> Callable[[Tensor], object] | None:
    """The network of an ONNX file, with torch's number of threads; None without onnxruntime."""
    if importlib.util.find_spec("onnxruntime") is None:
        return None
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    [image] = session.get_inputs()
    return lambda images: session.run(None, {image.name: images.numpy()})
