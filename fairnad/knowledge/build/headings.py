"""Finds the top-level headings of a paper by numbering, type size, weight and capitals, and by the usual names."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fairnad.knowledge.build.layout import Row

__all__ = ["Heading", "body_size", "find_headings", "is_references", "is_subheading", "is_usual"]

_USUAL = re.compile(
    r"(extended )?introduction|(background|related works?|prior works?)( and .*)?|preliminar(y|ies)|motivation"
    r"|(materials and |our )?method(s|ology)?|(our |proposed )?approach|(experiments?|evaluation|results?)( and .*)?"
    r"|(experimental|main) (setup|results?)|ablation( stud(y|ies))?|discussions?( and .*)?"
    r"|(conclusions?|summary)( and .*)?",
    re.IGNORECASE,
)
_BACK = re.compile(
    r"references( and notes)?|bibliography|(literature|works) cited|acknowledge?ments?( and .*)?|appendi(x|ces)\b.*"
    r"|supplementa(ry|l)\b.*|(broader )?impact( statement)?|broader impacts|limitations|.{0,40}\bstatement|funding"
    r"|(data|code)( and \w+)? availability|.{0,20}\bcontributions?|(declaration|conflicts?|competing) .*|abbreviations"
    r"|methods|online methods",
    re.IGNORECASE,
)
_REFERENCES = re.compile(r"references( and notes)?|bibliography|(literature|works) cited", re.IGNORECASE)
_DECIMAL = re.compile(r"(?:section )?(\d{1,2}(?:\.\d{1,2}){0,3})(?:[.:)]?[\s|]+|[.:)])(?=[^\W\d])", re.IGNORECASE)
_ROMAN = re.compile(r"([IVX]{1,5})(?:[.:)]\s*|\t)(?=[^\W\d])")
_LETTER = re.compile(r"(?:appendix\s+([A-Z])(?:[.:)]?\s+|[.:)]|$)|([A-Z])(?:\.\d{1,2})*(?:[.:)]\s*|\t))", re.IGNORECASE)
_CAPTION = re.compile(r"(fig(ure|\.)?|table|tab\.|algorithm|refer to caption)\s*[\dIVX|:]", re.IGNORECASE)
_ROMANS = {"I": 1, "II": 2, "III": 3, "IV": 4, "V": 5, "VI": 6, "VII": 7, "VIII": 8, "IX": 9, "X": 10, "XI": 11}
_COUNTED = ("decimal", "roman")
_MAX_TITLE = 120


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading over the rows `first` to `last`; `title` is without its number."""

    first: int
    last: int
    title: str
    page: int


@dataclass(frozen=True, slots=True)
class _Candidate:
    heading: Heading
    style: tuple[float, bool, bool]
    is_distinct: bool
    scheme: str | None
    number: int | None
    """The number at the top level; None without one, or below the top level."""

    @property
    def key(self) -> tuple[str | None, tuple[float, bool, bool]]:
        return self.scheme, self.style


