"""Replies that hold code: which of their pieces is meant, whether it is complete, and where something is missing."""

from __future__ import annotations

import ast
import gc
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from fairnad.errors import ReplyError
from fairnad.llm.answers import answer_of
from fairnad.llm.code_blocks import Block
from fairnad.llm.code_search import Found, Search
from fairnad.llm.completeness import (
    defines,
    definitions_for,
    ends_early,
    is_same_code,
    left_out,
    mentioned,
    tells_of_omission,
    top_definitions,
    with_definitions,
)
from fairnad.llm.loose_json import Json, value_at
from fairnad.llm.names import nodes_of
from fairnad.llm.python_text import Module, Parser

__all__ = ["extract_code", "read_class", "read_edits"]

_EDIT_MARK = re.compile(r"[ \t]*(?:(<{4,})[ \t]*\w+|(={4,})|(>{4,})[ \t]*\w+)[ \t]*$")


def extract_code(reply: str, *, parent: str | None = None, is_truncated: bool = False) -> str:
    """Return the source in `reply` that defines `Network`: the last complete one that differs from `parent`.

    Other blocks contribute what that one uses but does not define. `is_truncated`: the limit on tokens was hit.

    Raises:
        ReplyError: of the kinds empty, no_code, syntax, no_network_class, truncated, incomplete and unchanged.
    """
    return _read(reply, "Network", parent=parent, is_truncated=is_truncated)


def read_class(reply: str, name: str | None = None, *, is_truncated: bool = False) -> str:
    """Return the source in `reply` that defines the class `name` (any class, for None), with its imports.

    Raises:
        ReplyError: as `extract_code` does; no_network_class where the class is not defined.
    """
    return _read(reply, name, is_truncated=is_truncated)


