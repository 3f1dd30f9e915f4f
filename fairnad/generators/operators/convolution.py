"""A spatial convolution gives way to another layer with the same inputs and outputs, or changes its kernel."""

from __future__ import annotations

import random
from functools import partial

from fairnad.architectures.source import Source
from fairnad.generators.operators import categories as c
from fairnad.generators.operators.base import Operator, Rewrite, Scope
from fairnad.generators.operators.change import Change
from fairnad.generators.operators.choice import choose_sites, outside, replaceable
from fairnad.generators.operators.sites import Conv, find_convs

__all__ = ["OPERATORS"]

_KERNELS = (3, 5, 7)


def _choose(source: Source, scope: Scope, rng: random.Random, convs: list[Conv]) -> list[Conv]:
    chosen = choose_sites(source, [conv.site for conv in convs], scope, rng)
    return [conv for conv in convs if conv.site in chosen]


def _substitute(source: Source, scope: Scope, rng: random.Random, *, part: str, name: str) -> Rewrite | None:
    owners = outside(source, scope.owners, part)
    plain = [conv for conv in find_convs(source, owners) if conv.is_plain]
    allowed = replaceable(source, [conv.site for conv in plain])
    chosen = _choose(source, scope, rng, [conv for conv in plain if conv.site in allowed])
    if not chosen:
        return None
    change = Change(source)
    called = change.part(part)
    for conv in chosen:
        kernel = "" if conv.kernel == "3" else f", {conv.kernel}"
        stride = "" if conv.stride == "1" else f", stride={conv.stride}"
        change.replace(conv.site.call, f"{called}({conv.in_channels}, {conv.out_channels}{kernel}{stride})")
    return change.finish(f"{_labels(chosen)} -> {name}")


