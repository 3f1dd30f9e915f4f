"""Names in a syntax tree: which ones a module uses without binding them, and what a statement binds."""

from __future__ import annotations

import ast
import builtins

__all__ = ["bindings", "missing_names", "nodes_of"]

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_ASSIGNMENTS = (ast.Assign, ast.AnnAssign, ast.AugAssign)
_PARTS = (ast.arg, ast.ExceptHandler, ast.MatchAs, ast.MatchStar)
_BINDERS = frozenset((*_DEFINITIONS, *_ASSIGNMENTS, *_PARTS, ast.Import, ast.ImportFrom, ast.Global))
_ALWAYS_BOUND = frozenset(dir(builtins)) | {"__file__", "__name__", "__class__", "__module__", "__qualname__"}
_NO_NODES = frozenset(
    {"asname", "attr", "conversion", "ctx", "id", "is_async", "kind", "kwd_attrs", "level", "module", "op", "ops"}
)
"""Fields that hold no nodes, or only contexts and operators, which have none of their own."""
_LEAVES = (ast.Constant, ast.Global, ast.Nonlocal)
_GAPS = frozenset({"keys", "kw_defaults"})
"""Fields with lists in which None stands where there is no node."""


def nodes_of(tree: ast.AST) -> list[ast.AST]:
    """Return the nodes of `tree` but for operators, in the order of `ast.walk`, which takes three times as long."""
    found = [tree]
    for node in found:
        names = _FIELDS.get(type(node))
        for name in _fields(type(node)) if names is None else names:
            value = getattr(node, name)
            if type(value) is list:
                found += filter(None, value) if name in _GAPS else value
            elif isinstance(value, ast.AST):
                found.append(value)
    return found


_FIELDS: dict[type, tuple[str, ...]] = {}
"""What `_fields` returned."""


def _fields(kind: type[ast.AST]) -> tuple[str, ...]:
    names = () if kind in _LEAVES else tuple(name for name in kind._fields if name not in _NO_NODES)
    return _FIELDS.setdefault(kind, names)


def missing_names(tree: ast.AST) -> frozenset[str]:
    """Return the names that are used but bound nowhere in the module, in whatever scope."""
    used: set[str] = set()
    bound: set[str] = set(_ALWAYS_BOUND)
    for node in nodes_of(tree):
        if isinstance(node, ast.Name):
            (used if type(node.ctx) is ast.Load else bound).add(node.id)
        elif type(node) in _BINDERS:
            bound |= _bound_by(node)
    return frozenset() if "*" in bound else frozenset(used - bound)


def bindings(node: ast.AST) -> set[str]:
    """Return the names that the statement `node` binds itself, not within it; {"*"} for a star import."""
    if isinstance(node, _DEFINITIONS):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {alias.asname or alias.name.partition(".")[0] for alias in node.names}
    if isinstance(node, _ASSIGNMENTS):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return {name for target in targets for name in _names_in(target)}
    return set()


def _names_in(target: ast.expr) -> list[str]:
    while isinstance(target, ast.Attribute):  # mostly an attribute of `self`
        target = target.value
    return [target.id] if isinstance(target, ast.Name) else [n.id for n in nodes_of(target) if isinstance(n, ast.Name)]


def _bound_by(node: ast.AST) -> set[str]:
    """Return what a statement binds, or a part of one: an argument, a pattern, the name of an exception."""
    if isinstance(node, _PARTS):
        return {node.arg if isinstance(node, ast.arg) else node.name or ""}
    return set(node.names) if isinstance(node, ast.Global) else bindings(node)
