"""What the replies of a language model say, for each kind of question that FairNAD asks.

Every reader takes the text as it came, in any spelling that models produce, and raises nothing but `ReplyError`.
Where a reply can be read in two ways, it is refused. Code is read by `code_replies`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches

from fairnad.errors import ReplyError, nearest
from fairnad.knowledge.attributes import MAIN_CATEGORIES, Attribute
from fairnad.llm.answers import text_of
from fairnad.llm.code_replies import extract_code, read_class, read_edits
from fairnad.llm.idea_lists import read_idea_line, read_ideas
from fairnad.llm.loose_json import Json, arguments_of, members_at, value_at
from fairnad.llm.registry import unwrap_registry

__all__ = [
    "LEVELS",
    "NamedAttributes",
    "canonical",
    "extract_code",
    "read_attributes",
    "read_choice",
    "read_class",
    "read_edits",
    "read_filter",
    "read_idea_line",
    "read_ideas",
    "unwrap_registry",
]

LEVELS = {"operation": "operation level", "block": "block and connectivity level", "network": "network level"}
"""The granularities, as the paper's prompts call them."""

_TARGETS = ("performance", "efficiency")

# `##response##`, `**response**`, a heading, and the like; then, where there is none of those, weaker ones.
_MARKERS = (
    re.compile(
        r"(?:#|\*\*|\\\*|\uff03)[#*\\\uff03 \t_]{0,8}responses?[ \t]{0,3}(?:[#*:=\\\uff03_`]|[ \t]){0,8}", re.IGNORECASE
    ),
    re.compile(
        r"[<\[({\"'_=`|]{1,4}responses?[>\])}\"'_=`|]{1,4}[ \t]{0,3}[:=]?|^[ \t]*responses?[ \t]*[:=]", re.I | re.M
    ),
)
_CHOICE = re.compile(
    r"[\W_]*(?:(?:the[ \t]+)?(?:final[ \t]+)?(?:answer|verdict|judge?ment)(?:[ \t]+is)?[\W_]+)?"
    r"(yes|no|true|false|[yn](?!/))(?![A-Za-z0-9-])",
    re.IGNORECASE,
)
_SECOND_CHOICE = re.compile(
    r"(?:\s*(?:[/|]|\bor\b)[\W_]*|[ \t,;&]*(?:and\b)?[\W_]*(?=\w+[\W_]*$))(yes|no|true|false)\b", re.IGNORECASE
)
_SEPARATORS = (r"\\?\*+", r"\|", r"->|\u2192", r">", r"/", r";", r",")
_FIELD_NAME = re.compile(r"(?:target|granularity|level|main[ _-]?category|sub[ _-]?category)[ \t]*[:=]", re.IGNORECASE)
_EDGES = " \t\n\"'`*_<>[]{}.,:;=#\u201c\u201d\u3002"
_CLOSING_TAG = re.compile(r"</\w{1,20}>\s*\Z")
_NOWHERE = re.compile(r"\(?(?:no|none|n/a)(?![A-Za-z0-9-])", re.IGNORECASE)
_MAX_SUB_CHARS = 80

