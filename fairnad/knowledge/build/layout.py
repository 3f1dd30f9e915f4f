"""Reads the printed rows of a PDF in reading order. The one home of pymupdf.

Knows about pages, not about papers: it finds columns, and drops running heads, page numbers and turned text (stamps).
MuPDF is not thread-safe: read PDFs side by side in processes, never in threads.
"""

from __future__ import annotations

import importlib.util
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import Any

from fairnad.errors import ConfigError, KnowledgeError
from fairnad.knowledge.build.prose import clean

__all__ = ["Row", "check_pymupdf", "read_pdf"]

_BOLD_FONT = re.compile(r"bold|medi|black|heavy|demi|cmbx|cmb\d|sfbx|-b$", re.IGNORECASE)
_PAGE_NUMBER = re.compile(r"(page\s*)?[-\u2013\u2014\s]*(#|[ivx]+)[-\u2013\u2014\s]*((of|/)\s*#)?", re.IGNORECASE)
_NOTE_MARK = re.compile(r"(\d{1,2}|[*\u2217\u2020\u2021\u00a7\u00b6])")
_BEFORE_NOTE = re.compile(r"([a-z]{3}|[.,;:)\u201d])$")
_MARGIN = 0.1  # of the page's height, where running heads and page numbers are


@dataclass(frozen=True, slots=True)
class Row:
    """One printed row of one column; parts that stand apart in it are separated by tabs.

    `plain` is the text without superscripts. Rows of one paragraph share their `block`, which counts through the
    document in reading order. `page` counts from 1; the box is in points from the page's upper left corner; `size` is
    that of most letters.
    """

    text: str
    plain: str
    page: int
    block: int
    x0: float
    y0: float
    x1: float
    y1: float
    size: float
    is_bold: bool

    @property
    def style(self) -> tuple[float, bool, bool]:
        """Size, boldness, and whether it is set in capitals."""
        return self.size, self.is_bold, self.text.isupper()


def check_pymupdf() -> None:
    """Raise ConfigError where no PDF can be read: before a build writes anything, not at each file."""
    if importlib.util.find_spec("pymupdf") is None:
        raise ConfigError("reading PDFs needs pymupdf: pip install 'fairnad[knowledge]'")


def read_pdf(data: bytes) -> tuple[Row, ...]:
    """Return the rows of all pages in reading order.

    Raises:
        KnowledgeError: there is no text to be had, and in one line why.
        ConfigError: pymupdf is not installed.
    """
    check_pymupdf()
    import pymupdf

    if b"%PDF-" not in data[:1024]:
        raise KnowledgeError("not a PDF: it does not begin with %PDF")
    tools: Any = pymupdf.TOOLS
    tools.mupdf_display_errors(False)
    tools.mupdf_display_warnings(False)
    opened: Any = pymupdf.open
    try:
        with opened(stream=data, filetype="pdf") as document:
            _check(document, data)
            for page in document:
                page.remove_rotation()  # or text that is shown upright would run upwards
            pages = [tuple(_lines(page, number)) for number, page in enumerate(document, start=1)]
            height = max(page.rect.height for page in document)
            width = max(page.rect.width for page in document)
    except (RuntimeError, ValueError, pymupdf.mupdf.FzErrorBase) as error:
        if "code=2:" in str(error):  # MuPDF's word for a failed allocation
            raise MemoryError from error
        cause = "truncated: its end is missing" if _is_cut(data) else "damaged"
        raise KnowledgeError(f"{cause}; fetch it again") from error
    _check_text(pages)
    return _number(_in_reading_order(_without_furniture(pages, height), width))


def _check(document: Any, data: bytes) -> None:  # noqa: ANN401 - pymupdf is not typed
    if document.needs_pass:
        raise KnowledgeError("encrypted: remove its password first")
    if document.is_repaired and _is_cut(data):
        raise KnowledgeError("truncated: its end is missing; fetch it again")
    if not len(document):
        raise KnowledgeError("empty: it has no pages")


def _is_cut(data: bytes) -> bool:
    return b"%%EOF" not in data[-4096:]


