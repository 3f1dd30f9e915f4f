"""Widths and depths of the whole network."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

from fairnad.architectures.knobs import Knob, KnobKind, find, set_knobs
from fairnad.architectures.source import Source
from fairnad.generators.operators import categories as c
from fairnad.generators.operators.base import Operator, Rewrite, Scope

__all__ = ["OPERATORS"]

_MULTIPLE = 4
_Plan = Callable[[list[int], list[int], random.Random], tuple[list[int], list[int]]]
"""From the widths and repeats of a network to new ones."""


def _resize(source: Source, scope: Scope, rng: random.Random, *, plan: _Plan) -> Rewrite | None:
    if not scope.has_network:
        return None
    knobs = find(source.text)
    widths = [knob for knob in knobs if knob.kind is KnobKind.WIDTH]
    repeats = [knob for knob in knobs if knob.kind is KnobKind.REPEAT]
    new_widths, new_repeats = plan([knob.value for knob in widths], [knob.value for knob in repeats], rng)
    pairs = list(zip([*widths, *repeats], [*new_widths, *new_repeats], strict=True))
    changed = [(knob, value) for knob, value in pairs if value != knob.value]
    if not changed:
        return None
    text = set_knobs(source.text, knobs, {knob.name: value for knob, value in changed})
    return Rewrite(text, f"Network: {', '.join(_in_words(knob, value) for knob, value in changed)}")


def _in_words(knob: Knob, value: int) -> str:
    return f"width {knob.value} -> {value}" if knob.kind is KnobKind.WIDTH else f"{knob.name}: {knob.value} -> {value}"


def _widen(widths: list[int], repeats: list[int], rng: random.Random) -> tuple[list[int], list[int]]:
    return _scaled(widths, rng.choice((1.25, 1.5))), repeats


def _widen_later(widths: list[int], repeats: list[int], rng: random.Random) -> tuple[list[int], list[int]]:
    most = rng.choice((0.25, 0.5))
    last = max(1, len(widths) - 1)
    return [_scaled([width], 1 + most * place / last)[0] for place, width in enumerate(widths)], repeats


def _deepen(widths: list[int], repeats: list[int], rng: random.Random) -> tuple[list[int], list[int]]:
    chosen = rng.randrange(len(repeats)) if repeats and rng.random() < 0.5 else None
    more = rng.choice((1, 2))
    return widths, [repeat + (more if chosen in (None, place) else 0) for place, repeat in enumerate(repeats)]


def _compound(widths: list[int], repeats: list[int], rng: random.Random) -> tuple[list[int], list[int]]:
    return _scaled(widths, rng.choice((1.2, 1.3))), [repeat + 1 for repeat in repeats]


def _narrow_and_deepen(widths: list[int], repeats: list[int], rng: random.Random) -> tuple[list[int], list[int]]:
    return _scaled(widths, 0.75), [repeat + 2 for repeat in repeats]


def _widen_and_flatten(widths: list[int], repeats: list[int], rng: random.Random) -> tuple[list[int], list[int]]:
    return _scaled(widths, 1.5), [max(1, repeat - max(1, repeat // 2)) for repeat in repeats]


def _move_depth(widths: list[int], repeats: list[int], rng: random.Random) -> tuple[list[int], list[int]]:
    """Move repeats from the first stage to a later one, the middle one most often."""
    if len(repeats) < 2:
        return widths, repeats
    taken = max(1, repeats[0] // 2) if repeats[0] > 1 else 0
    target = len(repeats) // 2 if rng.random() < 0.7 else len(repeats) - 1
    moved = [repeats[0] - taken, *repeats[1:]]
    moved[target] += max(1, taken)
    return widths, moved


def _scaled(widths: list[int], factor: float) -> list[int]:
    """Return `widths` times `factor`, in multiples of 4 and different from before where it matters."""
    return [max(_MULTIPLE, _MULTIPLE * round(width * factor / _MULTIPLE)) for width in widths]


def _operator(name: str, plan: _Plan, mains: tuple[str, ...], keywords: tuple[str, ...]) -> Operator:
    return Operator(name, partial(_resize, plan=plan), mains, keywords)


OPERATORS = (
    _operator(
        "widen", _widen, (c.SCALING, c.PATTERNS), ("channel width scaling", "hierarchical channel scaling", "widen")
    ),
    _operator(
        "widen later stages",
        _widen_later,
        (c.SCALING, c.PATTERNS),
        ("hierarchical channel scaling", "channel width scaling", "grow almost linearly"),
    ),
    _operator("deepen", _deepen, (c.SCALING, c.PATTERNS), ("hierarchical structure", "deepen", "depth")),
    _operator("compound scaling", _compound, (c.SCALING,), ("compound scaling", "depth and width", "together")),
    _operator("narrower and deeper", _narrow_and_deepen, (c.SCALING,), ("narrow every", "trades width for depth")),
    _operator("wider and shallower", _widen_and_flatten, (c.SCALING,), ("wider and shallower", "shallower")),
    _operator(
        "depth moved to later stages",
        _move_depth,
        (c.PATTERNS, c.SCALING),
        ("multi-stage hierarchical", "hierarchical structure", "move two blocks", "middle of the network"),
    ),
)
