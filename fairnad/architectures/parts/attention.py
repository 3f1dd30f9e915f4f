"""Residual attention over positions, for features of unchanged shape: (channels)."""

import math

import torch
import torch.nn.functional as F
from torch import nn


class SelfAttention(nn.Module):
    """Residual self-attention over all positions, with keys of a quarter of the channels."""

    def __init__(self, channels: int, heads: int = 2) -> None:
        super().__init__()
        self.heads = math.gcd(heads, channels)
        self.key_channels = self.heads * max(4, channels // (4 * self.heads))
        self.norm = nn.GroupNorm(1, channels)
        self.query = nn.Conv2d(channels, self.key_channels, 1)
        self.key = nn.Conv2d(channels, self.key_channels, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.project = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.project.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, c, h, w = x.shape
        y = self.norm(x)
        query = self.query(y).reshape(b, self.heads, -1, h * w).transpose(2, 3)
        key = self.key(y).reshape(b, self.heads, -1, h * w)
        value = self.value(y).reshape(b, self.heads, -1, h * w).transpose(2, 3)
        scores = torch.matmul(query, key) / math.sqrt(self.key_channels // self.heads)
        attended = torch.matmul(scores.softmax(-1), value)
        return x + self.project(attended.transpose(2, 3).reshape(b, c, h, w))


class PooledAttention(nn.Module):
    """Residual attention of every position to a grid of averaged patches."""

    def __init__(self, channels: int, grid: int = 4) -> None:
        super().__init__()
        self.grid = grid
        self.norm = nn.GroupNorm(1, channels)
        self.query = nn.Conv2d(channels, channels, 1)
        self.key = nn.Conv2d(channels, channels, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.project = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.project.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(x)
        patches = F.adaptive_avg_pool2d(y, self.grid)
        query = self.query(y).flatten(2).transpose(1, 2)
        key = self.key(patches).flatten(2)
        value = self.value(patches).flatten(2).transpose(1, 2)
        scores = torch.matmul(query, key) / math.sqrt(x.shape[1])
        attended = torch.matmul(scores.softmax(-1), value)
        return x + self.project(attended.transpose(1, 2).reshape(x.shape))


class WindowAttention(nn.Module):
    """Residual self-attention within windows that do not overlap."""

    def __init__(self, channels: int, window: int = 4) -> None:
        super().__init__()
        self.window = window
        self.norm = nn.GroupNorm(1, channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.project = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.project.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, c, h, w = x.shape
        size = self.window
        rows, columns = math.ceil(h / size), math.ceil(w / size)
        y = F.pad(self.norm(x), (0, columns * size - w, 0, rows * size - h))
        qkv = self.qkv(y).reshape(b, 3, c, rows, size, columns, size)
        qkv = qkv.permute(1, 0, 3, 5, 4, 6, 2).reshape(3, b * rows * columns, size * size, c)
        scores = torch.matmul(qkv[0], qkv[1].transpose(1, 2)) / math.sqrt(c)
        attended = torch.matmul(scores.softmax(-1), qkv[2]).reshape(b, rows, columns, size, size, c)
        attended = attended.permute(0, 5, 1, 3, 2, 4).reshape(b, c, rows * size, columns * size)
        return x + self.project(attended[:, :, :h, :w])


class LinearAttention(nn.Module):
    """Residual attention whose cost grows linearly with the positions: keys meet values first."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, channels)
        self.query = nn.Conv2d(channels, channels, 1)
        self.key = nn.Conv2d(channels, channels, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.project = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.project.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(x)
        query = F.relu(self.query(y)).flatten(2)
        key = F.relu(self.key(y)).flatten(2)
        value = self.value(y).flatten(2)
        context = torch.matmul(value, key.transpose(1, 2))
        total = torch.matmul(key.sum(2, keepdim=True).transpose(1, 2), query)
        attended = torch.matmul(context, query) / (total + 1e-6)
        return x + self.project(attended.reshape(x.shape))


class AxialAttention(nn.Module):
    """Residual attention of every position along its row, and then along its column."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, channels)
        self.rows = nn.Conv2d(channels, 3 * channels, 1)
        self.columns = nn.Conv2d(channels, 3 * channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.attend(self.rows(self.norm(x)))
        y = self.attend(self.columns(y).transpose(2, 3)).transpose(2, 3)
        return x + y

    def attend(self, qkv: torch.Tensor) -> torch.Tensor:
        query, key, value = qkv.permute(0, 2, 3, 1).chunk(3, -1)
        scores = torch.matmul(query, key.transpose(2, 3)) / math.sqrt(query.shape[-1])
        return torch.matmul(scores.softmax(-1), value).permute(0, 3, 1, 2)


class TransformerBlock(nn.Module):
    """Layer normalisation and self-attention, then layer normalisation and a channel MLP, each residual."""

    def __init__(self, channels: int, ratio: int = 2) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.project = nn.Linear(channels, channels)
        nn.init.zeros_(self.project.weight)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = nn.Sequential(
            nn.Linear(channels, ratio * channels), nn.GELU(), nn.Linear(ratio * channels, channels)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = x.flatten(2).transpose(1, 2)
        query, key, value = self.qkv(self.norm1(tokens)).chunk(3, -1)
        scores = torch.matmul(query, key.transpose(1, 2)) / math.sqrt(query.shape[-1])
        tokens = tokens + self.project(torch.matmul(scores.softmax(-1), value))
        tokens = tokens + self.mlp(self.norm2(tokens))
        return tokens.transpose(1, 2).reshape(x.shape)
