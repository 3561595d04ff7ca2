"""ResNets for small images: He et al. 2016 (arXiv:1512.03385), section 4.2.

Three stages of (depth - 2) / 6 blocks, of 1, 2 and 4 times `width` channels; the second and
the third halve the image. Where a block changes the shape, its shortcut is a projection
(option B), so that every path holds prunable weights.
"""

from torch import Tensor, nn
from torch.nn import functional as F


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut. [B, in, H, W] -> [B, out, H/stride, W/stride]."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.shortcut = nn.Sequential()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return F.relu(out + self.shortcut(x))


class CifarResNet(nn.Module):
    """[B, channels, H, W] -> [B, classes] logits."""

    def __init__(self, depth: int, width: int, channels: int, classes: int) -> None:
        super().__init__()
        assert depth % 6 == 2, depth
        blocks_per_stage = (depth - 2) // 6
        self.conv = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(width)
        blocks, before = [], width
        for stage, after in enumerate((width, 2 * width, 4 * width)):
            for i in range(blocks_per_stage):
                blocks.append(Block(before, after, stride=2 if stage > 0 and i == 0 else 1))
                before = after
        self.blocks = nn.Sequential(*blocks)
        self.fc = nn.Linear(before, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn(self.conv(x)))
        logits: Tensor = self.fc(self.blocks(x).mean((2, 3)))
        return logits
