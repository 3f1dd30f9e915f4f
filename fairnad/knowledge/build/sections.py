"""Cuts the rows of a paper into sections, without front matter and references, and picks those about the method."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from fairnad.knowledge.build.headings import Heading, is_references, is_subheading
from fairnad.knowledge.build.layout import Row
from fairnad.knowledge.build.prose import join
from fairnad.knowledge.wording import words

__all__ = ["Section", "cut", "paragraphs", "pick_method"]

_CAPTION = re.compile(r"(fig(ure|\.)|table|tab\.|algorithm|listing)\s*[\dIVX]", re.IGNORECASE)
_NOTE = re.compile(
    r"[\d*\u2217\u2020\u2021\u00a7\u00b6\u22c6]|e-?mail|correspond|code |project page|https?:", re.IGNORECASE
)
_METHOD = re.compile(
    r"(the |our )?((proposed|overall|network|model|general|detailed|research) |materials and )?"
    r"(method(s|ology)?|approach(es)?|frameworks?|models?|algorithms?|architectures?)( details| overview| description)?"
    r"|(the proposed|our) (?!experiment|evaluation|result|contribution|data).+|online methods"
    r"|(method|approach)(s|ology)?( and|:| of) .+",
    re.IGNORECASE,
)
_BEHIND = re.compile(r"(online |materials and )?methods?", re.IGNORECASE)
"""Journals print these behind the discussion."""
_BEFORE = re.compile(
    r"introduction|related|background|prior work|previous work|preliminar|motivation|problem (statement|formulation"
    r"|definition|setup)|data ?sets?\b|the data\b|notation|literature|abstract|overview of|review",
    re.IGNORECASE,
)
_AFTER = re.compile(
    r"experiment|evaluation|results?\b|empirical|ablation|benchmark|comparison|performance|simulation|case stud"
    r"|application|discussion|conclusion|concluding|summary|future|limitation|acknowledg|appendi|supplement"
    r"|broader impact|statement|funding|availability|contributions?$|training\b|analysis|implementation|relationship",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Section:
    """One top-level section with all below it; `page` is where it begins, from 1."""

    title: str
    text: str
    page: int


def cut(
    rows: Sequence[Row], headings: Sequence[Heading], start: int, body: float, known: Collection[str]
) -> tuple[Section, ...]:
    """Return the sections from row `start` on; the references are cut off."""
    starts = [heading.first for heading in headings] + [len(rows)]
    return tuple(
        Section(heading.title, paragraphs(rows[heading.last + 1 : end], body, known), heading.page)
        for heading, end in zip(headings, starts[1:], strict=True)
        if heading.first >= start and not is_references(heading.title)
    )


def paragraphs(rows: Sequence[Row], body: float, known: Collection[str]) -> str:
    """Return rows as text: paragraphs and subheadings apart; lettering of figures and footnotes are left out."""
    found: list[list[str]] = []
    is_open = False
    for block in _blocks(rows, body):
        texts = [row.text for row in block]
        is_apart = _CAPTION.match(texts[0]) is not None or is_subheading(block[0], body)
        if is_open and not is_apart and texts[0][0].islower():
            found[-1].extend(texts)
        else:
            found.append(texts)
        # A paragraph goes on in the next column; a caption between the halves stays where it is printed.
        is_open = not is_apart and not texts[-1].endswith((".", ":", "?", "!"))
    return "\n\n".join(join(texts, known) for texts in found)


def pick_method(sections: Sequence[Section], title: str) -> tuple[Section, ...]:
    """Return the sections that tell the method: so named, or else those between introduction and experiments."""
    region = _between(sections, title)
    end = sections.index(region[-1]) if region else len(sections)
    # Behind the experiments most are appendices.
    named = [
        section
        for number, section in enumerate(sections)
        if _METHOD.fullmatch(section.title)
        and (number <= end or _BEHIND.fullmatch(section.title))
        and section.text  # none where a title stands over others
    ]
    return tuple(named or region)


def _between(sections: Sequence[Section], title: str) -> list[Section]:
    """Return the sections between introduction and experiments."""
    about = set(words(title))
    region: list[Section] = []
    for section in sections:
        own = set(words(section.title))
        if own and own <= about and not _BEFORE.search(section.title):
            region.append(section)
        elif _AFTER.search(section.title):
            if region:
                break
        elif not _BEFORE.search(section.title) and len(section.text) > 200:
            region.append(section)
    return region


def _blocks(rows: Sequence[Row], body: float) -> Iterator[list[Row]]:
    """Yield the paragraphs of running text, captions and subheadings."""
    for _, group in groupby(rows, key=lambda row: row.block):
        block: list[Row] = []
        for row in group:
            if is_subheading(row, body):
                if block:
                    yield block
                yield [row]
                block = []
            else:
                block.append(row)
        if block and not _is_lettering(block, body):
            yield block


def _is_lettering(block: Sequence[Row], body: float) -> bool:
    size = max(block, key=lambda row: len(row.text)).size
    if _CAPTION.match(block[0].text) or size > body - 0.8:
        return False
    return size < 0.8 * body or _NOTE.match(block[0].text) is not None
