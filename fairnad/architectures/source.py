"""The source of a network as text and syntax tree: where nodes stand, which definitions are used, how text is spliced.

Executes nothing. Whoever edits a network collects `Edit`s, so that all other text stays as it was, byte for byte.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from fairnad.architectures.parsing import parse_quietly, with_unix_lines
from fairnad.errors import ConfigError

__all__ = ["Definition", "Edit", "Source", "SourceError", "argument_of", "callee_name", "splice", "try_parse"]

Definition = ast.ClassDef | ast.FunctionDef


@dataclass(frozen=True, slots=True, order=True)
class Edit:
    """Put `text` in place of the characters from `start` up to `end`; an insertion where both are equal."""

    start: int
    end: int
    text: str


def splice(text: str, edits: Iterable[Edit]) -> str:
    """Return `text` with `edits` made; insertions at one place keep the order in which they were given."""
    ordered = sorted(edits, key=lambda edit: (edit.start, edit.end))
    pieces = []
    position = 0
    for edit in ordered:
        pieces += [text[position : edit.start], edit.text]
        position = edit.end
    return "".join([*pieces, text[position:]])


def callee_name(node: ast.AST) -> str:
    """Return the last name of what a call calls ("Conv2d" for `nn.Conv2d(...)`), or "" where there is none."""
    called = node.func if isinstance(node, ast.Call) else None
    if isinstance(called, ast.Attribute):
        return called.attr
    return called.id if isinstance(called, ast.Name) else ""


def argument_of(call: ast.Call, name: str, place: int) -> ast.expr | None:
    """Return the argument of `call` that is passed as `name` or at `place`, if it is plain which."""
    for keyword in call.keywords:
        if keyword.arg == name:
            return keyword.value
    before = call.args[: place + 1]
    if len(before) <= place or any(isinstance(argument, ast.Starred) for argument in before):
        return None
    return before[place]


class SourceError(ConfigError):
    """A text that is not Python."""


class Source:
    """One parsed module; its lines end with "\\n", whatever those of `text` end with.

    Raises:
        SourceError: `text` is not Python.
    """

    def __init__(self, text: str) -> None:
        self.text = with_unix_lines(text)
        try:
            self.tree = parse_quietly(self.text)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise SourceError(f"the source cannot be parsed: {error or 'it is nested too deeply'}") from error
        self.definitions: dict[str, Definition] = {
            node.name: node for node in self.tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)
        }

    @property
    def classes(self) -> dict[str, ast.ClassDef]:
        """The classes at the top of the module, by name."""
        return {name: node for name, node in self.definitions.items() if isinstance(node, ast.ClassDef)}

    @cached_property
    def used(self) -> tuple[str, ...]:
        """The classes and functions that `Network` reaches, itself included, in the order of the text."""
        return self.reached_from("Network")

    def reached_from(self, name: str) -> tuple[str, ...]:
        """Return the definitions that `name` mentions, directly or through others, and itself, in text order."""
        reached: set[str] = set()
        waiting = [name] if name in self.definitions else []
        while waiting:
            current = waiting.pop()
            reached.add(current)
            mentioned = {node.id for node in ast.walk(self.definitions[current]) if isinstance(node, ast.Name)}
            waiting += [other for other in mentioned if other in self.definitions and other not in reached]
        return tuple(other for other in self.definitions if other in reached)

    @cached_property
    def parents(self) -> dict[ast.AST, ast.AST]:
        """The node around each node."""
        return {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}

    @cached_property
    def _line_starts(self) -> list[int]:
        starts = [0]
        for line in self.text.split("\n"):
            starts.append(starts[-1] + len(line) + 1)
        return starts

    def offset(self, line: int, column: int) -> int:
        """Return the character offset of `column` (in UTF-8 bytes, as `ast` counts) in `line` (from 1)."""
        start, end = self._line_starts[line - 1], self._line_starts[line]
        content = self.text[start:end]
        return start + (column if content.isascii() else len(content.encode()[:column].decode()))

    def span(self, node: ast.expr | ast.stmt | ast.alias) -> tuple[int, int]:
        """Return where the text of `node` starts and ends."""
        end_line, end_column = node.end_lineno, node.end_col_offset
        assert end_line is not None
        assert end_column is not None
        return self.offset(node.lineno, node.col_offset), self.offset(end_line, end_column)

    def code(self, node: ast.expr | ast.stmt) -> str:
        """Return the text of `node`."""
        start, end = self.span(node)
        return self.text[start:end]

    def line_end(self, offset: int) -> int:
        """Return the offset of the end of the line that `offset` is in."""
        end = self.text.find("\n", offset)
        return len(self.text) if end < 0 else end

    def line_before(self, statement: ast.stmt, line: str) -> Edit | None:
        """Return what puts `line` before `statement`, indented as that is; None where that does not begin a line."""
        start = self.span(statement)[0]
        indentation = self._indentation(start)
        return None if indentation is None else Edit(start, start, f"{line}\n{indentation}")

    def line_after(self, statement: ast.stmt, line: str) -> Edit | None:
        """Return what puts `line` behind `statement`, indented as that is; None where that shares a line with others.

        A comment may stand behind the statement.
        """
        start, end = self.span(statement)
        indentation, line_end = self._indentation(start), self.line_end(end)
        rest = self.text[end:line_end].strip()
        if indentation is None or (rest and not rest.startswith("#")):
            return None
        return Edit(line_end, line_end, f"\n{indentation}{line}")

    def _indentation(self, start: int) -> str | None:
        """Return the white space between `start` and the beginning of its line; None where there is more."""
        line_start = self.text.rfind("\n", 0, start) + 1
        before = self.text[line_start:start]
        is_continued = self.text.endswith("\\\n", 0, line_start)
        return None if before.strip() or is_continued else before

    def statement(self, node: ast.AST) -> ast.stmt:
        """Return the innermost statement around `node`."""
        while not isinstance(node, ast.stmt):
            node = self.parents[node]
        return node

    def around(self, node: ast.AST) -> Iterator[ast.AST]:
        """Yield the nodes around `node`, from inner to outer."""
        while node in self.parents:
            node = self.parents[node]
            yield node


def try_parse(text: str) -> Source | None:
    """Return the module that `text` is; None where it is not Python."""
    try:
        return Source(text)
    except SourceError:
        return None
