"""The pieces of a reply that may be code: fenced blocks, and lines of code that stand in prose without a fence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from fairnad.llm.python_text import Module, Parser, Problem, starts_code

__all__ = ["Block", "bare_blocks", "extensions", "fenced_blocks", "longest_module", "pieces", "with_fences_on_lines"]

_FENCE = re.compile(r"([ \t]*)(?:(?:>|[-*+]|\d{1,3}[.)])[ \t]+)?(`{3,}|~{3,})([^`\n]*)$")
_LABEL = re.compile(r"[ \t]*[{.]*([\w+#-]*)\}?[ \t]*(.*)$")
_MAX_ALTERNATIVES = 8
_MAX_BARE_BLOCKS = 8
_MAX_BLOCKS = 200
_OTHER_LANGUAGES = re.compile(
    r"(?:c|c\+\+|cfg|cpp|cs|csharp|css|csv|cuda|diff|go|ini|java|javascript|js|julia|kotlin|latex|lua|mermaid|patch|perl|"
    r"php|proto|r|ruby|rust|scala|sql|swift|toml|ts|typescript)$"
)
_CARRIERS = re.compile(r"(?:bash|console|html|jsonc?|markdown|md|powershell|sh|shell|text|txt|xml|ya?ml|zsh)$")
"""Labels of what may hold Python, but is none."""
_DIFF = re.compile(r"^(?:@@ |--- [\w/.]|\+\+\+ [\w/.]|diff --git )", re.MULTILINE)
_TAGS_AT_START = re.compile(
    r"^(?:</?[A-Za-z][\w-]{0,20}(?: [^<>\n]{0,200})?>|<\|\w{1,30}\|>|<!\[CDATA\[)+", re.MULTILINE
)
_TAGS_AT_END = re.compile(r"(?:</[A-Za-z][\w-]{0,20}>|\]\]>)+[ \t]*$", re.MULTILINE)
_BACKTICKS = re.compile(r"`{3,}")


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of a reply between `first` and `last`, its fence lines (0-based). A cut one has no closing fence."""

    text: str
    label: str
    first: int
    last: int
    is_closed: bool
    is_fenced: bool = True

    @property
    def is_python(self) -> bool:
        """Whether this is meant to be Python, right or wrong."""
        if self.label.startswith("py"):
            return True
        if self.is_foreign or _CARRIERS.match(self.label):
            return False
        return any(starts_code(line.strip()) for line in self.text.split("\n"))

    @property
    def is_foreign(self) -> bool:
        """Whether this is a change or code of another language, which only looks like Python in places."""
        return _OTHER_LANGUAGES.match(self.label) is not None or _DIFF.search(self.text) is not None


def fenced_blocks(lines: list[str]) -> list[Block]:
    """Return the (last) fenced blocks in order; a block ends at a bare fence like its own, at least as long."""
    ends: list[tuple[int, int]] = []
    opener: tuple[int, re.Match[str]] | None = None
    for number, line in enumerate(lines):
        fence = _FENCE.match(line) if "```" in line or "~~~" in line else None
        if fence is None:
            continue
        if opener is None:
            opener = number, fence
        elif fence[2].startswith(opener[1][2]) and not fence[3].strip():
            ends.append((opener[0], number))
            opener = None
    if opener is not None:
        ends.append((opener[0], len(lines)))
    return [_block(lines, first, last) for first, last in ends[-_MAX_BLOCKS:]]


def pieces(block: Block, lines: list[str]) -> list[Block]:
    """Return the blocks that `block` consists of, if the fences within it open blocks whose forerunners never close."""
    inner = [number for number in range(block.first + 1, block.last) if _FENCE.match(lines[number])]
    if not 0 < len(inner) <= _MAX_ALTERNATIVES:
        return []
    return [_block(lines, *ends) for ends in pairwise([block.first, *inner, block.last])]