def read_edits(reply: str) -> tuple[tuple[str, str], ...]:
    """Return (text to find, text to put in its place) of each search and replace block, in order.

    Raises:
        ReplyError: "empty", "no_code" without a block, "truncated" in one that never ends, "syntax" where marks are
            missing or in the wrong order.
    """
    edits: list[tuple[str, str]] = []
    parts: list[list[str]] = []
    for number, line in enumerate(_answer(reply, is_truncated=False)[0].split("\n"), start=1):
        mark = _EDIT_MARK.match(line)
        expected = len(parts) + 1
        if mark is None or (mark.lastindex == 2 and len(parts) != 1):  # elsewhere a line of `=` underlines something
            if parts:
                parts[-1].append(line)
        elif mark.lastindex != expected:
            raise ReplyError("syntax", f"line {number}: the marks of an edit are not in the order SEARCH, =, REPLACE")
        elif expected == 3:
            edits.append(("\n".join(parts[0]), "\n".join(parts[1])))
            parts = []
        else:
            parts.append([])
    if parts:
        raise ReplyError("truncated", "the last search and replace block never ends")
    if not edits:
        raise ReplyError("no_code", "the reply has no search and replace block")
    return tuple(edits)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a reply should hold; `parent` is the source that it must differ from, if that is known."""

    name: str | None
    parent: Module | None = None


def _read(reply: str, name: str | None, *, parent: str | None = None, is_truncated: bool = False) -> str:
    with _without_collection():
        read = _compared(reply, name, parent, is_truncated)
    if isinstance(read, ReplyError):
        raise read
    return read


@contextmanager
def _without_collection() -> Iterator[None]:
    """Collect no garbage meanwhile: trees are many objects, which are looked at again and again but die by themselves.

    They do so only where no error holds the frames that hold them: so refusals are returned here, not raised.
    """
    is_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if is_on:
            gc.enable()


def _compared(reply: str, name: str | None, parent: str | None, is_truncated: bool) -> str | ReplyError:
    before = Parser().parse(parent) if parent is not None else None
    wanted = _Wanted(name, before if isinstance(before, Module) else None)
    return _extract(reply, wanted, Parser(), is_truncated=is_truncated)


def _extract(reply: str, wanted: _Wanted, parser: Parser, *, is_truncated: bool) -> str | ReplyError:
    try:
        text, is_truncated = _answer(reply, is_truncated=is_truncated)
    except ReplyError as error:
        return error
    search = Search(wanted.name, parser)
    readings = []
    for found in search.fenced(text):
        readings.append(found)
        if chosen := _chosen(found, wanted, is_truncated=is_truncated):
            return chosen
    if quoted := _quoted(text, readings, wanted, parser):
        return quoted
    if not search.is_broken(readings[-1]):
        for found in search.bare(text):
            readings.append(found)
            if chosen := _chosen(found, wanted, is_truncated=is_truncated):
                return chosen
    return _explain(readings, is_truncated=is_truncated)


def _chosen(found: Found, wanted: _Wanted, *, is_truncated: bool) -> str | ReplyError | None:
    """Return the last module that holds what is wanted, or why it cannot be used; None if none defines it."""
    last: ReplyError | None = None
    joiner = Parser()
    for place in reversed(range(len(found.modules))):
        block, module = found.modules[place]
        if not defines(module.tree, wanted.name):
            continue
        others = [other for number, (_, other) in enumerate(found.modules) if number != place]
        module = _with_missing(module, others, joiner)
        refusal = _refusal(block, module, wanted, is_truncated=is_truncated)
        if refusal is None:
            return module.text.strip("\n").rstrip() + "\n"
        last = last or refusal
    return last


def _with_missing(module: Module, others: list[Module], parser: Parser) -> Module:
    """Return `module` with the definitions in `others` that it needs."""
    definitions = definitions_for(module, others)
    joined = parser.parse(with_definitions(module, definitions)) if definitions else module
    return joined if isinstance(joined, Module) else module


def _refusal(block: Block, module: Module, wanted: _Wanted, *, is_truncated: bool) -> ReplyError | None:
    """Return why a module that defines what is wanted cannot be used, None if it can."""
    if not block.is_closed and (is_truncated or ends_early(module.tree)):
        return ReplyError("truncated", "the reply ends before its code is complete")
    if reason := left_out(module, wanted.name):
        return ReplyError("incomplete", f"the code is not complete: {reason}")
    if wanted.parent is None:
        return None
    borrowed = mentioned(module, top_definitions(wanted.parent.tree) - top_definitions(module.tree))
    if borrowed and (unwritten := module.missing & borrowed):
        return ReplyError(
            "incomplete", f"the code uses {', '.join(sorted(unwritten))} of its parent without a definition"
        )
    if module.text.strip() == wanted.parent.text.strip() or is_same_code(module.tree, wanted.parent.tree):
        return ReplyError("unchanged", "the code is that of its parent")
    return None


def _quoted(text: str, readings: list[Found], wanted: _Wanted, parser: Parser) -> str | ReplyError | None:
    """Return the wanted code out of a string: a value in JSON, or one that is assigned in Python."""
    sign = f"class {wanted.name or ''}"
    # What a string says can stand there in another way only by escapes.
    is_possible = sign in text or "\\" in text
    trees = [module.tree for found in readings for _, module in found.modules] if is_possible else []
    strings: list[object] = [node.value for tree in trees for node in nodes_of(tree) if isinstance(node, ast.Constant)]
    start = text.find("{")
    if 0 <= start <= text.find(sign):
        strings += _strings_in_json(text, start)
    candidates = [string for string in strings if isinstance(string, str) and sign in string and string != text]
    if not candidates:
        return None
    found = _extract(max(candidates, key=len), wanted, parser, is_truncated=False)
    is_mention = isinstance(found, ReplyError) and found.kind in ("empty", "no_code", "no_network_class")
    return None if is_mention else found


def _strings_in_json(text: str, start: int) -> list[str]:
    try:
        waiting: list[Json] = [value_at(text, start)[0]]
    except ReplyError:
        return []
    strings: list[str] = []
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            strings.append(value)
        elif isinstance(value, dict | list):
            waiting += value.values() if isinstance(value, dict) else value
        if isinstance(value, list):  # of lines, as in a notebook
            strings.append("\n".join(line.removesuffix("\n") for line in value if isinstance(line, str)))
    return strings


def _explain(readings: list[Found], *, is_truncated: bool) -> ReplyError:
    """Return what best describes a reply in which no module defines what is wanted."""
    problems = [(block, problem) for found in readings for block, problem in found.problems if block.is_python]
    modules = [(block, module) for found in readings for block, module in found.modules]
    is_cut = any(not block.is_closed and problem.is_at_end for block, problem in problems)
    if is_truncated or is_cut or any(_may_go_on(*pair) for pair in modules):
        return ReplyError("truncated", "the reply ends before its code is complete")
    if any("indented block" in problem.message and tells_of_omission(problem.text) for _, problem in problems):
        return ReplyError("incomplete", "the code is not complete: a comment stands in place of it")
    if problems:
        return ReplyError("syntax", f"the code is not valid Python: {problems[0][1].message}")
    if any(module.tree.body for _, module in modules):
        return ReplyError("no_network_class", "the code does not define the class that was asked for")
    return ReplyError("no_code", "the reply holds no Python code")


def _may_go_on(block: Block, module: Module) -> bool:
    return not block.is_closed and (block.is_fenced or ends_early(module.tree))


def _answer(reply: str, *, is_truncated: bool) -> tuple[str, bool]:
    """Return the answer in `reply`, and whether it was cut.

    Raises:
        ReplyError: there is none: "truncated" if it was cut before it began, else "empty".
    """
    answer = answer_of(reply)
    is_cut = is_truncated or answer.is_cut
    if not answer.text.strip():
        raise ReplyError("truncated" if is_cut else "empty", "the reply holds no answer")
    return answer.text, is_cut
