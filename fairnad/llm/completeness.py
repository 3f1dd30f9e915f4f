"""Whether a module in a reply is all of one: what it defines, what it leaves out, whether it differs from another."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence

from fairnad.llm.names import bindings, missing_names, nodes_of
from fairnad.llm.python_text import Module

__all__ = [
    "defines",
    "definitions_for",
    "ends_early",
    "is_same_code",
    "left_out",
    "mentioned",
    "tells_of_omission",
    "top_definitions",
    "with_definitions",
]

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)

_COMMENT = re.compile(r"^[^\S\n]*(#.*)", re.MULTILINE)
_ELLIPSIS = re.compile(r"[\[(<{*\s]*(?:\.{3}|\u2026)|.*(?:\.{3}|\u2026)[\])>}*\s]*$")
_ELLIPSIS_STATEMENT = re.compile(r"(?:^|:)[ \t]*\.\.\.", re.MULTILINE)
_DOTTED = re.compile(r"^[^\S\n]*#[\s\[(<]*(?:\.{3}|\u2026)", re.MULTILINE)
_PASSED = re.compile(r"^[^\S\n]*(?:def|class) [^\n]*:\s*pass[^\S\n]*#([^\n]*)", re.MULTILINE)
_ALONE = re.compile(r"^#([^\n]*)\n(?=[ \t]*(?:[\n#]|\Z))", re.MULTILINE)
_CAPITALIZED = re.compile(r"\b[A-Z]\w*")
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
        if name is not None and isinstance(node, ast.Assign | ast.AnnAssign) and name in bindings(node):
            return True
    return False


def left_out(module: Module, name: str | None) -> str:
    """Return what shows that code was left out of `module`, "" if nothing does.

    A comment such as "rest as before" counts where it stands in place of code: with an ellipsis, as the last thing of
    its block, or where names are missing. The same words above code that is there describe it.
    """
    return _unwritten(module, name) or _stand_in(module) or _told(module, name)


def tells_of_omission(text: str) -> bool:
    """Return whether a comment in `text`, which need not parse, stands in place of code."""
    return any(is_in_place for _, _, is_in_place in _omissions(text)) or _DOTTED.search(text) is not None


def ends_early(tree: ast.Module) -> bool:
    """Return whether the module stops in a class or `forward` that is not complete: a cut that leaves valid Python."""
    last = tree.body[-1] if tree.body else None
    if isinstance(last, ast.ClassDef) and _lacks_forward(last):
        return True
    while isinstance(last, ast.ClassDef | ast.If | ast.Try) and last.body:
        last = last.body[-1]
    if not isinstance(last, ast.FunctionDef) or last.name not in ("forward", "__init__"):
        return False
    return last.name == "__init__" or not any(
        isinstance(node, ast.Raise) or (isinstance(node, ast.Return) and node.value is not None)
        for node in nodes_of(last)
    )


def is_same_code(one: ast.Module, other: ast.Module) -> bool:
    """Return whether two modules differ at most in comments, docstrings and layout."""
    waiting: list[tuple[object, object]] = [(one, other)]
    while waiting:
        a, b = waiting.pop()
        if type(a) is not type(b):
            return False
        if isinstance(a, ast.AST) and isinstance(b, ast.AST):
            pairs = [(_field(a, name), _field(b, name)) for name in a._fields]
        elif isinstance(a, list) and isinstance(b, list):
            if len(a) != len(b):
                return False
            pairs = list(zip(a, b, strict=True))
        elif a != b:
            return False
        else:
            continue
        waiting += [(x, y) for x, y in pairs if x is not y]  # names and operators mostly are the same objects
    return True


def top_definitions(tree: ast.Module) -> set[str]:
    """Return the names of the classes and functions at the top of a module."""
    return {node.name for node in tree.body if isinstance(node, _DEFINITIONS)}


def mentioned(module: Module, names: set[str]) -> set[str]:
    """Return those of `names` that may stand in a module: Python reads some letters of other scripts as plain ones."""
    return {name for name in names if name in module.text} if module.text.isascii() else names


def definitions_for(module: Module, others: Sequence[Module]) -> str:
    """Return the statements of `others` that bind what `module` uses but does not, and what those use in turn.

    Where several of `others` bind a name, the last one is taken.
    """
    known = {name for other in others for name in other.places.keys() - module.places.keys()}
    wanted = set(module.missing) if mentioned(module, known) else set()
    sought = set(wanted)
    chosen: dict[tuple[int, int], str] = {}
    while wanted:
        name = wanted.pop()
        n = next((n for n in reversed(range(len(others))) if name in others[n].places), None)
        if n is not None and (place := (n, others[n].places[name])) not in chosen:
            node = others[n].tree.body[place[1]]
            chosen[place] = _statement_text(others[n], node)
            more = missing_names(ast.Module(body=[node], type_ignores=[])) - sought
            wanted |= more
            sought |= more
    for n in {n for n, _ in chosen}:  # more than is needed, but a reader expects the imports to be together
        imports = [
            (k, node) for k, node in enumerate(others[n].tree.body) if isinstance(node, ast.Import | ast.ImportFrom)
        ]
        chosen |= {(n, k): _statement_text(others[n], node) for k, node in imports}
    return "\n".join(chosen[key] for key in sorted(chosen))


def with_definitions(module: Module, definitions: str) -> str:
    """Return the text of `module` with `definitions` before the first statement that needs them.

    What they import from `__future__` goes to its top, after its docstring.
    """
    body, lines = module.tree.body, definitions.split("\n")
    top = body[0].end_lineno or 0 if ast.get_docstring(module.tree, clean=False) is not None else 0
    needy = next(node for node in body if missing_names(ast.Module(body=[node], type_ignores=[])) & module.missing)
    place = _first_line(needy) - 1
    futures = [line for line in lines if line.startswith("from __future__ ")]
    others = [line for line in lines if line not in futures]
    return "\n".join([*module.lines[:top], *futures, *module.lines[top:place], *others, "", "", *module.lines[place:]])


def _statement_text(module: Module, node: ast.stmt) -> str:
    """Return the lines of a statement, with its decorators."""
    return "\n".join(module.lines[_first_line(node) - 1 : node.end_lineno])


def _first_line(node: ast.stmt) -> int:
    decorators = node.decorator_list if isinstance(node, _DEFINITIONS) else []
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])


def _top_statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements of a module that run in its own scope."""
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.Try | ast.With):
            for part in ("body", "orelse", "finalbody"):
                yield from _top_statements(getattr(node, part, []))
            for handler in getattr(node, "handlers", []):
                yield from _top_statements(handler.body)


