"""Finds title, authors and abstract in the front matter by type size, position and the usual words."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from fairnad.knowledge.build.headings import Heading, body_size
from fairnad.knowledge.build.layout import Row
from fairnad.knowledge.build.prose import join

__all__ = ["Front", "read_front"]

_ABSTRACT = re.compile(
    r"\W*(?i:abstract|summary|a\s+b\s+s\s+t\s+r\s+a\s+c\s+t)"
    r"(\s*$|\s*[^\w\s(-]\s*|\s*-+\s*(?=[A-Z])|\t)|(Abstract|ABSTRACT) (?=[A-Z])"
)
_AFTER_ABSTRACT = re.compile(
    r"key ?-?words|index terms|ccs\b|categories and subject|general terms|acm reference|article info"
    r"|(1|I)?[.\s]*introduction$|\u00a9|copyright|subject areas?|(table of )?contents$",
    re.IGNORECASE,
)
_KEYWORDS = re.compile(r"key ?-?words|index terms|ccs concepts|categories and subject|general terms", re.IGNORECASE)
_CAPTION = re.compile(r"(fig(ure|\.)|table)\s*\d", re.IGNORECASE)
_MASTHEAD = re.compile(
    r"((research|original|review|short|regular|open|full)\s)*(articles?|papers?|letters?|access|preprint|survey|report)$"
    r"|.*(journal homepage|contents lists|arxiv:|\bdoi\b|https?:|www\.|@|\u00a9)|proceedings of|published |vol\.",
    re.IGNORECASE,
)
_MARK_CHARACTERS = " ,\u2217*\u2020\u2021\u00a7\u00b6\u22c6\u2660\u2666#"
_MARKS = re.compile(rf"^[\d{_MARK_CHARACTERS}]+|[\d.{_MARK_CHARACTERS}]+$")
_PLACE = re.compile(
    r"universi|institut|research\b|laborator|\blabs?\b|department|dept|school|college|academy|center|centre|\binc\b"
    r"|corp|\bltd\b|google|microsoft|facebook|\bmeta\b|amazon|nvidia|deepmind|openai|huawei|tencent|alibaba|group"
    r"|technolog|science|engineering|\bai\b|brain|team|contribut|equal|author|member|received|university|foundation",
    re.IGNORECASE,
)
_NAME = re.compile(r"[^\W\d_][\w'\u2019.-]*(\s+[^\W\d_][\w'\u2019.-]*){1,4}")
_PARTICLE = re.compile(r"van|der|den|de|von|la|le|da|di|del|dos|las|los|bin|al|el|ter", re.IGNORECASE)
_LONGEST_ABSTRACT = 3000


@dataclass(frozen=True, slots=True)
class Front:
    """What stands before the body, which begins at row `end`; empty text for what was not found."""

    title: str
    authors: tuple[str, ...]
    abstract: str
    end: int


def read_front(rows: Sequence[Row], headings: Sequence[Heading], known: Collection[str]) -> Front:
    """Return title, authors and abstract from the first two pages."""
    anchor = _find_abstract(rows)
    if anchor is None:
        chosen = _unmarked_abstract(rows, headings)
        top = rows[chosen[0]].y0 if chosen else _first_heading_top(rows, headings)
    else:
        chosen = _marked_abstract(rows, anchor, headings)
        top = rows[anchor].y0 if rows[anchor].page == 1 else float("inf")
    abstract = join([_ABSTRACT.sub("", rows[index].text, count=1) for index in chosen], known).strip()
    title_rows = _title_rows(rows, top)
    title = join([row.plain for row in title_rows], known).rstrip(_MARK_CHARACTERS)
    between = [row for row in rows if row.page == 1 and row.y0 < top and row not in title_rows]
    authors = _authors([row for row in between if not title_rows or row.y1 > title_rows[-1].y1])
    return Front(title, authors, abstract, chosen[-1] + 1 if chosen else 0)


def _find_abstract(rows: Sequence[Row]) -> int | None:
    body = body_size(rows)
    for index, row in enumerate(rows):
        if row.page > 2:
            break
        match = _ABSTRACT.match(row.text)
        # A title may begin with the word too.
        if match and (match.end() == len(row.text) or row.size <= body + 1):
            return index
    return None


def _first_heading_top(rows: Sequence[Row], headings: Sequence[Heading]) -> float:
    if headings and headings[0].page == 1:
        return rows[headings[0].first].y0
    return float("inf")


def _marked_abstract(rows: Sequence[Row], anchor: int, headings: Sequence[Heading]) -> list[int]:
    """Return the indices of the abstract's rows, where it begins with its name."""
    remainder = _ABSTRACT.sub("", rows[anchor].text, count=1)
    first = anchor if remainder else anchor + 1
    end = next((heading.first for heading in headings if heading.first > anchor), len(rows))
    middle = (rows[anchor].x0 + rows[anchor].x1) / 2
    # Beside the abstract of some journals stands a column with dates and keywords.
    long = [row for row in rows[first:end] if len(row.text) > 20]
    below = [row for row in long if row.x0 <= middle <= row.x1]
    return _flow(rows, range(first, end), (below or long)[0]) if long else []