def body_size(rows: Sequence[Row]) -> float:
    """Return the type size of most letters, references at the end left out."""
    sizes: Counter[float] = Counter()
    for row in rows[: max(1, len(rows) * 6 // 10)]:
        sizes[row.size] += len(row.text)
    return sizes.most_common(1)[0][0]


def is_references(title: str) -> bool:
    """Return whether a title is that of the list of references."""
    return _REFERENCES.fullmatch(title) is not None


def is_usual(text: str) -> bool:
    """Return whether many papers have a section of this name."""
    text = text.rstrip(" .:")
    return _USUAL.fullmatch(text) is not None or _BACK.fullmatch(text) is not None


def is_subheading(row: Row, body: float) -> bool:
    """Return whether a row looks like a heading below the top level: numbered and set apart."""
    match = _DECIMAL.match(row.text)
    return (
        match is not None and "." in match[1] and (row.is_bold or row.size > body + 0.5) and len(row.text) < _MAX_TITLE
    )


def find_headings(rows: Sequence[Row]) -> tuple[Heading, ...]:
    """Return the top-level headings in order; none where neither numbers nor names give them away."""
    candidates = list(_candidates(rows, body_size(rows)))
    chain = _best_chain(candidates)
    found = _around(chain, candidates) if chain else _unnumbered(candidates)
    return tuple(candidate.heading for candidate in found)


def _candidates(rows: Sequence[Row], body: float) -> Iterator[_Candidate]:
    body_is_bold = sum(len(row.text) for row in rows if row.is_bold) > 0.5 * sum(len(row.text) for row in rows)
    index = 0
    while index < len(rows):
        row = rows[index]
        is_distinct = (row.is_bold and not body_is_bold) or row.size > body + 0.7 or row.text.isupper()
        last = _last_row(rows, index) if is_distinct else index
        candidate = _candidate(rows, index, last, is_distinct)
        if candidate is not None:
            yield candidate
        index = last + 1


def _last_row(rows: Sequence[Row], first: int) -> int:
    """Return the index of the last row of the heading that begins at `first`: it may be printed in up to three."""
    last = first
    while last + 1 < len(rows) and last - first < 2:
        row, following = rows[last], rows[last + 1]
        is_close = 0 <= following.y0 - row.y0 < 1.6 * (row.y1 - row.y0) and following.page == row.page
        starts_anew = _number_of(following.text)[0] or is_usual(following.text)
        is_alone = is_usual(_strip_number(row.text))
        if not is_close or starts_anew or is_alone or following.style != rows[first].style:
            break
        last += 1
    return last


def _candidate(rows: Sequence[Row], first: int, last: int, is_distinct: bool) -> _Candidate | None:
    row = rows[first]
    text = _glue([part.text for part in rows[first : last + 1]])
    scheme, number, title = _split(text)
    is_shaped = 3 <= len(title) <= _MAX_TITLE and title[0].isupper() and not title.endswith((",", ";"))
    is_weak = scheme is not None and (first == 0 or rows[first - 1].block != row.block) and not title.endswith(".")
    if not is_shaped or _CAPTION.match(title) or (scheme is None and _is_inside(rows, first, last)):
        return None
    if not (is_distinct or is_weak or is_references(title)):
        return None
    heading = Heading(first, last, title.rstrip(" .:"), row.page)
    return _Candidate(heading, row.style, is_distinct, scheme, number)


def _is_inside(rows: Sequence[Row], first: int, last: int) -> bool:
    """Return whether the rows are but a part of a paragraph in one style."""
    around = [rows[index] for index in (first - 1, last + 1) if 0 <= index < len(rows)]
    return any(row.block == rows[first].block and row.style == rows[first].style for row in around)


def _glue(parts: Sequence[str]) -> str:
    text = parts[0]
    for part in parts[1:]:
        text = f"{text} {part}" if not text.endswith("-") else text[: -1 if part[0].islower() else None] + part
    return text


def _split(text: str) -> tuple[str | None, int | None, str]:
    scheme, number = _number_of(text)
    return scheme, number, _strip_number(text).replace("\t", " ").strip()


def _number_of(text: str) -> tuple[str | None, int | None]:
    if match := _DECIMAL.match(text):
        return ("decimal", None) if "." in match[1] else ("decimal", int(match[1]))
    if (match := _ROMAN.match(text)) and match[1] in _ROMANS:
        return "roman", _ROMANS[match[1]]
    if match := _LETTER.match(text):
        letter = match[1] or match[2]
        return "letter", ord(letter.upper()) - ord("A") + 1
    return None, None


def _strip_number(text: str) -> str:
    scheme, _ = _number_of(text)
    pattern = {"decimal": _DECIMAL, "roman": _ROMAN, "letter": _LETTER, None: None}[scheme]
    stripped = pattern.sub("", text, count=1) if pattern else text
    return stripped or text


def _best_chain(candidates: Sequence[_Candidate]) -> list[_Candidate]:
    """Return the longest run of headings of one style that are numbered 1, 2, 3, with at most one number missing."""
    groups: dict[object, list[_Candidate]] = defaultdict(list)
    for candidate in candidates:
        if candidate.scheme in _COUNTED and candidate.number is not None:
            # Without a style of its own a numbered row is taken only among others like it.
            groups[candidate.key if candidate.is_distinct else "plain"].append(candidate)
    chains = [chain for group in groups.values() for chain in _chains(group) if _is_credible(chain)]
    # A table of contents counts like the paper itself, and comes first.
    return max(reversed(chains), key=lambda chain: (chain[0].is_distinct, len(chain), chain[0].style[0]), default=[])


def _chains(group: Sequence[_Candidate]) -> list[list[_Candidate]]:
    chains: list[list[_Candidate]] = []
    for candidate in group:
        number = candidate.number or 0
        for chain in chains:
            if number - (chain[-1].number or 0) in {1, 2}:
                chain.append(candidate)
        if number == 1 or (number == 2 and not chains):
            chains.append([candidate])
    return chains


def _is_credible(chain: Sequence[_Candidate]) -> bool:
    has_name = any(is_usual(candidate.heading.title) for candidate in chain)
    return len(chain) >= 2 and (has_name or (len(chain) >= 4 and chain[0].is_distinct))


def _around(chain: Sequence[_Candidate], candidates: Sequence[_Candidate]) -> Iterator[_Candidate]:
    """Yield the numbered headings, with those around them that carry no number: front, references, appendices."""
    numbered = {candidate.heading.first for candidate in chain}
    size = chain[0].style[0]
    is_over = False
    for candidate in candidates:
        title = candidate.heading.title
        is_back = candidate.scheme is None and _BACK.fullmatch(title) is not None
        is_appendix = is_over and candidate.is_distinct and abs(candidate.style[0] - size) < 0.5
        if candidate.heading.first in numbered or (candidate.scheme not in _COUNTED and (is_back or is_appendix)):
            yield candidate
        is_over = is_over or is_references(title)


def _unnumbered(candidates: Sequence[_Candidate]) -> list[_Candidate]:
    """Return the headings in the style of the usual names, and the back matter in any style."""
    plain = [candidate for candidate in candidates if candidate.scheme is None or candidate.scheme == "letter"]
    names = Counter(
        candidate.style for candidate in plain if candidate.is_distinct and is_usual(candidate.heading.title)
    )
    if not names:
        return []
    style = max(names, key=lambda style: (names[style] >= 2, style[0], names[style]))
    return [
        candidate
        for candidate in plain
        if candidate.style == style or (_BACK.fullmatch(candidate.heading.title) and names[style] >= 2)
    ]
