"""Whether a module in a reply is all of one: what it defines, what it leaves out, whether it differs from another."""

from __future__ import annotations

import ast
import builtins
import re
from collections import deque
from collections.abc import Iterator, Sequence

from fairnad.llm.python_text import Module

__all__ = [
    "defines",
    "definitions_for",
    "ends_early",
    "is_same_code",
    "left_out",
    "missing_names",
    "tells_of_omission",
    "top_definitions",
]

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_ALWAYS_BOUND = frozenset(dir(builtins)) | {"__file__", "__name__", "__class__", "__module__", "__qualname__"}

_ELLIPSIS = re.compile(r"[\[(<{*\s]*(?:\.{3}|\u2026)|.*(?:\.{3}|\u2026)[\])>}*\s]*$")
_ELLIPSIS_STATEMENT = re.compile(r"(?:^|:)[ \t]*\.\.\.", re.MULTILINE)
_NO_WORDS = re.compile(r"(?:\.{3,}|\u2026)$")
_OMISSION = re.compile(
    r"\b(?:unchanged|unmodified|not changed|no changes?|identical|omitted|rest of|remainder|remain(?:s|ing)?|existing|"
    r"previous(?:ly)?|as (?:before|above|is|in the)|same|other (?:methods?|class(?:es)?|layers?|parts?|functions?)|"
    r"original|your (?:code|implementation)|(?:goes|code|implementation) here|"
    r"for brevity|to be (?:added|implemented))\b",
    re.IGNORECASE,
)


def defines(tree: ast.Module, name: str | None) -> bool:
    """Return whether the module defines the class `name` (any, for None), in its body or under an `if` or `try`.

    A name that is assigned counts too: what it stands for shows only when it is executed.
    """
    for node in _top_statements(tree.body):
        if isinstance(node, ast.ClassDef) and name in (None, node.name):
            return True
        if name is not None and isinstance(node, ast.Assign | ast.AnnAssign) and name in _bindings(node):
            return True
    return False


def _bindings(node: ast.AST) -> set[str]:
    """Return the names that `node` binds itself, not within it; {"*"} for a star import."""
    if isinstance(node, _DEFINITIONS):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {alias.asname or alias.name.partition(".")[0] for alias in node.names}
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return {part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)}
    return set()


def missing_names(tree: ast.Module) -> set[str]:
    """Return the names that are used but bound nowhere in the module, in whatever scope."""
    used: set[str] = set()
    bound: set[str] = set(_ALWAYS_BOUND)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else bound).add(node.id)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar):
            bound.add(node.name or "")
        elif isinstance(node, ast.Global):
            bound.update(node.names)
        else:
            bound |= _bindings(node)
    return set() if "*" in bound else used - bound


def left_out(module: Module, name: str | None) -> str:
    """Return what shows that code was left out of `module`, "" if nothing does.

    A comment such as "rest as before" counts where it stands in place of code: with an ellipsis, as the last thing of
    its block, or where names are missing. The same words above code that is there describe it.
    """
    for node in ast.walk(module.tree) if _ELLIPSIS_STATEMENT.search(module.text) else ():
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and node.value.value is Ellipsis:
            return f"line {node.lineno}: `...` stands in place of code"
    for node in _top_statements(module.tree.body):
        if isinstance(node, ast.ClassDef) and name in (None, node.name) and _lacks_forward(node):
            return f"line {node.lineno}: class {node.name} has no forward"
    end = max((node.end_lineno or 0 for node in module.tree.body if name in _bindings(node)), default=0)
    is_missing: bool | None = None
    for line, comment, is_in_place in _omissions(module.text):
        if not (is_in_place and line <= end):
            is_missing = bool(missing_names(module.tree)) if is_missing is None else is_missing
            if not is_missing:
                continue
        return f"line {line}: {comment!r} stands in place of code"
    return ""


def tells_of_omission(text: str) -> bool:
    """Return whether a comment in `text`, which need not parse, stands in place of code."""
    return any(is_in_place for _, _, is_in_place in _omissions(text))


def ends_early(tree: ast.Module) -> bool:
    """Return whether the module stops in a class or `forward` that is not complete: a cut that leaves valid Python."""
    last = tree.body[-1] if tree.body else None
    if isinstance(last, ast.ClassDef) and _lacks_forward(last):
        return True
    while isinstance(last, ast.ClassDef | ast.If | ast.Try) and last.body:
        last = last.body[-1]
    if not isinstance(last, ast.FunctionDef) or last.name not in ("forward", "__init__"):
        return False
    return last.name == "__init__" or not any(isinstance(node, ast.Return | ast.Raise) for node in ast.walk(last))


