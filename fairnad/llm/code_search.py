"""The readings of a reply's text as Python: by its fences, by fences within lines, and without any."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from fairnad.llm.code_blocks import (
    Block,
    bare_blocks,
    extensions,
    fenced_blocks,
    longest_module,
    pieces,
    with_fences_on_lines,
)
from fairnad.llm.completeness import defines
from fairnad.llm.python_text import Module, Parser, Problem, without_marks

__all__ = ["Found", "Search"]

_MAX_MARKED_CHARS = 64_000


@dataclass(slots=True)
class Found:
    """One reading: the blocks that are Python, in order, and those that are meant to be but are not."""

    modules: list[tuple[Block, Module]] = field(default_factory=list)
    problems: list[tuple[Block, Problem]] = field(default_factory=list)

    def add(self, block: Block, result: Module | Problem) -> None:
        """Sort `block` by how it was parsed."""
        if isinstance(result, Module):
            self.modules.append((block, result))
        else:
            self.problems.append((block, result))


class Search:
    """Looks for the definition of `name` (of any class, for None)."""

    def __init__(self, name: str | None, parser: Parser) -> None:
        self._name = name
        self._parser = parser
        word = re.escape(name) if name else r"\w+"
        self._mention = re.compile(rf"\bclass\s+{word}\b|^\s*{word}\s*=", re.MULTILINE)

    def fenced(self, text: str) -> Iterator[Found]:
        """Yield the readings of `text` by its fences; the second is for when the first was in vain."""
        yield self._fenced(text)
        on_lines = with_fences_on_lines(text)
        if on_lines != text:
            yield self._fenced(on_lines)

    def bare(self, text: str) -> Iterator[Found]:
        """Yield the readings of `text` without regard to its fences, as it is and without the marks of chats."""
        yield self._bare(text)
        if len(text) < _MAX_MARKED_CHARS and (plain := without_marks(text)) != text:
            yield self._bare(plain)

    def is_broken(self, found: Found) -> bool:
        """Return whether a fence of `found` holds what is looked for, but as broken code."""
        return any(block.is_python and self._mentions(block) for block, _ in found.problems)

    def _mentions(self, block: Block) -> bool:
        return self._mention.search(block.text) is not None

    def _fenced(self, text: str) -> Found:
        lines, found = text.split("\n"), Found()
        # What matters most comes first, since the parser gives up on a reply that offers too much.
        for block in sorted(fenced_blocks(lines), key=lambda one: (not self._mentions(one), -one.first)):
            if block.is_python or self._mentions(block):
                for piece, result in self._read(block, lines):
                    found.add(piece, result)
        found.modules.sort(key=lambda pair: pair[0].first)
        return found

    def _read(self, block: Block, lines: list[str]) -> list[tuple[Block, Module | Problem]]:
        """Return `block` parsed, or, where it is no Python but can be read in another way, what that gives."""
        result = self._parse(block)
        if isinstance(result[1], Module) or not self._mentions(block):
            return [result]
        parts = [self._parse(piece) for piece in pieces(block, lines)]
        modules = [part for part in parts if isinstance(part[1], Module)]
        if any(self._mentions(piece) for piece, _ in modules):
            return modules
        longer = (self._parse(extension) for extension in extensions(block, lines))
        return [next((attempt for attempt in longer if isinstance(attempt[1], Module)), result)]

    def _parse(self, block: Block) -> tuple[Block, Module | Problem]:
        """Return `block` parsed; of one that has no closing fence, prose after the code is left out."""
        if block.is_closed:
            return block, self._parser.parse(block.text)
        result, num_lines = longest_module(block.text, self._parser)
        is_whole = isinstance(result, Module) and defines(result.tree, self._name)
        return replace(block, is_closed=is_whole and num_lines <= block.text.rstrip().count("\n")), result

    def _bare(self, text: str) -> Found:
        found = Found()
        for block, result in bare_blocks(text, self._parser):
            found.add(block, result)
        return found
