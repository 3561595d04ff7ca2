"""Floating-point precision of training."""

from typing import Literal

import torch

from lt_core.config import Precision


def chosen(precision: Precision, device: str) -> Literal["fp32", "tf32", "bf16"]:
    """The precision on a device: `auto` is bf16 where its processor is built for it, and `tf32` is
    fp32 where it knows no TF32."""
    is_cuda = torch.device(device).type == "cuda"
    if precision == "tf32" and not (is_cuda and torch.cuda.get_device_capability(device) >= (8, 0)):
        return "fp32"
    if precision != "auto":
        return precision
    if is_cuda:
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return "bf16" if native else "fp32"


def autocast(precision: Precision, device: str) -> torch.autocast:
    """A context for forward passes: in bf16 convolutions and linear layers compute in it, while
    weights, gradients, momentum and sums stay in fp32 (Micikevicius et al. 2018,
    arXiv:1710.03740, section 3.1)."""
    is_bf16 = chosen(precision, device) == "bf16"
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=is_bf16)
