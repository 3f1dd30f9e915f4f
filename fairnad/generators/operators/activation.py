"""Activations give way to others, as layers (`nn.ReLU()`) and as functions (`F.relu(x)`)."""

from __future__ import annotations

import ast
import random
from functools import partial

from fairnad.architectures.source import Source, callee_name
from fairnad.generators.operators import categories as c
from fairnad.generators.operators.base import Operator, Rewrite, Scope
from fairnad.generators.operators.change import Change
from fairnad.generators.operators.choice import choose_sites
from fairnad.generators.operators.sites import ACTIVATIONS, find_sites, is_part

__all__ = ["OPERATORS"]

_FUNCTIONS = {"SiLU": "F.silu", "GELU": "F.gelu", "Hardswish": "F.hardswish", "ReLU6": "F.relu6", "ReLU": "F.relu"}
_NAMES = frozenset({"relu", "relu_", "relu6", "silu", "gelu", "hardswish", "leaky_relu", "elu", "mish"})


def _activate(source: Source, scope: Scope, rng: random.Random, *, kind: str) -> Rewrite | None:
    chosen = choose_sites(source, find_sites(source, scope.owners, ACTIVATIONS - {kind}), scope, rng)
    change = Change(source)
    if chosen:
        for site in chosen:
            change.replace(site.call, f"nn.{kind}()")
        return change.finish(f"{', '.join(dict.fromkeys(site.label for site in chosen))} -> {kind}")
    calls = _function_calls(source, scope, kind)
    if not calls:
        return None
    owner = rng.choice(list(dict.fromkeys(name for name, _ in calls)))
    for name, call in calls:
        if name == owner:
            change.replace(call, f"{_FUNCTIONS[kind]}({source.code(call.args[0])})")
    return change.finish(f"{owner} -> {kind}")


def _function_calls(source: Source, scope: Scope, kind: str) -> list[tuple[str, ast.Call]]:
    """Return the calls of activation functions that are not within another one, with the class they are in."""
    if kind not in _FUNCTIONS:
        return []
    found = []
    for owner in scope.owners:
        calls = [node for node in ast.walk(source.definitions[owner]) if _is_function(node, kind)]
        outer = [call for call in calls if not any(other in calls for other in source.around(call))]
        found += [(owner, call) for call in outer if isinstance(call, ast.Call)]
    return [pair for pair in found if not is_part(source, pair[0])] or found


def _is_function(node: ast.AST, kind: str) -> bool:
    """Return whether `node` is `F.relu(x)` or the like, rather than a call of a layer such as `self.relu(x)`."""
    if not isinstance(node, ast.Call) or not node.args or not isinstance(node.func, ast.Attribute):
        return False
    module = node.func.value
    is_library = isinstance(module, ast.Name) and module.id != "self"
    name = callee_name(node)
    return is_library and name in _NAMES and f"F.{name}" != _FUNCTIONS[kind]


def _activation(kind: str, keywords: tuple[str, ...]) -> Operator:
    mains = (c.ACTIVATION,)
    return Operator(kind, partial(_activate, kind=kind), mains, (*keywords, "change activation"), prefix=kind.title())


OPERATORS = (
    _activation("SiLU", ("silu", "swish")),
    _activation("GELU", ("gelu",)),
    _activation("PReLU", ("prelu", "learnable negative slope")),
    _activation("Hardswish", ("hardswish", "hard-swish")),
    _activation("ReLU6", ("relu6",)),
    _activation("ReLU", ()),
)
