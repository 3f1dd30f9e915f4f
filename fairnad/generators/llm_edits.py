"""What a language model wrote, put into a network by a program: search-and-replace edits, and classes on their own.

Changes text alone; whether the result is a network is for others to judge.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Collection, Sequence

from fairnad.architectures.parsing import parse_quietly
from fairnad.architectures.source import Definition, Edit, Source, SourceError, splice
from fairnad.errors import ReplyError
from fairnad.llm.names import bindings

__all__ = ["add_imports", "apply_edits", "code_of", "merge"]

_PROMISED = frozenset({"F", "nn", "torch"})
"""What a prompt for one class says may be used."""
_KNOWN_IMPORTS = {
    "F": "import torch.nn.functional as F",
    "Tensor": "from torch import Tensor",
    "functools": "import functools",
    "itertools": "import itertools",
    "math": "import math",
    "nn": "from torch import nn",
    "torch": "import torch",
}


def apply_edits(source: str, edits: Sequence[tuple[str, str]]) -> str:
    """Return `source` with each (text to find, text to put there) done; all of them search `source` as it is.

    Texts are whole lines; where they differ from the source in their indentation alone, that is mended.

    Raises:
        ReplyError: "edit": a text is not in the source, stands there more than once, or two edits overlap; "unchanged".
    """
    lines = source.split("\n")
    found = []
    for number, (search, put) in enumerate(edits, start=1):
        wanted = _lines(search)
        first = _find(lines, wanted, number)
        moved = [_moved(line, _indentation(wanted[0]), _indentation(lines[first])) for line in _lines(put)]
        found.append((first, first + len(wanted), moved))
    found.sort()
    if any(end > start for (_, end, _), (start, _, _) in itertools.pairwise(found)):
        raise ReplyError("edit", "two edits change the same lines")
    for first, end, put_lines in reversed(found):
        lines[first:end] = put_lines
    if lines == source.split("\n"):
        raise ReplyError("unchanged", "the edits change nothing")
    return "\n".join(lines)


def merge(source: str, written: str, *, wanted: str, kept: Collection[str] = ()) -> str:
    """Return `source` with the definition `wanted` of `written`, and all that it uses there.

    Definitions take the place of those of their names, or stand before `Network`; those named in `kept` stay as the
    source has them. Imports and constants that they use and the source lacks are added; other statements are not.

    Raises:
        ReplyError: "syntax": `written` is not Python; "no_network_class": it does not define `wanted`; "unchanged".
    """
    new, old = _parsed(written), Source(source)
    if wanted not in new.definitions:
        raise ReplyError("no_network_class", f"the code does not define {wanted}")
    names = [name for name in new.reached_from(wanted) if name == wanted or name not in {"Network", *kept}]
    edits = [_replacement(old, name, code_of(new, name)) for name in names if name in old.definitions]
    added = [code_of(new, name) for name in names if name not in old.definitions]
    place = _place(old)
    constants, used = _constants(new, old, names)
    edits += [Edit(place, place, f"{text}\n\n\n") for text in [*constants, *added]]
    imports = [node for node in new.tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    statements = [new.code(node) for node in imports if bindings(node) & {*used, "*"}]
    result = add_imports(splice(old.text, edits), statements, names=sorted(used & _PROMISED))
    if result == old.text:
        raise ReplyError("unchanged", "the code is what stood there before")
    return result


def add_imports(source: str, statements: Sequence[str], *, names: Sequence[str] = ()) -> str:
    """Return `source` with those of the import `statements` that bind a name it lacks, and with the known `names`."""
    parsed = Source(source)
    bound = _bound(parsed.tree)
    wanted = [*statements, *(_KNOWN_IMPORTS[name] for name in names if name in _KNOWN_IMPORTS)]
    missing = []
    for statement in wanted:
        binds = _bound(parse_quietly(statement))
        if not binds <= bound and "__future__" not in statement:
            missing.append(statement)
            bound |= binds
    if not missing:
        return source
    imports = [node for node in parsed.tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    if imports:
        end = parsed.span(imports[-1])[1]
        return splice(parsed.text, [Edit(end, end, "".join(f"\n{statement}" for statement in missing))])
    place = _place(parsed, first=True)
    return splice(parsed.text, [Edit(place, place, "".join(f"{statement}\n" for statement in missing) + "\n\n")])


def code_of(source: Source, name: str) -> str:
    """Return the text of the definition `name`, its decorators included."""
    return source.text[slice(*_full_span(source, source.definitions[name]))]


def _lines(text: str) -> list[str]:
    return text.strip("\n").split("\n") if text.strip() else []


def _find(lines: list[str], wanted: list[str], number: int) -> int:
    """Return where `wanted` begins."""
    if not wanted:
        raise ReplyError("edit", f"edit {number} searches for nothing")
    count = len(wanted)
    for is_exact in (True, False):
        keys = [_key(line, is_exact) for line in wanted]
        places = [
            at
            for at in range(len(lines) - count + 1)
            if all(_key(line, is_exact) == key for line, key in zip(lines[at : at + count], keys, strict=True))
        ]
        if len(places) == 1:
            return places[0]
        if places:
            raise ReplyError("edit", f"edit {number}: what it searches for stands in the parent {len(places)} times")
    raise ReplyError("edit", f"edit {number}: what it searches for is not in the parent: {wanted[0].strip()!r}")


def _key(line: str, is_exact: bool) -> str:
    return line.rstrip() if is_exact else " ".join(line.split())


def _indentation(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _moved(line: str, before: str, after: str) -> str:
    """Return `line` with the indentation `after` where that of its block was `before`."""
    if not line.strip():
        return line
    if line.startswith(before):
        return after + line.removeprefix(before)
    excess = max(0, len(before) - len(after))
    return after[len(before) :] + line[min(excess, len(_indentation(line))) :]


def _parsed(written: str) -> Source:
    try:
        return Source(written)
    except SourceError as error:
        raise ReplyError("syntax", f"the code is not valid Python: {error}") from error


def _full_span(source: Source, node: Definition) -> tuple[int, int]:
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return source.offset(first, 0), source.span(node)[1]


def _replacement(source: Source, name: str, text: str) -> Edit:
    return Edit(*_full_span(source, source.definitions[name]), text)


def _place(source: Source, *, first: bool = False) -> int:
    """Return where definitions are added: before `Network`, or before all others."""
    nodes = list(source.definitions.values())
    if not nodes:
        return len(source.text)
    node = nodes[0] if first else source.definitions.get("Network", nodes[0])
    return _full_span(source, node)[0]


def _constants(new: Source, old: Source, names: Sequence[str]) -> tuple[list[str], set[str]]:
    """Return the assignments of `new` that its definitions `names` use and `old` has not, and all names they use."""
    known = {name for node in old.tree.body for name in bindings(node)}
    used = {name for definition in names for name in _names_in(new.definitions[definition])}
    found = []
    for node in reversed(new.tree.body):  # what a constant is made of stands before it
        bound = bindings(node) if isinstance(node, ast.Assign | ast.AnnAssign) else set()
        if bound & used and not bound & known:
            found.append(new.code(node))
            used |= _names_in(node)
    return found[::-1], used


def _names_in(node: ast.AST) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def _bound(tree: ast.Module) -> set[str]:
    imports = (node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom))
    return {(alias.asname or alias.name).partition(".")[0] for node in imports for alias in node.names}
