"""Layers that stand in for a convolution: (in_channels, out_channels, kernel_size, stride), "same" padding."""

import math

import torch
import torch.nn.functional as F
from torch import nn


class DepthwiseSeparableConv(nn.Module):
    """A depthwise convolution, then a 1x1 convolution that mixes the channels."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(
            in_channels, in_channels, kernel_size, stride, kernel_size // 2, groups=in_channels, bias=False
        )
        self.bn = nn.BatchNorm2d(in_channels)
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.pointwise(self.bn(self.depthwise(x)))


class GroupedShuffleConv(nn.Module):
    """A grouped convolution whose output channels are shuffled, so that the next layer mixes the groups."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.groups = math.gcd(4, in_channels, out_channels)
        self.conv = nn.Conv2d(
            in_channels, out_channels, kernel_size, stride, kernel_size // 2, groups=self.groups, bias=False
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        b, c, h, w = x.shape
        return x.reshape(b, self.groups, c // self.groups, h, w).transpose(1, 2).reshape(b, c, h, w)


class GroupedMixConv(nn.Module):
    """A convolution in four groups, and a 1x1 convolution that mixes them again."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1) -> None:
        super().__init__()
        groups = math.gcd(4, in_channels, out_channels)
        self.grouped = nn.Conv2d(
            in_channels, out_channels, kernel_size, stride, kernel_size // 2, groups=groups, bias=False
        )
        self.bn = nn.BatchNorm2d(out_channels)
        self.mix = nn.Conv2d(out_channels, out_channels, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.mix(self.bn(self.grouped(x)))


class BottleneckConv(nn.Module):
    """A 1x1 convolution to fewer channels, a spatial convolution, and a 1x1 convolution back."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1) -> None:
        super().__init__()
        hidden = max(4, out_channels // 2)
        self.reduce = nn.Sequential(nn.Conv2d(in_channels, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.ReLU())
        self.spatial = nn.Sequential(
            nn.Conv2d(hidden, hidden, kernel_size, stride, kernel_size // 2, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(),
        )
        self.expand = nn.Conv2d(hidden, out_channels, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.expand(self.spatial(self.reduce(x)))


class InvertedBottleneckConv(nn.Module):
    """A 1x1 convolution to more channels, a depthwise convolution, and a linear 1x1 convolution back."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1) -> None:
        super().__init__()
        hidden = 3 * in_channels
        self.expand = nn.Sequential(nn.Conv2d(in_channels, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.ReLU6())
        self.filter = nn.Sequential(
            nn.Conv2d(hidden, hidden, kernel_size, stride, kernel_size // 2, groups=hidden, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU6(),
        )
        self.project = nn.Conv2d(hidden, out_channels, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.project(self.filter(self.expand(x)))


class ConvNeXtConv(nn.Module):
    """A 7x7 depthwise convolution, layer normalisation, and two 1x1 convolutions with GELU between them."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 7, stride: int = 1) -> None:
        super().__init__()
        kernel_size = max(7, kernel_size)
        self.depthwise = nn.Conv2d(in_channels, in_channels, kernel_size, stride, kernel_size // 2, groups=in_channels)
        self.norm = nn.GroupNorm(1, in_channels)
        self.expand = nn.Conv2d(in_channels, 2 * in_channels, 1)
        self.act = nn.GELU()
        self.project = nn.Conv2d(2 * in_channels, out_channels, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.project(self.act(self.expand(self.norm(self.depthwise(x)))))


class FactorizedConv(nn.Module):
    """A convolution along the width, then one along the height."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1) -> None:
        super().__init__()
        padding = kernel_size // 2
        self.horizontal = nn.Conv2d(in_channels, out_channels, (1, kernel_size), (1, stride), (0, padding), bias=False)
        self.vertical = nn.Conv2d(out_channels, out_channels, (kernel_size, 1), (stride, 1), (padding, 0), bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.vertical(self.horizontal(x))


class GhostConv(nn.Module):
    """Half of the channels by a convolution, the other half from these by a cheap depthwise convolution."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1) -> None:
        super().__init__()
        half = out_channels - out_channels // 2
        self.primary = nn.Conv2d(in_channels, half, kernel_size, stride, kernel_size // 2, bias=False)
        self.cheap = nn.Conv2d(half, half, 3, padding=1, groups=half, bias=False)
        self.out_channels = out_channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        primary = self.primary(x)
        return torch.cat([primary, self.cheap(primary)], 1)[:, : self.out_channels]


class ParallelConv(nn.Module):
    """A spatial and a 1x1 convolution side by side, each normalised, their results summed."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.spatial = nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, bias=False)
        self.spatial_bn = nn.BatchNorm2d(out_channels)
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
        self.pointwise_bn = nn.BatchNorm2d(out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.spatial_bn(self.spatial(x)) + self.pointwise_bn(self.pointwise(x))


class PooledBranchConv(nn.Module):
    """A convolution, plus a branch of average pooling and a 1x1 convolution."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, bias=False)
        self.pool = nn.AvgPool2d(3, stride, padding=1)
        self.project = nn.Conv2d(in_channels, out_channels, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x) + self.project(self.pool(x))


class ConcatBranchConv(nn.Module):
    """A small and a large depthwise kernel side by side, concatenated and fused by a 1x1 convolution."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1) -> None:
        super().__init__()
        large = kernel_size + 2
        self.small = nn.Conv2d(
            in_channels, in_channels, kernel_size, stride, kernel_size // 2, groups=in_channels, bias=False
        )
        self.large = nn.Conv2d(in_channels, in_channels, large, stride, large // 2, groups=in_channels, bias=False)
        self.bn = nn.BatchNorm2d(2 * in_channels)
        self.fuse = nn.Conv2d(2 * in_channels, out_channels, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fuse(self.bn(torch.cat([self.small(x), self.large(x)], 1)))


class GatedConv(nn.Module):
    """A convolution multiplied by a gate: a cheaper convolution of the same input through a sigmoid."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.value = nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, bias=False)
        self.gate = nn.Conv2d(in_channels, out_channels, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.value(x) * torch.sigmoid(self.gate(x))


class SelectiveKernelConv(nn.Module):
    """A plain and a dilated convolution, mixed channel by channel with weights from their pooled sum."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1) -> None:
        super().__init__()
        padding = kernel_size // 2
        groups = math.gcd(4, in_channels, out_channels)
        self.near = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=False)
        self.far = nn.Conv2d(in_channels, out_channels, kernel_size, stride, 2 * padding, 2, groups, bias=False)
        hidden = max(4, out_channels // 4)
        self.reduce = nn.Linear(out_channels, hidden)
        self.select = nn.Linear(hidden, 2 * out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        branches = torch.stack([self.near(x), self.far(x)], 1)
        pooled = branches.sum(1).mean((2, 3))
        weights = self.select(F.relu(self.reduce(pooled))).reshape(x.shape[0], 2, -1, 1, 1)
        return (branches * weights.softmax(1)).sum(1)


class HierarchicalConv(nn.Module):
    """Four groups of channels, convolved one after the other; each also receives the result before it."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1) -> None:
        super().__init__()
        width = -(-out_channels // 4)
        self.enter = nn.Conv2d(in_channels, 4 * width, 1, stride, bias=False)
        self.convs = nn.ModuleList(
            nn.Conv2d(width, width, kernel_size, padding=kernel_size // 2, bias=False) for _ in range(3)
        )
        self.leave = nn.Conv2d(4 * width, out_channels, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, *others = self.enter(x).chunk(4, 1)
        results = [first]
        for piece, conv in zip(others, self.convs, strict=True):
            results.append(conv(piece + results[-1]))
        return self.leave(torch.cat(results, 1))


class DenseConv(nn.Module):
    """Two convolutions, of which the second reads the input and the first's result; both are kept."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1) -> None:
        super().__init__()
        half = out_channels // 2
        self.first = nn.Conv2d(in_channels, half, kernel_size, stride, kernel_size // 2, bias=False)
        self.bn = nn.BatchNorm2d(half)
        self.pool = nn.AvgPool2d(stride, ceil_mode=True) if stride > 1 else nn.Identity()
        self.second = nn.Conv2d(
            in_channels + half, out_channels - half, kernel_size, padding=kernel_size // 2, bias=False
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = F.relu(self.bn(self.first(x)))
        second = self.second(torch.cat([self.pool(x), first], 1))
        return torch.cat([first, second], 1)


class ConcatInputConv(nn.Module):
    """A convolution whose result is concatenated with its input and compressed by a 1x1 convolution."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)
        self.pool = nn.AvgPool2d(stride, ceil_mode=True) if stride > 1 else nn.Identity()
        self.compress = nn.Conv2d(in_channels + out_channels, out_channels, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.compress(torch.cat([self.pool(x), F.relu(self.bn(self.conv(x)))], 1))


class PartialConv(nn.Module):
    """A convolution of one half of the channels; the other half passes by, and a 1x1 transition joins them."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.num_processed = in_channels // 2
        self.conv = nn.Conv2d(self.num_processed, self.num_processed, kernel_size, padding=kernel_size // 2, bias=False)
        self.bn = nn.BatchNorm2d(self.num_processed)
        self.transition = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        processed = F.relu(self.bn(self.conv(x[:, : self.num_processed])))
        return self.transition(torch.cat([processed, x[:, self.num_processed :]], 1))


class PoolingMixer(nn.Module):
    """Average pooling minus its own input as a token mixer without weights, then a 1x1 convolution."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(kernel_size, padding=kernel_size // 2, stride=1, count_include_pad=False)
        self.project = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.project(self.pool(x) - x)


class LocalGlobalConv(nn.Module):
    """Half of the channels by a convolution; the other half by a 1x1 convolution plus a globally pooled context."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1) -> None:
        super().__init__()
        half = out_channels // 2
        self.local = nn.Conv2d(in_channels, half, kernel_size, stride, kernel_size // 2, bias=False)
        self.identity = nn.Conv2d(in_channels, out_channels - half, 1, stride, bias=False)
        self.context = nn.Conv2d(in_channels, out_channels - half, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        context = self.context(x.mean((2, 3), keepdim=True))
        return torch.cat([self.local(x), self.identity(x) + context], 1)


class MixtureConv(nn.Module):
    """Two convolutions as experts, mixed by softmax weights from the pooled features of each image."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, bias=False)
        self.second = nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, bias=False)
        self.router = nn.Linear(in_channels, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights = self.router(x.mean((2, 3))).softmax(1)[:, :, None, None, None]
        return weights[:, 0] * self.first(x) + weights[:, 1] * self.second(x)


class MultiResolutionConv(nn.Module):
    """A convolution, plus a cheaper one at half the resolution whose result is upsampled."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.fine = nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, bias=False)
        self.pool = nn.AvgPool2d(2, ceil_mode=True)
        groups = math.gcd(4, in_channels, out_channels)
        self.coarse = nn.Conv2d(
            in_channels, out_channels, kernel_size, stride, kernel_size // 2, groups=groups, bias=False
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        fine = self.fine(x)
        return fine + F.interpolate(self.coarse(self.pool(x)), size=fine.shape[-2:], mode="nearest")