def is_same_code(one: ast.Module, other: ast.Module) -> bool:
    """Return whether two modules differ at most in comments, docstrings and layout."""
    waiting: deque[tuple[object, object]] = deque([(one, other)])
    while waiting:
        a, b = waiting.popleft()
        if type(a) is not type(b):
            return False
        if isinstance(a, ast.AST) and isinstance(b, ast.AST):
            waiting.extend((_field(a, field), _field(b, field)) for field in a._fields)
        elif isinstance(a, list) and isinstance(b, list):
            if len(a) != len(b):
                return False
            waiting.extend(zip(a, b, strict=True))
        elif a != b:
            return False
    return True


def top_definitions(tree: ast.Module) -> set[str]:
    """Return the names of the classes and functions at the top of a module."""
    return {node.name for node in tree.body if isinstance(node, _DEFINITIONS)}


def definitions_for(module: Module, others: Sequence[Module]) -> str:
    """Return the statements of `others` that bind what `module` uses but does not, and what those use in turn.

    Where several of `others` bind a name, the last one is taken.
    """
    wanted = missing_names(module.tree) if others else set()
    sought = set(wanted)
    chosen: dict[tuple[int, int], str] = {}
    places = [(n, k, node) for n, other in enumerate(others) for k, node in enumerate(other.tree.body)][::-1]
    while wanted:
        name = wanted.pop()
        place = next(((n, k, node) for n, k, node in places if name in _bindings(node)), None)
        if place is not None and place[:2] not in chosen:
            chosen[place[:2]] = _statement_text(others[place[0]], place[2])
            more = missing_names(ast.Module(body=[place[2]], type_ignores=[])) - sought
            wanted |= more
            sought |= more
    for n in {n for n, _ in chosen}:  # more than is needed, but a reader expects the imports to be together
        imports = [
            (k, node) for k, node in enumerate(others[n].tree.body) if isinstance(node, ast.Import | ast.ImportFrom)
        ]
        chosen |= {(n, k): _statement_text(others[n], node) for k, node in imports}
    return "\n".join(chosen[key] for key in sorted(chosen))


def _statement_text(module: Module, node: ast.stmt) -> str:
    """Return the lines of a statement, with its decorators."""
    decorators = node.decorator_list if isinstance(node, _DEFINITIONS) else []
    first = min([node.lineno, *(decorator.lineno for decorator in decorators)])
    return "\n".join(module.text.split("\n")[first - 1 : node.end_lineno])


def _top_statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements of a module that run in its own scope."""
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.Try | ast.With):
            for part in ("body", "orelse", "finalbody"):
                yield from _top_statements(getattr(node, part, []))
            for handler in getattr(node, "handlers", []):
                yield from _top_statements(handler.body)


def _field(node: ast.AST, field: str) -> object:
    value = getattr(node, field, None)
    if (
        field == "body"
        and isinstance(node, (ast.Module, *_DEFINITIONS))
        and ast.get_docstring(node, clean=False) is not None
    ):
        return value[1:] if isinstance(value, list) else value
    return value


def _lacks_forward(node: ast.ClassDef) -> bool:
    """Return whether a class has no `forward` although its base brings none, or one that does nothing."""
    bases = [base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "") for base in node.bases]
    if bases != ["Module"]:
        return False
    bound = [inner for inner in node.body if "forward" in _bindings(inner)]
    return not bound or all(isinstance(inner, ast.Pass) for inner in getattr(bound[-1], "body", [node]))


def _omissions(text: str) -> Iterator[tuple[int, str, bool]]:
    """Yield (line, text, whether it stands in place of code) of each comment that tells of code left out."""
    lines = text.split("\n")
    indent_after = 0  # of the next line of code; the lines are read from the last one up
    for number in range(len(lines), 0, -1):
        content = lines[number - 1].lstrip()
        indent = len(lines[number - 1]) - len(content)
        comment = content.strip("# ")
        if content.startswith("#") and (_OMISSION.search(comment) or _NO_WORDS.match(comment)):
            yield number, comment, _ELLIPSIS.match(comment) is not None or indent_after < indent
        elif content and not content.startswith("#"):
            indent_after = indent
