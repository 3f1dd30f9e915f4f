"""The first layers of a network: how images become features."""

from __future__ import annotations

import random

from fairnad.architectures.source import Source
from fairnad.generators.operators import categories as c
from fairnad.generators.operators.base import Operator, Rewrite, Scope
from fairnad.generators.operators.change import Change
from fairnad.generators.operators.sites import Conv, Holder, find_convs, find_stages

__all__ = ["OPERATORS"]


def _stem(source: Source, scope: Scope) -> Conv | None:
    """Return the convolution that reads the images."""
    convs = find_convs(source, scope.owners)
    return next((conv for conv in convs if conv.in_channels == "3" and conv.is_same), None)


def _widen_kernel(source: Source, scope: Scope, rng: random.Random) -> Rewrite | None:
    conv = _stem(source, scope)
    if conv is None or not conv.kernel.isdigit() or conv.kernel == "7":
        return None
    size = rng.choice([size for size in (5, 7) if size > int(conv.kernel)])
    change = Change(source)
    change.set_kernel(conv, size, padding=size // 2)
    return change.finish(f"{conv.site.label} -> kernel {size}x{size}")


def _add_convolution(source: Source, scope: Scope, rng: random.Random) -> Rewrite | None:
    conv = _stem(source, scope)
    if conv is None:
        return None
    out = conv.out_channels
    middle = str(max(4, int(out) // rng.choice((1, 2)))) if out.isdigit() else f"{out} // 2"
    layers = f"nn.Conv2d(3, {middle}, 3, padding=1, bias=False), nn.BatchNorm2d({middle}), nn.ReLU()"
    change = Change(source)
    is_element = conv.site.holder is Holder.ELEMENT
    change.put_before(conv.site, "entry", layers if is_element else f"nn.Sequential({layers})")
    change.replace(conv.nodes["in_channels"], middle)
    return change.finish(f"{conv.site.label} + a convolution to {middle} channels in front")


def _embed_patches(source: Source, scope: Scope, rng: random.Random) -> Rewrite | None:
    conv = _stem(source, scope)
    if conv is None or conv.stride != "1" or not conv.kernel.isdigit():
        return None
    size = rng.choice((3, 5))
    change = Change(source)
    change.set_kernel(conv, size, padding=size // 2)
    if "stride" in conv.nodes:
        change.replace(conv.nodes["stride"], "2")
    else:
        change.add_argument(conv.site.call, "stride=2")
    return change.finish(f"{conv.site.label} -> overlapping {size}x{size} patches")


def _add_coordinates(source: Source, scope: Scope, rng: random.Random) -> Rewrite | None:
    conv = _stem(source, scope)
    if conv is None:
        return None
    change = Change(source)
    change.put_before(conv.site, "coordinates", f"{change.part('CoordinateInput')}()")
    change.replace(conv.nodes["in_channels"], "3 + 2")
    return change.finish(f"{conv.site.label} + coordinate channels")


def _embed_positions(source: Source, scope: Scope, rng: random.Random) -> Rewrite | None:
    stages = find_stages(source) if scope.has_network else []
    if not stages:
        return None
    change = Change(source)
    size = rng.choice((4, 8, 16))
    layer = f"{change.part('PositionEmbedding')}({stages[0].out_channels}, size={size})"
    change.put_behind(stages[0].site, "position", layer)
    return change.finish(f"{stages[0].site.label} + position embedding")


OPERATORS = (
    Operator("larger stem kernel", _widen_kernel, (c.INPUT,), ("kernel of the stem", "larger stem")),
    Operator(
        "second stem convolution",
        _add_convolution,
        (c.INPUT,),
        ("cnn stem", "convolutional stem", "3x3 convolutions with stride 1", "stem"),
    ),
    Operator(
        "patch embedding", _embed_patches, (c.INPUT, c.SCALING), ("patch embedding", "patches", "resolution earlier")
    ),
    Operator("coordinate channels", _add_coordinates, (c.INPUT,), ("coordinate of each pixel", "coordconv")),
    Operator("position embedding", _embed_positions, (c.INPUT,), ("position embedding", "positional embedding")),
)
