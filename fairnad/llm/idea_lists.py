"""Ideas in a reply: a list of them, or the one line that names the idea behind some code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from fairnad.errors import ReplyError
from fairnad.knowledge.ideas import MAX_WORDS
from fairnad.llm.answers import text_of
from fairnad.llm.loose_json import Json, arguments_of, value_at

__all__ = ["read_idea_line", "read_ideas"]

_BULLET = re.compile(
    r"([ \t]*)(?=[^a-zA-Z\s]|[a-zA-Z]{1,4}[.)])(?:\\?[-+]|"
    r"(?:#{1,6}[ \t]+)?[*_]{0,2}[(\[\uff08]?\d{1,3}(?:\\?[.)\]:\u3001\uff0e\uff09](?!\d)|\ufe0f?\u20e3)[*_]{0,2}|"
    r"\(?(?:[a-zA-Z]|[ivxIVX]{1,4})(?:\)|\.(?=[ \t]))|\\?\*(?!\*)|"
    r"(?:[\u2460-\u24ff\u2776-\u2793]|(?![\u201c\u2018\u00ab\u300c\u3010\uff08])[^\w\s\x00-\x7f])\ufe0f?"
    r")[ \t]*(?:(?:\[[ xX]?\]|\d{1,3}[.)]|[-+])[ \t]+)?(?=\S)(.*)$"
)
"""A dash, a number, a letter, or any other sign that opens nothing; a box or a number may follow."""
_QUOTATION = re.compile(r"^(?:[ \t]*>)+[ \t]?", re.MULTILINE)
_JSON_START = re.compile(r"^(?:ideas?[ \t]*[:=][ \t]*)?(?=\[\s*(?:[\"'{\]]|\Z)|\{)", re.IGNORECASE | re.MULTILINE)
_NEXT_OBJECT = re.compile(r"[\s,]*(?=\{)")
_IDEA_NUMBER = re.compile(
    r"^[ \t*_#+\-\u2022\d.)]*idea"
    r"(?:[ \t]*#?\d{1,3}[*_ \t]*[.)\-\u2013]|(?:[ \t]*#?\d{1,3})?[*_ \t]*(?::|\n\s*))[*_]*[ \t]*",
    re.IGNORECASE | re.MULTILINE,
)
_NO_IDEA_LINE = re.compile(r"(?:[ \t]*(?:`{3,}|~{3,})\w*[ \t]*|[ \t]*[-*_][-*_ \t]+)$")
_NO_IDEAS = re.compile(r"(?:there (?:is|are) )?no (?:\w+ ){0,3}ideas?\b", re.IGNORECASE)
_MARKUP = re.compile(r"\*\*|`|</?[A-Za-z]\w{0,19}>|_(?:(_[a-z]+(?:_[a-z]+)*__)(?!\w)|_|(?<=\A_)|\Z)")
"""What is no part of an idea, and the names of Python with two underscores around, which are."""
_TALK = re.compile(
    r"(?:I|we|you|this|these|those|the (?:paper|following|above|ideas?|authors?)|there|here|sorry|unfortunately|note|"
    r"sure|certainly|of course|no|none|let|based|as an?|below|overall|in summary|please|if)\b",
    re.IGNORECASE,
)
_IDEA_LINE = re.compile(
    r"^[ \t>#*_`\"'<\[({\-\d.)]*(?:(?:the|my|our|new|final|mutation|mutated|design|proposed|chosen|refined)[ \t]+)"
    r"{0,4}idea(?:[\d#*_`\"' \t]{0,8}[:=\u2013\u2014>-]|[*_ \t]*$)[ \t]*(.*)$",
    re.IGNORECASE | re.MULTILINE,
)
_CODE = re.compile(r"^[ \t]*(?:`{3,}|~{3,}|import \w|from \w+ import |class \w+[(:])", re.MULTILINE)
_IDEA_KEYS = ("idea", "text", "description", "content", "name")
_MIN_DETAILED_WORDS = 5


def read_ideas(reply: str) -> tuple[str, ...]:
    """Return the ideas that a reply lists, in order, without repetitions and without those of 50 words or more.

    Raises:
        ReplyError: "empty", "truncated" or "bad_json" for broken JSON, "no_ideas" where nothing is left.
    """
    text = _QUOTATION.sub("", text_of(reply))
    lines = [line for line in text.split("\n") if not _NO_IDEA_LINE.match(line)]
    body = "\n".join(lines)
    data = _JSON_START.search(stripped := body.strip())
    listed = _from_json(stripped, data.end()) if data else _from_lines(_IDEA_NUMBER.sub("- ", body).split("\n"))
    ideas = [idea for idea in map(_plain, listed) if 1 < len(idea.split()) <= MAX_WORDS and not _NO_IDEAS.match(idea)]
    unique: dict[str, str] = {}
    for idea in ideas:
        unique.setdefault(idea.casefold(), idea)
    if not unique:
        raise ReplyError("no_ideas", f"the reply lists no idea of 2 to {MAX_WORDS} words")
    return tuple(unique.values())


def read_idea_line(reply: str) -> str:
    """Return what stands after "Idea:" in a reply: the last such line before the code, else the first one.

    Raises:
        ReplyError: "empty", or "missing_section" where there is no such line.
    """
    text = text_of(reply)
    code = _CODE.search(text)
    lines = [(match.start(), _line_or_next(text, match)) for match in _IDEA_LINE.finditer(text)]
    filled = [(start, idea) for start, idea in lines if idea]
    before = [idea for start, idea in filled if code is None or start < code.start()]
    if not filled:
        raise ReplyError("missing_section", "the reply has no line that starts with `Idea:`")
    return before[-1] if before else filled[0][1]


def _line_or_next(text: str, match: re.Match[str]) -> str:
    """Return the idea on the line of `match`, or on the next line that is filled."""
    if idea := _plain(match[1]):
        return idea
    following = text[match.end() : match.end() + 2000].strip().partition("\n")[0]
    return "" if _CODE.match(following) else _plain(following)


def _plain(idea: str) -> str:
    """Return `idea` in one line, without marks of emphasis, quotes around it, or tags."""
    idea = _MARKUP.sub(lambda mark: mark[0] if mark[1] else "", " ".join(idea.split())).strip("* ")
    while len(idea) > 1 and idea[0] == idea[-1] and idea[0] in "\"'":
        idea = idea[1:-1].strip()
    return idea.strip("\u201c\u201d ")


def _from_json(body: str, start: int) -> list[str]:
    found: list[str] = []
    waiting = [*_values(body, start)][::-1]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            found.append(item)
        elif isinstance(item, list):
            waiting += item[::-1]
        elif isinstance(item, dict):
            key = next((key for key in _IDEA_KEYS if isinstance(item.get(key), str)), None)
            waiting += [item[key]] if key else list(item.values())[::-1]
    return found


def _values(body: str, start: int) -> Iterator[Json]:
    """Yield the value at `start`, and the objects that follow right after it."""
    while start >= 0:
        value, end = value_at(body, start)
        yield arguments_of(value)
        following = _NEXT_OBJECT.match(body, end)
        start = following.end() if following else -1


def _from_lines(lines: list[str]) -> list[str]:
    """Return the items of a list with bullets or numbers; without any, the lines, if they are not talk."""
    if any(_BULLET.match(line) for line in lines):
        return _items(lines)
    plain = [line.strip() for line in lines if line.strip()]
    if len(plain) > 2 and not plain[1].strip("|-: "):  # a table
        return [max(row.split("|"), key=len) for row in plain[2:]]
    is_talk = len(plain) < 2 or any(_TALK.match(line) or line.endswith(":") for line in plain)
    return [] if is_talk else plain


def _items(lines: list[str]) -> list[str]:
    """Return the items with their further lines, without headings, and without the details below an item."""
    items: list[tuple[int, str]] = []
    is_open = False
    for line in lines:
        if bullet := _BULLET.match(line):
            items.append((len(bullet[1].expandtabs(4)), bullet[2]))
            is_open = True
        elif is_open and line.strip() and line[0] in " \t":
            items[-1] = (items[-1][0], f"{items[-1][1]} {line.strip()}")
        else:
            is_open = False
    kept: list[str] = []
    detailed: int | None = None
    for (depth, text), (depth_after, _) in pairwise([*items, (-1, "")]):
        if detailed is not None and depth > detailed:
            continue
        is_heading = text.endswith(":") or (depth_after > depth and len(text.split()) < _MIN_DETAILED_WORDS)
        detailed = None if is_heading else depth
        kept += [] if is_heading else [text]
    return kept
