"""Normalisation layers give way to others."""

from __future__ import annotations

import random
from functools import partial

from fairnad.architectures.source import Source
from fairnad.generators.operators import categories as c
from fairnad.generators.operators.base import Operator, Rewrite, Scope
from fairnad.generators.operators.change import Change
from fairnad.generators.operators.choice import choose_sites, outside, replaceable
from fairnad.generators.operators.sites import NORMS, find_sites, norm_channels

__all__ = ["OPERATORS"]


def _renormalize(source: Source, scope: Scope, rng: random.Random, *, kind: str, name: str) -> Rewrite | None:
    sites = find_sites(source, outside(source, scope.owners, kind), set(NORMS) - {kind})
    sites = replaceable(source, [site for site in sites if norm_channels(source, site) is not None])
    chosen = choose_sites(source, sites, scope, rng)
    if not chosen:
        return None
    change = Change(source)
    for site in chosen:
        change.replace(site.call, _layer_text(change, kind, norm_channels(source, site) or ""))
    return change.finish(f"{', '.join(dict.fromkeys(site.label for site in chosen))} -> {name}")


def _layer_text(change: Change, kind: str, channels: str) -> str:
    if kind == "GroupNorm":
        groups = f"math.gcd(8, {channels})"
        return f"nn.GroupNorm({groups}, {channels})"
    return f"nn.BatchNorm2d({channels})" if kind == "BatchNorm2d" else f"{change.part(kind)}({channels})"


def _norm(kind: str, name: str, keywords: tuple[str, ...], prefix: str) -> Operator:
    return Operator(name, partial(_renormalize, kind=kind, name=name), (c.NORMALIZATION,), keywords, prefix=prefix)


OPERATORS = (
    _norm("GroupNorm", "group normalisation", ("group norm",), "GroupNorm"),
    _norm("ChannelLayerNorm", "layer normalisation", ("layer norm",), "LayerNorm"),
    _norm("InstanceBatchNorm", "instance and batch normalisation", ("instance norm",), "InstanceNorm"),
    _norm("BatchNorm2d", "batch normalisation", ("batch norm",), "BatchNorm"),
)
