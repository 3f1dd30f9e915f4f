"""A layer that keeps the shape of features is put behind a normalisation, or behind a stage of `Network`."""

from __future__ import annotations

import random
from functools import partial

from fairnad.architectures.source import Source
from fairnad.generators.operators import categories as c
from fairnad.generators.operators.base import Operator, Rewrite, Scope
from fairnad.generators.operators.change import Change
from fairnad.generators.operators.choice import main_sites, outside
from fairnad.generators.operators.sites import NORMS, Site, find_sites, find_stages, norm_channels

__all__ = ["OPERATORS"]


def _add(source: Source, scope: Scope, rng: random.Random, *, part: str, attribute: str, name: str) -> Rewrite | None:
    """Put the layer where the scope allows it: rather behind a stage if only `Network` may be altered."""
    blocks = [owner for owner in outside(source, scope.owners, part) if owner != "Network"]
    places = _norms(source, blocks, scope, rng) if blocks else []
    if scope.has_network and (not places or rng.random() < 0.3):
        places = _stages(source, scope, rng) or places
    if not places:
        return None
    change = Change(source)
    called = change.part(part)
    for site, channels in places:
        change.put_behind(site, attribute, f"{called}()" if part == "DropPath" else f"{called}({channels})")
    return change.finish(f"{', '.join(dict.fromkeys(site.label for site, _ in places))} + {name}")


def _append(
    source: Source, scope: Scope, rng: random.Random, *, part: str, attribute: str, name: str
) -> Rewrite | None:
    """Put the layer behind the last stage: its cost grows with the square of the positions."""
    stages = find_stages(source) if scope.has_network else []
    if not stages:
        return None
    change = Change(source)
    change.put_behind(stages[-1].site, attribute, f"{change.part(part)}({stages[-1].out_channels})")
    return change.finish(f"{stages[-1].site.label} + {name}")


def _norms(source: Source, owners: list[str], scope: Scope, rng: random.Random) -> list[tuple[Site, str]]:
    """Return one normalisation, most often the last of a block, where the residual branch ends."""
    found = [(site, norm_channels(source, site)) for site in find_sites(source, owners, NORMS)]
    known = {site: channels for site, channels in found if channels is not None}
    sites = main_sites(source, list(known))
    if not sites:
        return []
    owner = rng.choice(list(dict.fromkeys(site.owner for site in sites)))
    group = [site for site in sites if site.owner == owner]
    site = group[-1] if "last convolution" in scope.wish or rng.random() < 0.7 else rng.choice(group)
    return [(site, known[site])]


def _stages(source: Source, scope: Scope, rng: random.Random) -> list[tuple[Site, str]]:
    """Return one stage, the later the likelier, as its feature maps are small; or every stage if the idea says so."""
    stages = [(stage.site, stage.out_channels) for stage in find_stages(source)]
    if "each stage" in scope.wish and len(stages) > 1:
        return stages[1:]
    return rng.choices(stages, weights=[4**place for place in range(len(stages))]) if stages else []


def _layer(part: str, attribute: str, name: str, mains: tuple[str, ...], keywords: tuple[str, ...]) -> Operator:
    apply = partial(_add, part=part, attribute=attribute, name=name)
    return Operator(name, apply, mains, keywords, prefix=part)


def _last_layer(part: str, attribute: str, name: str, mains: tuple[str, ...], keywords: tuple[str, ...]) -> Operator:
    return Operator(name, partial(_append, part=part, attribute=attribute, name=name), mains, keywords)


