"""Reads a text or Markdown file as rows, as if it were printed: titles large, headings bold."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fairnad.errors import KnowledgeError
from fairnad.knowledge.build.headings import is_usual
from fairnad.knowledge.build.layout import Row
from fairnad.knowledge.build.prose import clean

__all__ = ["read_text"]

_HEADING = re.compile(r"(#{1,6})\s+(.+?)\s*#*$")
_NOT_TITLE = re.compile(r"license|arxiv:|published|under review|https?:|doi|copyright|---", re.IGNORECASE)
_NUMBERED = re.compile(r"(\d{1,2}\.?|[IVX]+\.|appendix\s+[A-Z]\.?)\s+[A-Z][^.!?;]*[^.!?;,:]", re.IGNORECASE)
_SHORT = re.compile(r"[A-Z][^.!?;:]*[^.!?;:,]")
_BODY, _HEAD, _TITLE = 10.0, 12.0, 17.0
_LEADING = 12.0


def read_text(data: bytes) -> tuple[Row, ...]:
    """Return the lines of a text as rows of one page; a heading is marked by "#", or stands alone and is short.

    Raises:
        KnowledgeError: the file is not text.
    """
    if b"\x00" in data:
        raise KnowledgeError("not text: it holds zero bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    return tuple(_rows(text.splitlines()))


def _rows(lines: list[str]) -> Iterator[Row]:
    block = 0
    has_title = False
    texts = [clean(re.sub(r"[ \u00a0\u2003]{2,}", "\t", line.strip())) for line in lines]
    for number, text in enumerate(texts):
        if not text:
            block += 1
            continue
        is_alone = not any(texts[max(0, number - 1) : number] + texts[number + 1 : number + 2])
        marked = _HEADING.match(text)
        if has_title or _NOT_TITLE.match(text):
            size = _size(text, is_alone=is_alone)
        else:
            size, has_title = _TITLE, True
        text = marked[2] if marked else text
        is_heading = size > _BODY
        block += is_heading
        top = number * _LEADING
        yield Row(text, text, 1, block, 0.0, top, 5.0 * len(text), top + size, size, is_heading)
        block += is_heading


def _size(text: str, *, is_alone: bool) -> float:
    if marked := _HEADING.match(text):
        # Markdown's first level is the title's; a second level heads a section, as in print.
        return _HEAD if len(marked[1]) <= 2 else _BODY + 0.6
    is_heading = len(text) < 80 and (
        is_usual(text) or _NUMBERED.fullmatch(text) is not None or (is_alone and _SHORT.fullmatch(text) is not None)
    )
    return _HEAD if is_heading else _BODY