def extensions(block: Block, lines: list[str]) -> Iterator[Block]:
    """Yield `block` with later and later ends, if the fence that ends it is part of a docstring."""
    later = (number for number in range(block.last + 1, len(lines)) if _FENCE.match(lines[number]))
    for _, end in zip(range(_MAX_ALTERNATIVES), later, strict=False):
        yield _block(lines, block.first, end)


def bare_blocks(text: str, parser: Parser) -> list[tuple[Block, Module | Problem]]:
    """Return the pieces of `text` that are code between lines of prose, each parsed or with its problem."""
    if "<" in text or "]]>" in text:
        text = _TAGS_AT_END.sub("", _TAGS_AT_START.sub("\n", text))
    lines = text.rstrip().split("\n")
    starts = [number for number, line in enumerate(lines) if starts_code(line)]
    if not starts and not _DIFF.search(text):  # an indented block, which is code in Markdown too; a diff has it as well
        starts = [number for number, line in enumerate(lines) if line[:2] == "  " and starts_code(line.strip())]
        margin = min((len(lines[number]) - len(lines[number].lstrip(" ")) for number in starts), default=0)
        lines = [_dedented(line, margin) for line in lines] if margin else lines
    blocks = fenced_blocks(lines) if starts else []
    foreign = {number for block in blocks if block.is_foreign for number in range(block.first, block.last)}
    starts = [number for number in starts if number not in foreign]
    found: list[tuple[Block, Module | Problem]] = []
    position = -1
    for _ in range(_MAX_BARE_BLOCKS):
        start = next((number for number in starts if number > position), None)
        if start is None:
            break
        result, end = longest_module("\n".join(lines[start:]), parser)
        position = start + end
        is_closed = position < len(lines)
        found.append((Block("\n".join(lines[start:position]), "", start, position, is_closed, is_fenced=False), result))
    return found


def longest_module(text: str, parser: Parser) -> tuple[Module | Problem, int]:
    """Return the code that `text` starts with, parsed, and how many lines it has; prose after it is left out.

    Where the first statement itself is broken, its problem, and the line after it.
    """
    result = parser.parse(text)
    if isinstance(result, Module):
        return result, text.count("\n") + 1
    lines = result.text.split("\n", result.line)
    cut = min(result.line, len(lines)) - 1
    while cut > 0 and (not lines[cut].strip() or lines[cut][0] in " \t)]}#"):
        cut -= 1
    if starts_code(lines[cut]):  # the definition is broken; any other line at the margin is prose
        return result, max(result.line, 1)
    head = parser.parse("\n".join(lines[:cut]))
    return (head, cut) if isinstance(head, Module) else (replace(head, is_at_end=False), max(result.line, 1))


def with_fences_on_lines(text: str) -> str:
    """Return `text` with a line break before each fence that stands within a line, behind at most three spaces."""
    pieces, position = [], 0
    for fence in _BACKTICKS.finditer(text):
        place = fence.start()
        while place > max(position, fence.start() - 3) and text[place - 1] in " \t":
            place -= 1
        if place > position and text[place - 1] != "`" and not text[place - 1].isspace():
            pieces.append(text[position:place])
            position = place
    return "\n".join([*pieces, text[position:]])


def _block(lines: list[str], first: int, last: int) -> Block:
    opener = _FENCE.match(lines[first])
    assert opener is not None
    content = lines[first + 1 : last]
    label = _LABEL.match(opener[3])
    assert label is not None
    name = label[1].lower()
    for rest in (opener[3].strip(), label[2]):
        if starts_code(rest):  # code that follows its fence on the same line
            content = [rest, *content]
            name = "python"
            break
    margin = len(opener[1].expandtabs(4))
    content = [_dedented(line, margin) for line in content] if margin else content
    return Block("\n".join(content), name, first, last, last < len(lines))


def _dedented(line: str, margin: int) -> str:
    """Return `line` without the indentation that its fence has, as far as it has it."""
    return line[min(margin, len(line) - len(line.lstrip(" "))) :]