def _field(node: ast.AST, name: str) -> object:
    value = getattr(node, name)
    if name != "body" or not isinstance(node, (ast.Module, *_DEFINITIONS)) or not isinstance(value, list):
        return value
    return value[1:] if ast.get_docstring(node, clean=False) is not None else value


def _lacks_forward(node: ast.ClassDef) -> bool:
    """Return whether a class has no `forward` although its base brings none, or one that does nothing."""
    bases = [base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "") for base in node.bases]
    if bases != ["Module"]:
        return False
    bound = [inner for inner in node.body if "forward" in bindings(inner)]
    return not bound or all(_does_nothing(inner) for inner in getattr(bound[-1], "body", [node]))


def _does_nothing(node: ast.stmt) -> bool:
    return isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


def _unwritten(module: Module, name: str | None) -> str:
    """Return what the tree itself shows: an ellipsis, or the class without what makes it one."""
    for node in nodes_of(module.tree) if "..." in module.text and _ELLIPSIS_STATEMENT.search(module.text) else ():
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and node.value.value is Ellipsis:
            return f"line {node.lineno}: `...` stands in place of code"
    for node in _top_statements(module.tree.body):
        if isinstance(node, ast.ClassDef) and name in (None, node.name) and _lacks_forward(node):
            return f"line {node.lineno}: class {node.name} has no forward"
    return ""


def _stand_in(module: Module) -> str:
    """Return the comment that takes the place of a whole definition, "" for none.

    It follows a lone `pass`, or it stands alone and names a class that is used but missing.
    """
    for comment in _PASSED.findall(module.text):
        if _OMISSION.search(comment):
            return f"{comment.strip()!r} stands in place of code"
    for comment in dict.fromkeys(_ALONE.findall(module.text)):
        if any(name in module.missing and not name.isupper() for name in _CAPITALIZED.findall(comment)):
            return f"{comment.strip()!r} stands in place of code"
    return ""


def _told(module: Module, name: str | None) -> str:
    """Return the comment that tells of code left out."""
    end = max((node.end_lineno or 0 for node in module.tree.body if name in bindings(node)), default=0)
    is_missing: bool | None = None
    for line, comment, is_in_place in _omissions(module.text):
        if not (is_in_place and line <= end):
            is_missing = bool(module.missing) if is_missing is None else is_missing
            if not is_missing:
                continue
        return f"line {line}: {comment!r} stands in place of code"
    return ""


def _omissions(text: str) -> Iterator[tuple[int, str, bool]]:
    """Yield (line, text, whether it stands in place of code) of each comment that tells of code left out."""
    if not _may_tell(text):
        return  # nearly always; the rest takes longer
    lines = text.split("\n")
    indent_after = 0  # of the next line of code; the lines are read from the last one up
    for number in range(len(lines), 0, -1):
        content = lines[number - 1].lstrip()
        indent = len(lines[number - 1]) - len(content)
        comment = content.strip("# ")
        if content.startswith("#") and _is_omission(comment):
            yield number, comment, _ELLIPSIS.match(comment) is not None or indent_after < indent
        elif content and not content.startswith("#"):
            indent_after = indent


def _may_tell(text: str) -> bool:
    """Return whether there may be such a comment: one look at all that are different."""
    comments = "\n".join(dict.fromkeys(_COMMENT.findall(text)))
    return "..." in comments or "\u2026" in comments or _OMISSION.search(comments) is not None


def _is_omission(comment: str) -> bool:
    return _OMISSION.search(comment) is not None or _NO_WORDS.match(comment) is not None