OPERATORS = (
    _layer(
        "SqueezeExcitation",
        "se",
        "squeeze-and-excitation",
        (c.RECALIBRATION, c.ARRANGEMENT),
        (
            "channel attention (se block)",
            "squeeze-and-excitation",
            "squeeze",
            "use_se",
            "se block",
            "channel attention",
        ),
    ),
    _layer(
        "EfficientChannelAttention",
        "eca",
        "efficient channel attention",
        (c.RECALIBRATION,),
        ("one-dimensional convolution", "without the linear layers", "eca"),
    ),
    _layer("SpatialAttention", "spatial", "spatial attention", (c.RECALIBRATION,), ("spatial attention", "cbam")),
    _layer(
        "CoordinateAttention",
        "coordinate",
        "coordinate attention",
        (c.RECALIBRATION,),
        ("coordinate attention", "along the height", "rows and columns"),
    ),
    _layer("MultiScaleAttention", "scales", "multi-scale attention", (c.RECALIBRATION,), ("multi-scale attention",)),
    _layer(
        "MultiScalePooling",
        "pyramid",
        "multi-scale pooling",
        (c.FUSION, c.RECALIBRATION),
        ("multi-scale feature fusion", "pyramid", "multi-scale pooling", "multi-scale feature extraction"),
    ),
    _layer(
        "GlobalContext",
        "context",
        "global context",
        (c.RECALIBRATION, c.PATTERNS, c.EFFICIENT_TRANSFORMER),
        ("global context", "local-global", "share one query"),
    ),
    _layer(
        "GlobalResponseNorm",
        "grn",
        "global response normalisation",
        (c.NORMALIZATION,),
        ("grn", "global response"),
    ),
    _layer(
        "LayerScale",
        "scale",
        "layer scale",
        (c.BRANCHES, c.FUSION),
        ("learnable layer scale", "layer scale", "learnable scalar", "weight per channel"),
    ),
    _layer(
        "DropPath",
        "drop_path",
        "stochastic depth",
        (c.DYNAMIC, c.BLOCKS),
        ("stochastic depth", "drop path", "droppath", "dropped"),
    ),
    _layer("InputGate", "gate", "input-dependent gate", (c.DYNAMIC,), ("gate every", "scalar for each image", "gate")),
    _layer("SpatialMask", "mask", "spatial mask", (c.DYNAMIC,), ("spatial mask", "mask")),
    _layer(
        "LargeKernelGate",
        "large_kernel",
        "large-kernel gate",
        (c.EFFICIENT_TRANSFORMER, c.EXTRACTION),
        ("stand in for attention", "large-kernel depthwise", "large kernel attention"),
    ),
    _layer(
        "LargeKernelResidual",
        "local",
        "large depthwise kernel",
        (c.EXTRACTION, c.EFFICIENT_CONVOLUTION),
        ("local convolution", "large-kernel", "large kernel", "7x7 depthwise"),
    ),
    _layer("ChannelMLP", "mlp", "channel MLP", (c.EXTRACTION,), ("channel-mixing-mlp", "channel-mixing", "mlp")),
    _layer("TokenMLP", "token_mlp", "token MLP", (c.EXTRACTION,), ("token-mixing-mlp", "token-mixing", "spatial mlp")),
    _layer(
        "ConvPositionEncoding",
        "position",
        "convolutional position encoding",
        (c.INPUT,),
        ("position embedding", "encodes position", "position encoding"),
    ),
    _last_layer(
        "SelfAttention",
        "attention",
        "self-attention",
        (c.EXTRACTION, c.EFFICIENT_TRANSFORMER, c.PATTERNS),
        ("self-attention", "attention", "reduced key dimension", "quarter of the channels"),
    ),
    _layer(
        "PooledAttention",
        "attention",
        "attention to pooled patches",
        (c.EFFICIENT_TRANSFORMER, c.PATTERNS),
        ("patch-based transformer", "average-pool keys", "pooled keys", "patch summaries", "spatial reduction"),
    ),
    _layer(
        "WindowAttention",
        "attention",
        "window attention",
        (c.EFFICIENT_TRANSFORMER, c.BLOCKS),
        ("windowed attention", "window", "swin"),
    ),
    _layer(
        "LinearAttention", "attention", "linear attention", (c.EFFICIENT_TRANSFORMER,), ("linear attention", "linearly")
    ),
    _layer(
        "AxialAttention", "attention", "axial attention", (c.EFFICIENT_TRANSFORMER,), ("axial", "own row", "own column")
    ),
    _last_layer(
        "TransformerBlock",
        "transformer",
        "transformer block",
        (c.PATTERNS, c.ARRANGEMENT, c.EXTRACTION),
        ("transformer block", "stacked transformer", "hybrid", "layer normalization before attention"),
    ),
)