def _check_text(pages: Sequence[Sequence[Row]]) -> None:
    text = "".join(row.text for rows in pages for row in rows)
    if len(text) < 60 * len(pages):
        raise KnowledgeError("no text: its pages are images (a scan) or empty; recognise the text first (OCR)")
    if sum(character.isalpha() for character in text) < 0.4 * len(text):
        raise KnowledgeError("its text cannot be read: the fonts do not say which letters they hold")


def _lines(page: Any, number: int) -> Iterator[Row]:  # noqa: ANN401 - pymupdf is not typed
    import pymupdf

    # Ligatures come as letters and pictures not at all; boxes are those of the page as it is shown.
    flags = pymupdf.TEXT_MEDIABOX_CLIP
    for block in page.get_text("dict", flags=flags)["blocks"]:
        for line in block.get("lines", ()):
            row = _row(line, number, block["number"])
            if row is not None:
                yield row


def _row(line: dict[str, Any], page: int, block: int) -> Row | None:
    spans = [(span["text"], span["size"], span["flags"], span["font"]) for span in line["spans"]]
    text = clean("".join(span[0] for span in spans))
    if not text or line["dir"][0] < 0.99:
        return None
    plain = text
    if any(flags & 1 for _, _, flags, _ in spans):
        plain = clean("".join(" " if flags & 1 else part for part, _, flags, _ in spans))
        text = _without_notes(spans)
    sizes: Counter[float] = Counter()
    num_bold = 0
    for words, size, flags, font in spans:
        length = len(words.strip())
        sizes[round(size * 5) / 5] += length
        num_bold += length * (bool(flags & 16) or _is_bold(font))
    is_bold = num_bold >= 0.8 * sizes.total()
    x0, y0, x1, y1 = line["bbox"]
    return Row(text, plain, page, block, x0, y0, x1, y1, size=sizes.most_common(1)[0][0], is_bold=is_bold)


def _without_notes(spans: Sequence[tuple[str, float, int, str]]) -> str:
    """Return the text of a line without the marks of its footnotes; exponents stay."""
    text = ""
    for part, _, flags, _ in spans:
        if not (flags & 1 and _NOTE_MARK.fullmatch(part.strip()) and _BEFORE_NOTE.search(text)):
            text += part
        elif part.endswith(" "):
            text += " "
    return clean(text)


@lru_cache(maxsize=1024)
def _is_bold(font: str) -> bool:
    return _BOLD_FONT.search(font) is not None


def _without_furniture(pages: Sequence[Sequence[Row]], height: float) -> list[list[Row]]:
    """Drop page numbers, and what stands in the margins of several pages."""
    keys = [_margin_keys(rows, height) for rows in pages]
    seen = Counter(key for found in keys for key in {key for of_row in found for key in of_row})
    often = 3 if len(pages) > 4 else 2
    furniture = {key for key, count in seen.items() if count >= often or _PAGE_NUMBER.fullmatch(key)}
    return [
        _without_small_print(
            [row for row, of_row in zip(rows, found, strict=True) if not furniture.intersection(of_row)], height
        )
        for rows, found in zip(pages, keys, strict=True)
    ]


def _without_small_print(rows: list[Row], height: float) -> list[Row]:
    """Drop the notices in the margins of page 1, and the line numbers of a paper under review."""
    numbers = Counter(round(row.x1 / 3) for row in rows if row.text.isdigit())
    sizes: Counter[float] = Counter()
    for row in rows:
        sizes[row.size] += len(row.text)
    small = max(sizes, key=lambda size: sizes[size], default=0.0) - 0.8

    def is_small_print(row: Row) -> bool:
        if row.text.isdigit():
            return numbers[round(row.x1 / 3)] > 30
        return row.page == 1 and row.size < small and _is_in_margin(row, height)

    return [row for row in rows if not is_small_print(row)]


def _margin_keys(rows: Sequence[Row], height: float) -> list[tuple[str, ...]]:
    """Return for each row what to know it by on other pages: its text, and that of its block, digits left out.

    The number of a heading stands in a block with its title, that of a page stands alone.
    """
    keys: list[tuple[str, ...]] = []
    for _, group in groupby(rows, key=lambda row: row.block):
        block = list(group)
        whole = _key(" ".join(row.text for row in block))
        is_margin = all(_is_in_margin(row, height) for row in block)
        for row in block:
            own = (_key(row.text),) if _is_in_margin(row, height) and len(row.text) > 5 else ()
            keys.append((*own, whole) if is_margin else own)
    return keys


