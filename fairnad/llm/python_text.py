"""Python text out of a reply: `ast` is its judge, and the marks that chats leave on code are taken off for it.

Executes nothing, and does not know what the code should define.
"""

from __future__ import annotations

import ast
import html
import re
import textwrap
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from fairnad.architectures.parsing import parse_quietly
from fairnad.llm.names import bindings, missing_names

__all__ = ["Module", "Parser", "Problem", "starts_code", "without_marks"]

_CODE_START = re.compile(
    r"(?:import [\w.]+(?: as \w+)?(?:, *[\w.]+(?: as \w+)?)*|from [\w.]+ import [\w(*].*|class \w+ *[(:].*|"
    r"def \w+\(.*|@\w.*) *(?:#.*)?$"
)
_CODE_CHARS = frozenset("@cdfi")
"""What those begin with: most lines need no look."""

_MAX_CHARS = 256_000
_ENOUGH_CHARS = 64_000
_LONG_LINE = re.compile(r"^[^\n]{20000}", re.MULTILINE)

_ENTITY = re.compile(r"&(?:lt|gt|amp|quot|apos|nbsp|#39|#x27|#34);")
_NUMBERED = re.compile(r"[ \t]*(\d{1,5})(?:[ \t]*[|\u2502\u2192:.)])?")
_HEREDOC = re.compile(r"<<-?[ \t]*(['\"]?)(\w+)\1")
_PROMPT = re.compile(r"(?:>>>|\.\.\.)(?: |$)")
_ENDS_EARLY = ("was never closed", "unterminated triple-quoted", "unexpected EOF", "EOF while scanning")
_PUNCTUATION = str.maketrans(
    {"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2212": "-", "\u2013": "-", "\u2026": "..."}
    | {chr(code + 0xFEE0): chr(code) for code in range(0x21, 0x7F)}
)


@dataclass(frozen=True)
class Module:
    """Text that is Python, and its syntax tree."""

    text: str
    tree: ast.Module

    @cached_property
    def missing(self) -> frozenset[str]:
        """The names that it uses but binds nowhere."""
        return missing_names(self.tree)

    @cached_property
    def places(self) -> dict[str, int]:
        """Where in the body each name is bound last."""
        return {name: place for place, node in enumerate(self.tree.body) for name in bindings(node)}

    @cached_property
    def lines(self) -> list[str]:
        """The lines of its text."""
        return self.text.split("\n")


@dataclass(frozen=True, slots=True)
class Problem:
    """Why `text` is not Python; `line` counts from 1. `is_at_end` if it might go on where it stops."""

    text: str
    line: int
    message: str
    is_at_end: bool = False


class Parser:
    """Parses the texts that a reply offers, of a limited total length: no reply may take long."""

    def __init__(self) -> None:
        self._parsed_chars = 0

    def parse(self, text: str) -> Module | Problem:
        """Return `text` parsed, as it is or else without the marks of chats."""
        if "&" in text and _ENTITY.search(text):  # first, because `a &lt; b` is Python too, but means something else
            text = html.unescape(text).replace("\u00a0", " ")
        result = self._parse(text)
        if isinstance(result, Module) or len(text) >= _ENOUGH_CHARS or self._parsed_chars > _ENOUGH_CHARS:
            return result
        if (plain := without_marks(text)) != text:
            second = self._parse(plain)
            if isinstance(second, Module) or second.line > result.line:
                return second
        return result

    def _parse(self, text: str) -> Module | Problem:
        if len(text) > _MAX_CHARS or self._parsed_chars > _ENOUGH_CHARS or _LONG_LINE.search(text):
            return Problem(text, 1, "there is too much code to look through")
        try:
            tree = parse_quietly(text)
        except SyntaxError as error:
            problem = _problem(text, error)
            self._parsed_chars += len(text) if problem.is_at_end else _length(text, problem.line)
            return problem
        except (ValueError, RecursionError, MemoryError) as error:
            self._parsed_chars += len(text)
            return Problem(text, 1, str(error) or type(error).__name__)
        self._parsed_chars += len(text)
        return _without_stray_words(Module(text, tree))


