"""Flip and padded random crop of many images by one gather, and the pixels' way into a network.

Draws come from the caller's generator on the CPU, so that the same seed gives the same epoch on every device.
Shape suffixes: N images, C channels, H and W of an image.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["Draws", "Normaliser", "draw", "gather", "pad"]


class Draws(NamedTuple):
    """The chances of one epoch, in the order in which images are shown: which image, and its window and flip."""

    order_N: Tensor
    tops_N: Tensor
    lefts_N: Tensor
    is_flipped_N: Tensor


def draw(num_images: int, padding: int, flip: bool, generator: torch.Generator) -> Draws:
    """Return a fresh permutation with windows of 0..2 * padding, and flips of even chance where `flip`."""
    order = torch.randperm(num_images, generator=generator)
    tops, lefts = torch.randint(2 * padding + 1, (2, num_images), generator=generator)
    is_flipped = torch.randint(2, (num_images,), generator=generator).bool() & flip
    return Draws(order, tops, lefts, is_flipped)


def pad(images_NCHW: Tensor, padding: int) -> Tensor:
    """Return the images as (N, H + 2 * padding, W + 2 * padding, C), contiguous, with black borders."""
    return functional.pad(images_NCHW.permute(0, 2, 3, 1), (0, 0, padding, padding, padding, padding)).contiguous()


def gather(padded_NHWC: Tensor, draws: Draws, padding: int) -> Tensor:
    """Return the images of `draws` (N, C, H, W), channels last in memory, out of what `pad` returned.

    `draws` may be a part of an epoch's.
    """
    device = padded_NHWC.device
    height, width = padded_NHWC.shape[1] - 2 * padding, padded_NHWC.shape[2] - 2 * padding
    order, tops, lefts, is_flipped = (chance.to(device)[:, None] for chance in draws)
    columns = torch.arange(width, device=device)
    rows_NH = tops + torch.arange(height, device=device)
    columns_NW = lefts + torch.where(is_flipped, columns.flip(0), columns)
    return padded_NHWC[order[:, :, None], rows_NH[:, :, None], columns_NW[:, None, :]].permute(0, 3, 1, 2)


class Normaliser:
    """Turns uint8 images into float32 of zero mean and unit deviation, in the given memory format."""

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...], device: torch.device) -> None:
        self._mean = torch.tensor(mean, device=device)[:, None, None]
        self._std = torch.tensor(std, device=device)[:, None, None]

    def __call__(self, images_NCHW: Tensor, memory_format: torch.memory_format) -> Tensor:
        """Return the images as float32."""
        return images_NCHW.to(torch.float32, memory_format=memory_format).sub_(self._mean).div_(self._std)
