"""Layers that rescale or enrich features of unchanged shape: (channels)."""

import torch
import torch.nn.functional as F
from torch import nn


class SqueezeExcitation(nn.Module):
    """Channel weights from the global average through two linear maps and a sigmoid."""

    def __init__(self, channels: int, reduction: int = 4) -> None:
        super().__init__()
        hidden = max(4, channels // reduction)
        self.reduce = nn.Conv2d(channels, hidden, 1)
        self.act = nn.ReLU()
        self.expand = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights = self.expand(self.act(self.reduce(x.mean((2, 3), keepdim=True))))
        return x * torch.sigmoid(weights)


class EfficientChannelAttention(nn.Module):
    """Channel weights from a convolution along the globally averaged channels."""

    def __init__(self, channels: int, kernel_size: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 1, kernel_size, padding=kernel_size // 2, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights = self.conv(x.mean((2, 3)).unsqueeze(1)).transpose(1, 2).unsqueeze(-1)
        return x * torch.sigmoid(weights)


class SpatialAttention(nn.Module):
    """Position weights from the mean and the maximum over the channels."""

    def __init__(self, channels: int, kernel_size: int = 7) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        summary = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
        return x * torch.sigmoid(self.conv(summary))


class CoordinateAttention(nn.Module):
    """Row and column weights from the averages along the width and along the height."""

    def __init__(self, channels: int, reduction: int = 4) -> None:
        super().__init__()
        hidden = max(4, channels // reduction)
        self.reduce = nn.Conv2d(channels, hidden, 1)
        self.rows = nn.Conv2d(hidden, channels, 1)
        self.columns = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = F.relu(self.reduce(x.mean(3, keepdim=True)))
        columns = F.relu(self.reduce(x.mean(2, keepdim=True)))
        return x * torch.sigmoid(self.rows(rows)) * torch.sigmoid(self.columns(columns))


class MultiScaleAttention(nn.Module):
    """Weights for each channel and position from averages at several scales."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.projections = nn.ModuleList(nn.Conv2d(channels, channels, 1, groups=channels) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        coarse, middle, fine = (
            F.interpolate(project(F.adaptive_avg_pool2d(x, scale)), size=x.shape[-2:], mode="nearest")
            for scale, project in zip((1, 2, 4), self.projections, strict=True)
        )
        return x * torch.sigmoid(coarse + middle + fine)


class MultiScalePooling(nn.Module):
    """Averages over three neighbourhoods, concatenated with the features and fused by a 1x1 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pools = nn.ModuleList(nn.AvgPool2d(size, stride=1, padding=size // 2) for size in (3, 5, 9))
        self.fuse = nn.Conv2d(4 * channels, channels, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.fuse(torch.cat([x, *(pool(x) for pool in self.pools)], 1))


class GlobalContext(nn.Module):
    """A softmax-weighted mean over the positions, transformed and added to every position."""

    def __init__(self, channels: int, reduction: int = 4) -> None:
        super().__init__()
        hidden = max(4, channels // reduction)
        self.score = nn.Conv2d(channels, 1, 1)
        self.transform = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights = self.score(x).flatten(2).softmax(-1)
        context = torch.matmul(x.flatten(2), weights.transpose(1, 2)).squeeze(-1)
        return x + self.transform(context)[:, :, None, None]


class GlobalResponseNorm(nn.Module):
    """Features rescaled by the spatial norm of their channel relative to the mean norm of all channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        norm = (x.square().sum((2, 3), keepdim=True) + 1e-6).sqrt()
        return x + self.weight * (x * (norm / norm.mean(1, keepdim=True))) + self.bias


class LayerScale(nn.Module):
    """One learnable factor a channel."""

    def __init__(self, channels: int, initial: float = 0.1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((1, channels, 1, 1), initial))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.weight


class DropPath(nn.Module):
    """In training, drops its input for each image independently; kept images are scaled up."""

    def __init__(self, probability: float = 0.1) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return x
        kept = 1.0 - self.probability
        return x * x.new_empty(x.shape[0], 1, 1, 1).bernoulli_(kept) / kept


class InputGate(nn.Module):
    """One factor between 0 and 1 an image, from the globally averaged features."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.score = nn.Linear(channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate = torch.sigmoid(self.score(x.mean((2, 3))))
        return x * gate[:, :, None, None]


class SpatialMask(nn.Module):
    """One factor between 0 and 1 a position, from a 1x1 convolution of the features."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.score = nn.Conv2d(channels, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.sigmoid(self.score(x))


class LargeKernelGate(nn.Module):
    """Features gated by a 7x7 depthwise and a 1x1 convolution of themselves."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.pointwise = nn.Conv2d(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.sigmoid(self.pointwise(self.depthwise(x)))


class LargeKernelResidual(nn.Module):
    """A large depthwise convolution added to its input."""

    def __init__(self, channels: int, kernel_size: int = 7) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2, groups=channels, bias=False)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.bn(self.conv(x))


class ChannelMLP(nn.Module):
    """A residual two-layer perceptron over the channels of each position."""

    def __init__(self, channels: int, ratio: int = 2) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, channels)
        self.mlp = nn.Sequential(
            nn.Conv2d(channels, ratio * channels, 1), nn.GELU(), nn.Conv2d(ratio * channels, channels, 1)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.mlp(self.norm(x))


class TokenMLP(nn.Module):
    """A residual two-layer perceptron over a 4x4 grid of pooled positions, shared by the channels."""

    def __init__(self, channels: int, grid: int = 4) -> None:
        super().__init__()
        self.grid = grid
        self.norm = nn.GroupNorm(1, channels)
        self.mlp = nn.Sequential(
            nn.Linear(grid * grid, 2 * grid * grid), nn.GELU(), nn.Linear(2 * grid * grid, grid * grid)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = F.adaptive_avg_pool2d(self.norm(x), self.grid)
        mixed = self.mlp(tokens.flatten(2)).reshape(tokens.shape)
        return x + F.interpolate(mixed, size=x.shape[-2:], mode="nearest")


class PositionEmbedding(nn.Module):
    """Adds one learnable value a channel and position, interpolated to the size of the features."""

    def __init__(self, channels: int, size: int = 8) -> None:
        super().__init__()
        self.embedding = nn.Parameter(0.02 * torch.randn(1, channels, size, size))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + F.interpolate(self.embedding, size=x.shape[-2:], mode="bilinear", align_corners=False)


class ConvPositionEncoding(nn.Module):
    """Adds a zero-padded depthwise convolution, which tells positions apart by the borders."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv(x)


class ChannelLayerNorm(nn.Module):
    """Layer normalisation over the channels of each position."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class InstanceBatchNorm(nn.Module):
    """Instance normalisation of one half of the channels, batch normalisation of the other."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.num_instance = channels // 2
        self.instance = nn.GroupNorm(self.num_instance, self.num_instance)
        self.batch = nn.BatchNorm2d(channels - self.num_instance)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.instance(x[:, : self.num_instance]), self.batch(x[:, self.num_instance :])], 1)
