"""Ideas in a reply: a list of them, or the one line that names the idea behind some code."""

from __future__ import annotations

import re
from itertools import pairwise

from fairnad.errors import ReplyError
from fairnad.knowledge.ideas import MAX_WORDS
from fairnad.llm.answers import text_of
from fairnad.llm.loose_json import Json, value_at

__all__ = ["read_idea_line", "read_ideas"]

_BULLET = re.compile(
    r"([ \t]*)(?:\*(?!\*)|[-+\u2022\u2023\u25e6\u25aa\u25cf\u00b7\u2013\u2014\u2192]|[(\[]?\d{1,3}[.)\]:]|"
    r"[(]?[a-zA-Z][)])[ \t]*(?=\S)(.*)$"
)
_JSON_START = re.compile(r"^(?:\[\s*(?:[\"'{\]]|\Z)|\{)", re.MULTILINE)
_IDEA_NUMBER = re.compile(r"\A[ \t*_#+\-\u2022]*idea[ \t]*#?\d{1,3}[*_]*[ \t]*[:.)\-\u2013][*_]*[ \t]*", re.IGNORECASE)
_FENCE_LINE = re.compile(r"[ \t]*(?:`{3,}|~{3,})\w*[ \t]*$")
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
    text = text_of(reply)
    lines = [line for line in text.split("\n") if not _FENCE_LINE.match(line)]
    body = "\n".join(lines).strip()
    data = _JSON_START.search(body)
    listed = _from_json(body, data.start()) if data else _from_lines(lines)
    ideas = [idea for idea in map(_plain, listed) if 1 < len(idea.split()) <= MAX_WORDS]
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
    idea = re.sub(r"\*\*|__|`|</?\w{1,20}>", "", idea)
    idea = " ".join(idea.split()).strip("*_ \t")
    while len(idea) > 1 and idea[0] == idea[-1] and idea[0] in "\"'":
        idea = idea[1:-1].strip()
    return idea.strip("\u201c\u201d ")


def _from_json(body: str, start: int) -> list[str]:
    value, _ = value_at(body, start)
    found: list[str] = []
    waiting: list[Json] = [value]
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


def _from_lines(lines: list[str]) -> list[str]:
    """Return the items of a list with bullets or numbers; without any, the lines, if they are not talk."""
    marked = [_IDEA_NUMBER.sub("- ", line, count=1) for line in lines]
    if any(_BULLET.match(line) for line in marked):
        return _items(marked)
    plain = [line.strip() for line in marked if line.strip()]
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