def starts_code(line: str) -> bool:
    """Return whether only code has such a line at its margin."""
    return line[:1] in _CODE_CHARS and _CODE_START.match(line) is not None


def without_marks(text: str) -> str:
    """Return `text` without what surrounds and marks it in chats: a shell, line numbers, prompts, tabs and the like."""
    if text.count("\\n") > 2 + 3 * text.count("\n"):  # a string's escapes, seen from outside of the string
        text = text.replace("\\n", "\n").replace("\\t", "    ").replace('\\"', '"').replace("\\'", "'")
    lines = _without_shell(_without_quotation(text.replace("\\_", "_").split("\n")))
    lines = _without_prompts(_without_numbers(lines))
    text = "\n".join(lines).expandtabs(4)
    if text.lstrip("\n").startswith(" "):
        text = textwrap.dedent(text)
    return text if text.isascii() else text.translate(_PUNCTUATION)


def _without_quotation(lines: list[str]) -> list[str]:
    if not all(line.startswith(">") and not line.startswith(">>>") for line in lines if line.strip()):
        return lines
    return [line[1:].removeprefix(" ") for line in lines]


def _without_shell(lines: list[str]) -> list[str]:
    """Return what a shell would write to a file, if `lines` have a here-document."""
    openers = ((number, opener[2]) for number, line in enumerate(lines, 1) if (opener := _HEREDOC.search(line)))
    first, end = next(openers, (0, ""))
    return lines[first : lines.index(end, first)] if end and end in lines[first:] else lines


def _without_numbers(lines: list[str]) -> list[str]:
    """Return `lines` without their numbers, if nearly all have one and the numbers rise."""
    matches = [_NUMBERED.match(line) for line in lines]
    numbers = [int(match[1]) for match in matches if match]
    num_filled = sum(1 for line in lines if line.strip())
    if len(numbers) < max(3, 0.9 * num_filled) or any(a >= b for a, b in pairwise(numbers)):
        return lines
    rests = [line[match.end() :] if match else line for line, match in zip(lines, matches, strict=True)]
    indents = [
        len(rest) - len(rest.lstrip()) for rest, match in zip(rests, matches, strict=True) if match and rest.strip()
    ]
    common = min(indents, default=0)
    return [rest[common:] if match else rest for rest, match in zip(rests, matches, strict=True)]


def _without_prompts(lines: list[str]) -> list[str]:
    """Return what was typed, if `lines` are a session of Python's shell."""
    if not any(line.startswith(">>> ") for line in lines):
        return lines
    return [line[4:] for line in lines if _PROMPT.match(line)]


def _length(text: str, num_lines: int) -> int:
    rest = text.split("\n", num_lines)[num_lines:]
    return len(text) - sum(map(len, rest))


def _problem(text: str, error: SyntaxError) -> Problem:
    last = text.rstrip().count("\n") + 1
    line = min(error.lineno or 1, last)
    is_at_end = line >= last or any(words in error.msg for words in _ENDS_EARLY)
    return Problem(text, line, f"line {line}: {error.msg}", is_at_end)


def _without_stray_words(module: Module) -> Module:
    """Blank the first and last lines that are words: they parse as names (`python`, `model.py`), but are no code."""
    body, lines = list(module.tree.body), module.text.split("\n")
    num_lines = len(body)
    for end in (0, -1):
        while body and _is_stray(body[end]):
            node = body.pop(end)
            first, last = node.lineno - 1, node.end_lineno or node.lineno
            lines[first:last] = [""] * (last - first)
    if len(body) == num_lines:
        return module
    return Module("\n".join(lines), ast.Module(body=body, type_ignores=[]))


def _is_stray(node: ast.stmt) -> bool:
    if isinstance(node, ast.AnnAssign):
        return node.value is None
    if not isinstance(node, ast.Expr) or isinstance(node.value, ast.Constant):
        return False
    meant = (ast.Call, ast.Await, ast.Yield, ast.NamedExpr)
    return not any(isinstance(part, meant) for part in ast.walk(node.value))