def _change_kernel(source: Source, scope: Scope, rng: random.Random) -> Rewrite | None:
    convs = find_convs(source, scope.owners)
    chosen = _choose(source, scope, rng, [x for x in convs if x.is_same and x.kernel.isdigit() and x.kernel != "1"])
    if not chosen:
        return None
    others = [size for size in _KERNELS if size != int(chosen[0].kernel)]
    wished = [size for size in others if f"to {size}x{size}" in scope.wish]
    size = rng.choice(wished or others)
    change = Change(source)
    for conv in chosen:
        change.set_kernel(conv, size, padding=size // 2)
    return change.finish(f"{_labels(chosen)} -> kernel {size}x{size}")


def _dilate(source: Source, scope: Scope, rng: random.Random) -> Rewrite | None:
    convs = [x for x in find_convs(source, scope.owners) if x.is_plain and x.kernel.isdigit()]
    chosen = _choose(source, scope, rng, [conv for conv in convs if "dilation" not in conv.nodes])
    if not chosen:
        return None
    change = Change(source)
    for conv in chosen:
        change.set_kernel(conv, int(conv.kernel), padding=2 * (int(conv.kernel) // 2))
        change.add_argument(conv.site.call, "dilation=2")
    return change.finish(f"{_labels(chosen)} -> dilation 2")


def _labels(convs: list[Conv]) -> str:
    return ", ".join(dict.fromkeys(conv.site.label for conv in convs))


def _layer(part: str, name: str, mains: tuple[str, ...], keywords: tuple[str, ...]) -> Operator:
    return Operator(name, partial(_substitute, part=part, name=name), mains, keywords, prefix=part.removesuffix("Conv"))


OPERATORS = (
    _layer(
        "DepthwiseSeparableConv",
        "depthwise separable convolution",
        (c.EFFICIENT_CONVOLUTION,),
        ("depthwise separable", "depthwise convolution", "separable", "depthwise"),
    ),
    _layer(
        "GroupedShuffleConv",
        "grouped convolution with channel shuffle",
        (c.EFFICIENT_CONVOLUTION, c.BLOCKS),
        ("channel shuffle", "shuffle", "grouped convolution blocks"),
    ),
    _layer(
        "GroupedMixConv",
        "grouped convolution with 1x1 mixing",
        (c.EFFICIENT_CONVOLUTION, c.EXTRACTION),
        ("grouped convolution", "group convolution", "groups", "cardinality"),
    ),
    _layer("FactorizedConv", "1x3 and 3x1 convolutions", (c.EFFICIENT_CONVOLUTION,), ("factor", "1x3", "asymmetric")),
    _layer("GhostConv", "ghost convolution", (c.EFFICIENT_CONVOLUTION,), ("ghost", "cheap", "half of a layer")),
    _layer("BottleneckConv", "bottleneck", (c.BLOCKS,), ("bottleneck block", "bottleneck")),
    _layer(
        "InvertedBottleneckConv",
        "inverted bottleneck",
        (c.BLOCKS,),
        ("inverted residual", "inverted bottleneck", "mbconv", "expands"),
    ),
    _layer(
        "ConvNeXtConv",
        "ConvNeXt layer",
        (c.BLOCKS, c.PATTERNS, c.ARRANGEMENT),
        ("convnext", "transformer-shaped", "narrow features"),
    ),
    _layer(
        "PoolingMixer",
        "pooling token mixer",
        (c.EXTRACTION, c.BLOCKS),
        ("input subtraction", "minus its own input", "poolformer", "token mixer"),
    ),
    _layer("LocalGlobalConv", "local and global halves", (c.BLOCKS, c.PATTERNS), ("local-global", "globally pooled")),
    _layer(
        "ParallelConv", "parallel 1x1 branch", (c.BRANCHES,), ("multi-branch", "parallel", "extra branch", "repvgg")
    ),
    _layer("PooledBranchConv", "pooling branch", (c.BRANCHES, c.FUSION), ("pooling branch", "pooled branch")),
    _layer(
        "ConcatBranchConv",
        "two depthwise kernels, concatenated",
        (c.BRANCHES, c.FUSION, c.EFFICIENT_CONVOLUTION),
        ("concatenation", "concatenate", "3x3 and 5x5", "3x3 and a 5x5", "inception"),
    ),
    _layer(
        "GatedConv", "gated convolution", (c.FUSION, c.RECALIBRATION), ("element-wise product", "as a gate", "gated")
    ),
    _layer(
        "MultiResolutionConv",
        "second convolution at half resolution",
        (c.FUSION, c.RECALIBRATION),
        ("multi-scale feature fusion", "half resolution", "octave", "upsample"),
    ),
    _layer(
        "SelectiveKernelConv",
        "selective kernels",
        (c.RECALIBRATION,),
        ("multi-scale attention", "selective", "choose between"),
    ),
    _layer(
        "HierarchicalConv",
        "convolutions in cascaded groups",
        (c.RECALIBRATION,),
        ("multi-scale feature extraction", "one after the other", "res2net", "multi-scale"),
    ),
    _layer(
        "DenseConv",
        "densely connected convolutions",
        (c.DENSE,),
        ("dense block", "earlier features", "densely", "dense"),
    ),
    _layer(
        "ConcatInputConv", "input concatenated and compressed", (c.DENSE, c.FUSION), ("concatenate the input", "reuse")
    ),
    _layer(
        "PartialConv", "convolution of half the channels", (c.DENSE, c.BLOCKS), ("one half of the channels", "partial")
    ),
    _layer("MixtureConv", "mixture of two convolutions", (c.DYNAMIC,), ("experts", "mixture", "dynamic convolution")),
    Operator(
        "kernel size",
        _change_kernel,
        (c.EXTRACTION,),
        ("kernel size", "enlarge the kernel", "larger kernel", "kernel"),
        prefix="Wide",
    ),
    Operator("dilation", _dilate, (c.EXTRACTION,), ("dilat", "receptive field"), prefix="Dilated"),
)