# Few words may stand before the name: with any, each line of prose on performance would be a heading.
_HEADING = re.compile(
    r"[^A-Za-z\n{}\"]{0,20}"
    r"(?:(?:design|model|network|attributes?|for|of|step|part|section|[a-d])(?![a-z])[^A-Za-z\n{}\"]{0,9}){0,5}"
    r"(?:\"(?=\w+\"[ \t]*:))?(performance|efficiency)(?![a-z])([^\n{\[]*)",
    re.IGNORECASE,
)
_TARGET = re.compile("|".join(_TARGETS), re.IGNORECASE)
_NAMED_OBJECT = re.compile(r"\{\s*[\"'*_]{0,3}(?:performance|efficiency)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class NamedAttributes:
    """The names that a reply lists under one main category, which is spelled as the reply has it."""

    target: str
    granularity: str
    main: str
    names: tuple[str, ...]


def read_choice(reply: str) -> bool:
    """Return the yes or no after the last response mark.

    Raises:
        ReplyError: "empty", "no_response_marker", or "bad_value" where it is neither, or both.
    """
    for value in _marked_values(reply):
        choice = _CHOICE.match(value)
        if choice is None:
            continue
        is_yes = choice[1].lower() in ("yes", "true", "y")
        second = _SECOND_CHOICE.match(value[choice.end() :].partition("\n")[0].strip())
        if second is None or (second[1].lower() in ("yes", "true")) == is_yes:
            return is_yes
        break
    raise ReplyError("bad_value", "after ##response## the reply says neither a clear yes nor a clear no")


def read_filter(reply: str) -> Attribute | None:
    """Return where in the tree a paper belongs, in the reply's spelling (lower case), or None for "no".

    `target` and `granularity` are those of the tree; `canonical` gives the main category its name there.

    Raises:
        ReplyError: "empty", "no_response_marker", or "bad_fields" where these are not four known fields.
    """
    for value in _marked_values(reply):
        line = next((line for line in value.split("\n") if line.strip(_EDGES)), "")
        line = _CLOSING_TAG.sub("", line).strip(_EDGES)
        if _NOWHERE.match(line):
            return None
        if line:
            return _place(_fields(line))
    raise ReplyError("bad_fields", "after ##response## the reply has no target*granularity*main category*sub-category")


def canonical(place: Attribute) -> Attribute:
    """Return `place` with its main category in the spelling of the tree.

    Raises:
        ReplyError: "bad_fields": there is no such main category.
    """
    known = [main for target, granularity, main in MAIN_CATEGORIES if (target, granularity) == _upper(place)]
    found = get_close_matches(place.main, known, n=1, cutoff=0.75)
    if not found:
        where = f"{place.target}, {place.granularity}"
        raise ReplyError(
            "bad_fields", f"main category {place.main!r} ({where}) is not known: {nearest(place.main, known)}"
        )
    return Attribute(place.target, place.granularity, found[0], place.sub)


def read_attributes(reply: str) -> tuple[NamedAttributes, ...]:
    """Return the attributes that a reply lists under Performance and Efficiency.

    Raises:
        ReplyError: "empty", "missing_section", "truncated", "bad_json", or "bad_fields" where a level is not known or
            a category holds something else than names.
    """
    sections = _sections(re.sub("[\u201c\u201d]", '"', text_of(reply)))
    for target in _TARGETS:
        if target not in sections:
            raise ReplyError("missing_section", f"the reply has no section {target.capitalize()}")
    return tuple(named for target in _TARGETS for named in _named(target, sections[target]))


def _marked_values(reply: str) -> list[str]:
    """Return what follows the last response mark, and, where that only closes a value, the value before it.

    Raises:
        ReplyError: "empty" or "no_response_marker".
    """
    text = text_of(reply)
    marks = next((marks for marker in _MARKERS if (marks := list(marker.finditer(text)))), None)
    if marks is None:
        raise ReplyError("no_response_marker", "the reply has no ##response##")
    last = text[marks[-1].end() :]
    if last.strip(_EDGES) or len(marks) == 1:
        return [last]
    before = text[marks[-2].end() : marks[-1].start()].strip()
    return [last] if "\n" in before or len(before) > 300 else [before]


def _fields(line: str) -> list[str]:
    separators = [separator for separator in _SEPARATORS if len(re.split(separator, line)) == 4]
    if "*" in line or not separators:
        separators = [_SEPARATORS[0]]
    fields = [_FIELD_NAME.sub("", field.strip(_EDGES)).strip(_EDGES) for field in re.split(separators[0], line)]
    return [" ".join(field.lower().replace("_", " ").split()) for field in fields]


def _place(fields: list[str]) -> Attribute:
    if len(fields) != 4 or not all(fields):
        raise ReplyError("bad_fields", f"expected target*granularity*main category*sub-category, found {fields}")
    target = next((name for name in _TARGETS if fields[0].startswith(name)), None)
    level = _level(fields[1])
    if target is None or level is None:
        raise ReplyError("bad_fields", f"target {fields[0]!r} or level {fields[1]!r} is not known")
    sub = fields[3].partition(". ")[0]
    if len(sub) > _MAX_SUB_CHARS:
        raise ReplyError("bad_fields", f"the sub-category is a text of {len(sub)} characters")
    place = Attribute(target, level, fields[2], None if sub in ("none", "n/a", "-") else sub)
    canonical(place)
    return place


def _upper(place: Attribute) -> tuple[str, str]:
    return place.target, place.granularity


def _level(name: str) -> str | None:
    match = re.match(r"(operation|block|network)(?:[ _-]|s\b|al\b|$)", name.strip(" *_\"'").lower())
    return match[1] if match else None


def _sections(text: str) -> dict[str, Json]:
    """Return the data of each section: of one object with both names, or under a heading for each."""
    headings = _headings(text)
    start = text.find("{")
    if start >= 0 and (not headings or start < headings[0].start() or _NAMED_OBJECT.match(text, start)):
        found = _sections_of_objects(text, start)
        if found or not headings:
            return found
    sections: dict[str, Json] = {}
    for heading, following in zip(headings, [*headings[1:], None], strict=False):
        body = text[heading.end() : following.start() if following else len(text)]
        data = _section(body)
        if data is not None or heading[1].lower() not in sections:
            sections[heading[1].lower()] = data
    for target, data in sections.items():
        if data is None:
            raise ReplyError("bad_json", f"section {target.capitalize()} holds no JSON")
    return sections


def _headings(text: str) -> list[re.Match[str]]:
    lines = dict.fromkeys(
        text.rfind("\n", max(0, name.start() - 80), name.start()) + 1 for name in _TARGET.finditer(text)
    )
    return [heading for line in lines if (heading := _HEADING.match(text, line)) and len(heading[2]) <= 60]


def _sections_of_objects(text: str, start: int) -> dict[str, Json]:
    sections: dict[str, Json] = {}
    while start >= 0 and len(sections) < len(_TARGETS):
        data, end = value_at(text, start)
        data = arguments_of(data)
        for place in (data, *data.values()) if isinstance(data, dict) else ():
            if isinstance(place, dict):
                sections |= {target: value for key, value in place.items() if (target := _target(key))}
        start = text.find("{", end)
    return sections


def _target(key: str) -> str | None:
    return next((target for target in _TARGETS if key.lower().strip(" *_#").startswith(target)), None)


def _section(body: str) -> Json:
    """Return the data under a heading; {} where the body says that there is nothing, None where it has no data."""
    if body.strip(_EDGES).lower() in ("none", "n/a", "no items", "empty"):
        return {}
    bracket = re.search(r"[{\[]", body)
    if bracket is None:
        return None
    before = body[: bracket.start()].rstrip()
    line_start = before.rfind("\n") + 1
    if body[bracket.start()] == "{" and _level(before[line_start:].strip(" \t*_-\"'#:")):
        return members_at(body, line_start, lambda key: _level(key) is not None)
    return value_at(body, bracket.start())[0] or {}


def _named(target: str, section: Json) -> list[NamedAttributes]:
    if section in (None, [], ""):
        return []
    if not isinstance(section, dict):
        raise ReplyError("bad_fields", f"section {target} is no object of levels")
    named = []
    for level, categories in section.items():
        granularity = _level(level)
        if granularity is None:
            raise ReplyError("bad_fields", f"level {level!r} is not known: {nearest(level, LEVELS.values())}")
        if categories in (None, [], ""):
            continue
        if not isinstance(categories, dict):
            raise ReplyError("bad_fields", f"{target}, {level}: expected categories, each with a list of names")
        for main, names in categories.items():
            named.append(NamedAttributes(target, granularity, main.strip().lower(), _names(main, names)))
    return named


def _names(main: str, names: Json) -> tuple[str, ...]:
    listed = [] if names is None else names if isinstance(names, list) else [names]
    if not all(isinstance(name, str) for name in listed):
        raise ReplyError("bad_fields", f"category {main!r}: expected a list of names")
    stripped = (" ".join(str(name).split()) for name in listed)
    return tuple(dict.fromkeys(name for name in stripped if name))
