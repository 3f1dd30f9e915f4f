"""The numbers of a network that set its size: widths of stages and repeats of blocks, found and set in its source.

Works on any source that defines `Network`; executes nothing. Widths with the same value are one knob, so that the
layers that meet keep fitting together. Kernel sizes, image channels and numbers of classes are never among them.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from fairnad.architectures.parsing import with_unix_lines
from fairnad.architectures.roles import Role, Roles
from fairnad.architectures.source import Edit, Source, splice

__all__ = ["Knob", "KnobKind", "apply", "find", "set_knobs"]

_MIN_WIDTH = 4


class KnobKind(str, Enum):
    """What a knob counts."""

    WIDTH = "width"
    REPEAT = "repeat"


@dataclass(frozen=True, slots=True)
class Knob:
    """One number of a network. `name` is unique in its source; `spans` are the places of the text that hold it."""

    name: str
    kind: KnobKind
    value: int
    spans: tuple[tuple[int, int], ...]


def find(source: str) -> tuple[Knob, ...]:
    """Return the widths and repeats of `Network` in `source`, each kind in the order of the text.

    They are those in `Network` and at the top of the module; where these hold no width (as when `Network` wraps a
    class that builds everything), those in all classes.

    Raises:
        SourceError: `source` is not Python.
    """
    parsed = Source(source)
    literals = Roles(parsed).literals
    in_network = {node: role for node, role in literals.items() if _is_in_network(parsed, node)}
    has_width = any(role is Role.WIDTH for role in in_network.values())
    return _knobs(parsed, in_network if has_width else literals)


def apply(source: str, values: Mapping[str, int]) -> str:
    """Return `source` with the knobs named in `values` set to new numbers."""
    return set_knobs(source, find(source), values)


def set_knobs(source: str, knobs: Sequence[Knob], values: Mapping[str, int]) -> str:
    """Return `source`, whose knobs are `knobs`, with those named in `values` set to new numbers."""
    changed = [knob for knob in knobs if values.get(knob.name, knob.value) != knob.value]
    edits = [Edit(*span, str(values[knob.name])) for knob in changed for span in knob.spans]
    return splice(with_unix_lines(source), edits) if edits else source


def _is_in_network(source: Source, node: ast.AST) -> bool:
    owner = [other for other in source.around(node) if isinstance(other, ast.ClassDef | ast.FunctionDef)]
    return not owner or getattr(owner[-1], "name", None) == "Network"


def _knobs(source: Source, literals: Mapping[ast.Constant, Role]) -> tuple[Knob, ...]:
    groups: dict[int, list[tuple[int, int]]] = {}
    repeats: list[Knob] = []
    ordered = sorted((source.span(node), int(str(node.value)), role) for node, role in literals.items())
    strong = {value for _, value, role in ordered if role is Role.WIDTH and value >= _MIN_WIDTH}
    for span, value, role in ordered:
        if role is Role.REPEAT and value >= 1:
            repeats.append(Knob(f"repeat {len(repeats) + 1}", KnobKind.REPEAT, value, (span,)))
        elif role is not Role.REPEAT and value in strong:
            groups.setdefault(value, []).append(span)
    widths = [Knob(f"width {value}", KnobKind.WIDTH, value, tuple(spans)) for value, spans in groups.items()]
    return (*widths, *repeats)
