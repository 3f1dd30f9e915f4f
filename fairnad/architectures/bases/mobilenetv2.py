"""MobileNetV2 (Sandler et al. 2018) for small images: three stages of inverted residuals, the first at full size."""

import torch
from torch import nn


class InvertedResidual(nn.Module):
    """Expand by 1x1, filter each channel by 3x3, project by 1x1; a shortcut where the shapes allow it."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, expansion: int = 6) -> None:
        super().__init__()
        hidden = in_channels * expansion
        self.expand = nn.Sequential(nn.Conv2d(in_channels, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.ReLU6())
        self.depthwise = nn.Sequential(
            nn.Conv2d(hidden, hidden, 3, stride=stride, padding=1, groups=hidden, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU6(),
        )
        self.project = nn.Sequential(nn.Conv2d(hidden, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels))
        self.has_shortcut = stride == 1 and in_channels == out_channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the block's features."""
        out = self.project(self.depthwise(self.expand(x)))
        return x + out if self.has_shortcut else out


class Network(nn.Module):
    """A stem, three stages of inverted residuals, a 1x1 convolution and a linear classifier."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU6())
        self.layers1 = nn.Sequential(*[InvertedResidual(16, 16) for _ in range(5)])
        self.layers2 = nn.Sequential(InvertedResidual(16, 32, stride=2), *[InvertedResidual(32, 32) for _ in range(5)])
        self.layers3 = nn.Sequential(InvertedResidual(32, 64, stride=2), *[InvertedResidual(64, 64) for _ in range(5)])
        self.head = nn.Sequential(nn.Conv2d(64, 256, 1, bias=False), nn.BatchNorm2d(256), nn.ReLU6())
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(256, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits (B, num_classes) of images (B, 3, H, W)."""
        x = self.stem(x)
        x = self.layers1(x)
        x = self.layers2(x)
        x = self.layers3(x)
        x = torch.flatten(self.pool(self.head(x)), 1)
        return self.fc(x)
