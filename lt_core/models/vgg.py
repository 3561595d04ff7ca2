"""VGG-16 for small images: Simonyan & Zisserman 2015 (arXiv:1409.1556), table 1, column D."""

from torch import Tensor, nn

PLAN = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512)
"""Output channels of the convolutions; M halves the image."""


class Vgg16(nn.Module):
    """[B, channels, H, W] -> [B, classes] logits; H and W at least 16.

    The variant of the lottery-ticket literature (Liu et al. 2019, arXiv:1810.05270; Frankle &
    Carbin's open_lth): batch norm after each convolution, and in place of the last max-pool and
    the three linear layers the mean over the image and one linear layer.

    Raises:
        ValueError: for smaller images.
    """

    def __init__(self, channels: int, classes: int, image_size: tuple[int, int]) -> None:
        super().__init__()
        if min(image_size) < 16:
            height, width = image_size
            raise ValueError(
                f"vgg16 halves the image four times and needs 16x16 pixels or more, "
                f"got {height}x{width}; small_resnet and resnet20 take any size"
            )
        layers: list[nn.Module] = []
        before = channels
        for after in PLAN:
            if isinstance(after, str):
                layers.append(nn.MaxPool2d(2))
                continue
            layers += [
                nn.Conv2d(before, after, 3, padding=1),
                nn.BatchNorm2d(after),
                nn.ReLU(inplace=True),
            ]
            before = after
        self.features = nn.Sequential(*layers)
        self.fc = nn.Linear(before, classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.features(x).mean((2, 3)))
        return logits