def _flow(rows: Sequence[Row], indices: range, own: Row) -> list[int]:
    """Return the rows that go on in the type of `own`, in its column or one further right, up to what ends it."""
    chosen: list[int] = []
    length = 0
    for _, group in groupby(indices, key=lambda index: rows[index].block):
        block = list(group)
        size = max((rows[index] for index in block), key=lambda row: len(row.text)).size
        is_left = all(rows[index].x1 < own.x0 for index in block)
        if chosen and not is_left and _KEYWORDS.match(rows[block[0]].text):
            return chosen  # whatever the type of their heading
        if is_left or abs(size - own.size) > 0.5 or _CAPTION.match(rows[block[0]].text):
            continue
        for index in block:
            if chosen and _AFTER_ABSTRACT.match(rows[index].text):
                return chosen
            chosen.append(index)
            length += len(rows[index].text)
        if length > _LONGEST_ABSTRACT:
            break
    return chosen


def _unmarked_abstract(rows: Sequence[Row], headings: Sequence[Heading]) -> list[int]:
    """Return the indices of the first running text before the first heading of page 1 or 2."""
    has_heading = bool(headings) and headings[0].page <= 2
    end = headings[0].first if has_heading else sum(row.page == 1 for row in rows)
    blocks = [list(group) for _, group in groupby(range(end), key=lambda index: rows[index].block)]
    running = [block for block in blocks if _is_running([rows[index].text for index in block])]
    if not running:
        return []
    own = rows[running[0][0]]
    if not has_heading:
        is_set_apart = own.is_bold or abs(own.size - body_size(rows)) > 0.5
        running = [block for block in running if rows[block[0]].style == own.style] if is_set_apart else running[:1]
    return _flow(rows, range(running[0][0], running[-1][-1] + 1), own)


def _is_running(texts: Sequence[str]) -> bool:
    tokens = " ".join(texts).split()
    num_small = sum(token[0].islower() for token in tokens)
    return len(tokens) >= 25 and num_small > 0.55 * len(tokens) and not _CAPTION.match(texts[0])


def _title_rows(rows: Sequence[Row], top: float) -> list[Row]:
    """Return the rows of the largest type on page 1 above `top`."""
    above = [row for row in rows if row.page == 1 and row.y0 < top]
    masthead = max((row.y1 for row in above if "journal homepage" in row.text.lower()), default=0.0)
    groups: list[list[Row]] = []
    for row in sorted(above, key=lambda row: (row.y0, row.x0)):
        if row.y0 < masthead or _MASTHEAD.match(row.text) or sum(map(str.isalpha, row.text)) < 2:
            continue
        if groups and _goes_on(groups[-1][-1], row):
            groups[-1].append(row)
        else:
            groups.append([row])
    worded = [group for group in groups if sum(len(row.text) for row in group) >= 6]
    return max(worded, key=lambda group: group[0].size, default=[])


def _goes_on(row: Row, following: Row) -> bool:
    is_near = following.y0 - row.y1 < 0.9 * row.size
    return is_near and abs(following.size - row.size) < 0.7 and following.is_bold == row.is_bold


def _authors(between: Sequence[Row]) -> tuple[str, ...]:
    style: tuple[float, bool, bool] | None = None
    found: list[str] = []
    for row in sorted(between, key=lambda row: (round(row.y1 / 4), row.x0)):
        for name in (name for cell in row.plain.split("\t") for name in _names(cell)):
            # What a name looks like is settled by the first: places often look like names.
            style = style or (row.size, row.is_bold, name.isupper())
            if style == (row.size, row.is_bold, name.isupper()):
                found.append(name)
    return tuple(dict.fromkeys(found))


def _names(cell: str) -> Iterator[str]:
    if "@" in cell:
        return
    for part in re.split(r",|;|\u00b7|\u2022|&|\b(?:and|AND)\b", cell):
        name = _MARKS.sub("", part).strip()
        is_capital = all(token[0].isupper() or _PARTICLE.fullmatch(token) for token in name.split())
        if _NAME.fullmatch(name) and is_capital and not _PLACE.search(name):
            yield name
