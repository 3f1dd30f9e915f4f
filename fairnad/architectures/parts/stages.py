"""Layers around a stage or in front of the network: stems, and connections past a body of blocks."""

import torch
import torch.nn.functional as F
from torch import nn


class CoordinateInput(nn.Module):
    """Appends two channels with the row and the column of each pixel, from -1 to 1."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, _, h, w = x.shape
        rows = torch.linspace(-1, 1, h, device=x.device, dtype=x.dtype).reshape(1, 1, h, 1).expand(b, 1, h, w)
        columns = torch.linspace(-1, 1, w, device=x.device, dtype=x.dtype).reshape(1, 1, 1, w).expand(b, 1, h, w)
        return torch.cat([x, rows, columns], 1)


class ResidualStage(nn.Module):
    """A residual connection around several blocks; the input is pooled and projected to the output's shape."""

    def __init__(self, body: nn.Module, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.body = body
        self.project = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.body(x)
        return y + self.bn(self.project(F.adaptive_avg_pool2d(x, y.shape[-2:])))


class ConcatStage(nn.Module):
    """The output of several blocks, concatenated with their pooled input and fused by a 1x1 convolution."""

    def __init__(self, body: nn.Module, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.body = body
        self.fuse = nn.Conv2d(in_channels + out_channels, out_channels, 1, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.body(x)
        return self.bn(self.fuse(torch.cat([F.adaptive_avg_pool2d(x, y.shape[-2:]), y], 1)))


class RepeatedStage(nn.Module):
    """A stage whose last block runs twice; a gate from the pooled features blends the two results."""

    def __init__(self, body: nn.Sequential, channels: int) -> None:
        super().__init__()
        self.body = body
        self.gate = nn.Linear(channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        once = self.body(x)
        gate = torch.sigmoid(self.gate(once.mean((2, 3))))[:, :, None, None]
        return once + gate * (self.body[-1](once) - once)
