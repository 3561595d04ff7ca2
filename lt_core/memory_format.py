"""Memory format of networks and images in training."""

import torch
from torch import Tensor, nn

from lt_core.data.shapes import InputShape, Tokens

_ANY_FORMAT = ("torchvision", "lt_core")
"""Packages whose networks take images of any memory format."""


def to_device(network: nn.Module, device: str, image_shape: InputShape) -> nn.Module:
    """Move a network to where it trains, in channels_last, in which convolutions are fastest.

    Contiguous where a user's network can do no other, such as one with `x.view(len(x), -1)` after a
    convolution, or with convolutions in three dimensions, whose weights have no such format. And
    where torch would corrupt memory: on a CPU, the gradient of a strided 1x1
    convolution whose input has fewer channels than a vector register has floats is written past its
    end (torch 2.14.1). With AVX2 that is up to 7 channels, from 8x8 pixels on; with AVX-512 up to
    15, but only in large images (seen from 56 pixels for 4 and 8 channels and from 112 for 12, not
    up to 48).

    Args:
        network: built for images of this shape, on the CPU; changed in place.
        device: as torch writes it.
        image_shape: channels, height and width; inputs of another kind have no such format.
    """
    if isinstance(image_shape, Tokens) or len(image_shape) != 3:
        return network.to(device)
    overflows = torch.device(device).type == "cpu" and _would_overflow(network, image_shape)
    is_flat = all(parameter.dim() < 5 for parameter in network.parameters())
    if overflows or not is_flat or _takes_contiguous_images_alone(network, image_shape):
        network.register_forward_pre_hook(_contiguous)
        return network.to(device).to(memory_format=torch.contiguous_format)
    return network.to(device).to(memory_format=torch.channels_last)


def _takes_contiguous_images_alone(network: nn.Module, image_shape: tuple[int, ...]) -> bool:
    if type(network).__module__.partition(".")[0] in _ANY_FORMAT:
        return False
    return _fails(network, image_shape, torch.channels_last) and not _fails(
        network, image_shape, torch.contiguous_format
    )


def _fails(
    network: nn.Module, image_shape: tuple[int, ...], memory_format: torch.memory_format
) -> bool:
    """Whether a network that was just built fails on two images of this memory format."""
    network.to(memory_format=memory_format).eval()
    try:
        with torch.no_grad():
            generator = torch.Generator().manual_seed(0)
            images = torch.randn(2, *image_shape, generator=generator)
            network(images.to(memory_format=memory_format))
    except RuntimeError:
        return True
    finally:
        network.train()
    return False


def _would_overflow(network: nn.Module, image_shape: tuple[int, ...]) -> bool:
    pixels = max(image_shape[1:])
    if torch.backends.cpu.get_cpu_capability() == "AVX512":
        return pixels > 48 and _strides_over_fewer_channels(network, 16)
    return _strides_over_fewer_channels(network, 8)


def _strides_over_fewer_channels(network: nn.Module, channels: int) -> bool:
    return any(
        isinstance(module, nn.Conv2d)
        and module.kernel_size == (1, 1)
        and module.stride != (1, 1)
        and module.in_channels < channels
        for module in network.modules()
    )


def _contiguous(network: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    # Not contiguous(): images of one channel are already so in channels_last, and would keep it.
    return (inputs[0].clone(memory_format=torch.contiguous_format),)
