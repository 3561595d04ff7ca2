"""What a GPU computes with: deterministic kernels, and fp32 that is what it says."""

import contextlib
import os
import re
import warnings
from collections.abc import Iterator
from typing import Any

import torch

from lt_core.config import Precision

_LACKING = "does not have a deterministic implementation"


@contextlib.contextmanager
def deterministic(device: torch.device, precision: Precision) -> Iterator[set[str]]:
    """Kernels that add in the same order each time, so that two trainings have the same bits.

    torch leaves cuDNN to choose among its own by timing them, and lets convolutions, but not matrix
    products, round fp32 to TF32, which has 10 bits in place of 23. Here TF32 is what `precision`
    says. A CPU has no such choices: nothing is set for it.

    Args:
        device: other ones than `device` are not spared: torch has these settings once.
        precision: of a training.

    Yields:
        A set that has, once the context has ended, the operations that torch has no deterministic
        kernel of, by the names of its documentation; what used them may have other bits next time.
    """
    lacking: set[str] = set()
    if device.type != "cuda":
        yield lacking
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read by cuBLAS as it is loaded
    cudnn, cublas = torch.backends.cudnn, torch.backends.cuda.matmul
    was_strict = torch.are_deterministic_algorithms_enabled()
    was_warning = torch.is_deterministic_algorithms_warn_only_enabled()
    memory: Any = torch.utils.deterministic
    filled = memory.fill_uninitialized_memory
    conv: Any = cudnn.conv  # type: ignore[attr-defined]  # torch gives it no types
    before = cudnn.deterministic, cudnn.benchmark, conv.fp32_precision, cublas.fp32_precision
    try:
        torch.use_deterministic_algorithms(True, warn_only=True)
        memory.fill_uninitialized_memory = False
        cudnn.deterministic, cudnn.benchmark = True, False
        conv.fp32_precision = "tf32" if precision == "tf32" else "ieee"
        cublas.fp32_precision = conv.fp32_precision
        with warnings.catch_warnings(record=True) as caught:
            warnings.filterwarnings("always", f".*{_LACKING}")
            yield lacking
    finally:
        torch.use_deterministic_algorithms(was_strict, warn_only=was_warning)
        memory.fill_uninitialized_memory = filled
        cudnn.deterministic, cudnn.benchmark, conv.fp32_precision, cublas.fp32_precision = before
    for warning in caught:
        if found := re.match(rf"(\S+) {_LACKING}", str(warning.message)):
            lacking.add(found[1])
        else:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
