"""Networks written for MMEngine's registries, as plain modules: nothing but the registry is taken out."""

from __future__ import annotations

import ast
import re

from fairnad.architectures.source import Edit, Source, splice
from fairnad.errors import ConfigError, ReplyError

__all__ = ["unwrap_registry"]

_PACKAGES = re.compile(r"mm(?:engine|cv|cls|pretrain|det|seg)(?:\.|$)")


def unwrap_registry(source: str) -> str:
    """Return `source` without decorators that register a class, and without imports of MMEngine that nothing uses.

    Raises:
        ReplyError: "syntax": `source` is not Python.
    """
    try:
        parsed = Source(source)
    except (ConfigError, RecursionError, MemoryError) as error:
        raise ReplyError("syntax", f"the code is not valid Python: {error}") from error
    nodes = list(ast.walk(parsed.tree))
    decorators = [
        decorator for node in nodes if isinstance(node, ast.ClassDef) for decorator in node.decorator_list
        if _registers(decorator)
    ]  # fmt: skip
    ignored = {id(part) for decorator in decorators for part in ast.walk(decorator)}
    used = {node.id for node in nodes if isinstance(node, ast.Name) and id(node) not in ignored}
    unused = [
        node for node in parsed.tree.body
        if isinstance(node, ast.Import | ast.ImportFrom) and _is_of_registry(node) and not _bound(node) & used
    ]  # fmt: skip
    return splice(parsed.text, [_without_lines(parsed, node) for node in (*decorators, *unused)])


def _registers(decorator: ast.expr) -> bool:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return isinstance(called, ast.Attribute) and called.attr == "register_module"


def _is_of_registry(node: ast.Import | ast.ImportFrom) -> bool:
    names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
    return all(_PACKAGES.match(name) for name in names)


def _bound(node: ast.Import | ast.ImportFrom) -> set[str]:
    return {alias.asname or alias.name.partition(".")[0] for alias in node.names}


def _without_lines(parsed: Source, node: ast.expr | ast.stmt) -> Edit:
    start, end = parsed.span(node)
    start = parsed.text.rfind("\n", 0, start) + 1  # with the `@` of a decorator
    return Edit(start, min(parsed.line_end(end) + 1, len(parsed.text)), "")
