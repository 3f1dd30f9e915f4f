"""Connections around a whole stage of `Network`."""

from __future__ import annotations

import ast
import random
from functools import partial

from fairnad.architectures.source import Source, callee_name
from fairnad.generators.operators import categories as c
from fairnad.generators.operators.base import Operator, Rewrite, Scope
from fairnad.generators.operators.change import Change
from fairnad.generators.operators.sites import IMAGE_CHANNELS, Stage, find_stages

__all__ = ["OPERATORS"]


def _bodies(source: Source, scope: Scope) -> list[Stage]:
    """Return the stages that are sequences of blocks rather than a stem."""
    stages = find_stages(source) if scope.has_network else []
    sequences = [stage for stage in stages if callee_name(stage.site.call) == "Sequential"]
    return [stage for stage in sequences if stage.in_channels not in IMAGE_CHANNELS]


def _connect(source: Source, scope: Scope, rng: random.Random, *, part: str, name: str) -> Rewrite | None:
    stages = _bodies(source, scope)
    if not stages:
        return None
    stage = rng.choice(stages)
    change = Change(source)
    change.wrap(stage.site.call, f"{change.part(part)}(", f", {stage.in_channels}, {stage.out_channels})")
    return change.finish(f"{stage.site.label} + {name}")


def _repeat(source: Source, scope: Scope, rng: random.Random) -> Rewrite | None:
    stages = [stage for stage in _bodies(source, scope) if _keeps_shape(stage)]
    if not stages:
        return None
    stage = rng.choice(stages)
    change = Change(source)
    change.wrap(stage.site.call, f"{change.part('RepeatedStage')}(", f", {stage.out_channels})")
    return change.finish(f"{stage.site.label} -> last block runs twice")


def _keeps_shape(stage: Stage) -> bool:
    """Return whether the last block of `stage` surely maps features to features of the same shape."""
    return bool(stage.site.call.args) and isinstance(stage.site.call.args[-1], ast.Starred)


OPERATORS = (
    Operator(
        "residual connection around a stage",
        partial(_connect, part="ResidualStage", name="residual connection"),
        (c.BRANCHES, c.PATTERNS),
        ("residual connections", "group of consecutive blocks", "around a stage"),
    ),
    Operator(
        "stage concatenated with its input",
        partial(_connect, part="ConcatStage", name="concatenation with its input"),
        (c.DENSE, c.FUSION),
        ("channel concatenation", "earlier stage", "concatenated once", "feature reuse"),
    ),
    Operator("last block run twice", _repeat, (c.DYNAMIC,), ("twice with the same weights", "blend")),
)
