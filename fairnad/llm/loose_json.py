"""JSON as models write it: fences, comments, trailing or missing commas, single or no quotes, Python's literals.

One pass over the text, which needs no repair rules of its own for each habit. Does not know what the data mean.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress

from fairnad.errors import ReplyError

__all__ = ["Json", "arguments_of", "members_at", "value_at"]

Json = None | bool | float | str | list["Json"] | dict[str, "Json"]

_MAX_DEPTH = 50
_SKIPPED = re.compile(r"(?:\s+|//[^\n]*|#[^\n]*|/\*.*?(?:\*/|\Z)|`{3,}\w*|`)+", re.DOTALL)
_STRING = re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)"' + "|" + r"'([^'\\]*(?:\\.[^'\\]*)*)'", re.DOTALL)
_BARE = re.compile(r'(?:(?!//)[^{}\[\],:\n"#`])+')
_NUMBER = re.compile(r"-?\d{1,300}(?:\.\d{1,300})?(?:[eE][-+]?\d{1,3})?\Z")
_CONSTANTS: dict[str, Json] = {
    "true": True, "false": False, "null": None, "none": None, "nan": None, "infinity": None, "-infinity": None,
}  # fmt: skip
_CLOSERS = {"{": "}", "[": "]"}
_STRICT = json.JSONDecoder(strict=False, parse_int=float, parse_constant=lambda name: None)
"""Reads valid JSON as `_Reader` does, but many times faster."""


def value_at(text: str, position: int) -> tuple[Json, int]:
    """Return the value that starts at `position` of `text`, and where it ends.

    Raises:
        ReplyError: "truncated" where the text ends within it, "bad_json" where it cannot be read.
    """
    with suppress(ValueError, RecursionError):
        return _STRICT.raw_decode(text, position)
    reader = _Reader(text, position)
    value = reader.value(0)
    return value, reader.position


def arguments_of(value: Json) -> Json:
    """Return what `value` hands over, an object or JSON in a string, if it is the call of a tool; else `value`."""
    match value:
        case {"name": str(), "arguments": inner} | {"name": str(), "parameters": inner}:
            is_text = isinstance(inner, str) and inner.lstrip().startswith(("{", "["))
            return value_at(str(inner), 0)[0] if is_text else inner
    return value


def members_at(text: str, position: int, is_key: Callable[[str], bool]) -> dict[str, Json]:
    """Return the `key: value` pairs from `position` on that no braces surround, up to the first that is no key.

    Raises:
        ReplyError: as in `value_at`.
    """
    reader = _Reader(text, position)
    members: dict[str, Json] = {}
    while (key := reader.peek_key()) and is_key(key):
        name, value = reader.member(0)
        members[name] = value
        reader.skip(",")
    return members


class _Reader:
    def __init__(self, text: str, position: int) -> None:
        self.text = text
        self.position = position

    def value(self, depth: int) -> Json:
        opener = self.skip()
        if not opener:
            raise ReplyError("truncated", "the JSON ends before it is complete")
        if opener not in _CLOSERS:
            return self._scalar()
        if depth >= _MAX_DEPTH:
            raise ReplyError("bad_json", f"JSON nested more than {_MAX_DEPTH} deep")
        self.position += 1
        return self._object(depth + 1) if opener == "{" else self._array(depth + 1)

    def member(self, depth: int) -> tuple[str, Json]:
        """Read one pair; the colon may be missing before a bracket, as after a heading."""
        key = self._string()
        if self.skip() in ":=":
            self.position += 1
        elif self.text[self.position] not in _CLOSERS:
            self._refuse("a colon")
        return key, self.value(depth)

    def peek_key(self) -> str:
        """Return the name that comes next, "" if there is none; the reader stays before it."""
        self.skip()
        match = _STRING.match(self.text, self.position) or _BARE.match(self.text, self.position)
        return match[0].strip(" \t\"'*_") if match else ""

    def skip(self, also: str = "") -> str:
        """Move over space, comments, and the characters in `also`; return the next character, "" at the end."""
        while True:
            if blank := _SKIPPED.match(self.text, self.position):
                self.position = blank.end()
            following = self.text[self.position : self.position + 1]
            if not following or following not in also:
                return following
            self.position += 1

    def _object(self, depth: int) -> Json:
        members: dict[str, Json] = {}
        while (following := self.skip(",;")) != "}":
            if not following:
                raise ReplyError("truncated", "the JSON ends within an object")
            key, value = self.member(depth)
            members[key] = value
        self.position += 1
        return members

    def _array(self, depth: int) -> Json:
        items: list[Json] = []
        while (following := self.skip(",;")) != "]":
            if not following:
                raise ReplyError("truncated", "the JSON ends within a list")
            items.append(self.value(depth))
        self.position += 1
        return items

    def _scalar(self) -> Json:
        is_quoted = self.text[self.position] in "\"'"
        string = self._string()
        if is_quoted:
            return string
        if string.lower() in _CONSTANTS:
            return _CONSTANTS[string.lower()]
        return float(string) if _NUMBER.match(string) else string

    def _string(self) -> str:
        if match := _STRING.match(self.text, self.position):
            self.position = match.end()
            return _unescaped(match[1] if match[1] is not None else match[2])
        if self.text[self.position] == '"':
            raise ReplyError("truncated", "the JSON ends within a string")
        bare = _BARE.match(self.text, self.position)
        if bare is None:
            self._refuse("a value")
        else:
            self.position = bare.end()
        return bare[0].strip(" \t*_") if bare else ""

    def _refuse(self, expected: str) -> None:
        line = self.text.count("\n", 0, self.position) + 1
        found = self.text[self.position : self.position + 20]
        raise ReplyError("bad_json", f"line {line}: expected {expected} in the JSON, found {found!r}")


def _unescaped(string: str) -> str:
    if "\\" not in string:
        return string
    try:
        return str(json.loads(f'"{string}"', strict=False))
    except ValueError:
        return string.replace("\\'", "'")
