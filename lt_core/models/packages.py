"""Networks of torchvision and timm by name, without trained weights: `timm:resnet18`."""

import difflib
from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from lt_core import import_path
from lt_core.data.shapes import AnyShape, Shape


class _Unknown(ValueError):
    """A network that is not there."""


def _torchvision(name: str, shape: Shape) -> nn.Module:
    import torchvision

    known = torchvision.models.list_models(module=torchvision.models)
    _check_known(f"torchvision:{name}", torchvision.__version__, known)
    sizes: dict[str, Any] = {"num_classes": shape.classes}
    height, width = shape.image_size
    if name.startswith("vit_") and height == width:
        sizes["image_size"] = height
    network: nn.Module = torchvision.models.get_model(name, weights=None, **sizes)
    if shape.channels != 3:
        _replace_stem(network, shape.channels)
    return network


def _replace_stem(network: nn.Module, channels: int) -> None:
    """Give the first convolution another number of input channels."""
    name, stem = next((n, m) for n, m in network.named_modules() if isinstance(m, nn.Conv2d))
    settings = {
        key: getattr(stem, key)
        for key in ("kernel_size", "stride", "padding", "dilation", "padding_mode")
    }
    has_bias = stem.bias is not None
    replaced = nn.Conv2d(channels, stem.out_channels, **settings, bias=has_bias)
    parent, _, key = name.rpartition(".")
    setattr(network.get_submodule(parent), key, replaced)


def _timm(name: str, shape: Shape) -> nn.Module:
    try:
        import timm
    except ImportError:
        raise _Unknown(f'timm:{name}: timm is not installed: pip install -e ".[timm]"') from None
    _check_known(f"timm:{name}", timm.__version__, timm.list_models())
    sizes: dict[str, Any] = {"num_classes": shape.classes, "in_chans": shape.channels}
    if (its := timm.models.get_pretrained_cfg(name)) is not None and its.fixed_input_size:
        sizes["img_size"] = shape.image_size
    network: nn.Module = timm.create_model(name, pretrained=False, **sizes)
    return network


def _check_known(path: str, version: str, known: Sequence[str]) -> None:
    package, _, name = path.partition(":")
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3)
        hint = f"; did you mean {' or '.join(f'{package}:{n}' for n in near)}?" if near else ""
        raise _Unknown(f"{path}: {package} {version} has no such network for images{hint}")


_BUILDERS: dict[str, Callable[[str, Shape], nn.Module]] = {
    "torchvision": _torchvision,
    "timm": _timm,
}


def build_named(path: str, shape: AnyShape) -> nn.Module:
    """The network `package:name` for images of a shape, as its package initializes it.

    Raises:
        ValueError: when the package is not installed, has no such network, or cannot make it for
            these images.
    """
    package, _, name = path.partition(":")
    if not isinstance(shape, Shape) or len(shape.image_size) != 2:
        raise ValueError(f"{path} takes images, not a {shape.noun} {shape}")
    try:
        return _BUILDERS[package](name, shape)
    except Exception as error:
        if isinstance(error, _Unknown):
            raise
        channels, (height, width) = shape.channels, shape.image_size
        raise ValueError(
            f"{path}: cannot be made for {channels}x{height}x{width}: {import_path.told(error)}"
        ) from error