def _key(text: str) -> str:
    return re.sub(r"\d+", "#", text)


def _is_in_margin(row: Row, height: float) -> bool:
    return row.y1 < _MARGIN * height or row.y0 > (1 - _MARGIN) * height


def _in_reading_order(pages: Sequence[list[Row]], width: float) -> Iterator[list[Row]]:
    """Yield the paragraphs: a column after the other, between what spans both."""
    # Left and right pages of a journal have other margins.
    gutters = [_gutter([row for rows in pages[parity::2] for row in rows], width) for parity in (0, 1)]
    for number, rows in enumerate(pages):
        gutter = gutters[number % 2]
        if gutter is not None and _share(rows, gutter, side=0) > 0.6:
            gutter = None
        placed = [((row.block, _side(row, gutter)), row) for row in rows]
        blocks = [[row for _, row in group] for _, group in groupby(placed, key=itemgetter(0))]
        yield from _by_columns([list(_joined(block)) for block in blocks], gutter)


def _gutter(rows: Sequence[Row], width: float) -> float | None:
    """Return the x between two columns, or None where most text runs across the middle."""
    places = [width * step / 200 for step in range(80, 121)]
    crossing = [_share(rows, at, side=0) for at in places]
    least = min(crossing)
    best = [place for place, share in zip(places, crossing, strict=True) if share <= least + 0.01]
    middle = best[len(best) // 2]
    wide = [row for row in rows if row.x1 - row.x0 > 0.25 * width]
    is_split = least < 0.5 and all(_share(wide, middle, side=side) > 0.1 for side in (-1, 1))
    return middle if is_split else None


def _share(rows: Iterable[Row], gutter: float, *, side: int) -> float:
    """Return the fraction of the letters on one side (-1, 1) of the gutter, or across it (0)."""
    letters = Counter({-1: 0, 0: 0, 1: 0})
    for row in rows:
        letters[_side(row, gutter)] += len(row.text)
    return letters[side] / max(1, letters.total())


def _side(row: Row, gutter: float | None) -> int:
    if gutter is None:
        return 0
    return -1 if row.x1 <= gutter + 2 else 1 if row.x0 >= gutter - 2 else 0


def _by_columns(blocks: list[list[Row]], gutter: float | None) -> Iterator[list[Row]]:
    columns: dict[int, list[list[Row]]] = {-1: [], 1: []}
    for block in sorted(blocks, key=lambda block: block[0].y0 + block[0].y1):
        side = _side(block[0], gutter)
        if side:
            columns[side].append(block)
            continue
        yield from columns[-1] + columns[1]
        columns = {-1: [], 1: []}
        yield block
    yield from columns[-1] + columns[1]


def _joined(block: Iterable[Row]) -> Iterator[Row]:
    """Yield the rows of a block, those that stand side by side as one."""
    held: Row | None = None
    for row in block:
        if held is not None and _is_beside(held, row):
            held = _beside(held, row)
            continue
        if held is not None:
            yield held
        held = row
    if held is not None:
        yield held


def _is_beside(left: Row, right: Row) -> bool:
    overlap = min(left.y1, right.y1) - max(left.y0, right.y0)
    gap = right.x0 - left.x1
    return -2 <= gap < 5 * left.size and overlap > 0.6 * min(left.y1 - left.y0, right.y1 - right.y0)


def _beside(left: Row, right: Row) -> Row:
    longer = left if len(left.text) >= len(right.text) else right
    return replace(
        left,
        text=f"{left.text}\t{right.text}",
        plain=f"{left.plain}\t{right.plain}",
        y0=min(left.y0, right.y0),
        x1=right.x1,
        y1=max(left.y1, right.y1),
        size=longer.size,
        is_bold=left.is_bold and right.is_bold,
    )


def _number(blocks: Iterable[list[Row]]) -> tuple[Row, ...]:
    return tuple(replace(row, block=number) for number, block in enumerate(blocks) for row in block)
