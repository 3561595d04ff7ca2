"""ResNets of ImageNet's kind on small images: He et al. 2016 (arXiv:1512.03385), section 4.1."""

from torch import nn


def resnet(depth: int, channels: int, classes: int) -> nn.Module:
    """torchvision's ResNet of this depth with another stem. [B, channels, H, W] -> [B, classes].

    The stem is a 3x3 convolution with stride 1 and no max-pool, as in Tanaka et al. 2020
    (arXiv:2006.05467) for Tiny ImageNet: ImageNet's own, a 7x7 convolution with stride 2 and a
    max-pool, would leave 2x2 of 64x64 pixels for the last stage, this one leaves 8x8. It costs
    16 times the computation.
    """
    from torchvision import models  # here: it takes a second that the other networks need not wait

    network: nn.Module = getattr(models, f"resnet{depth}")(num_classes=classes)
    network.conv1 = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
    network.maxpool = nn.Identity()
    return network
