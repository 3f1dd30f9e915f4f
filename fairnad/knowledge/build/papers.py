"""Reads papers: title, authors, abstract, sections and the text about the method, from PDF, text or Markdown.

What cannot be found is replaced by what is nearest, and said in `Paper.warnings`. Reading is not thread-safe (see
`layout`): read papers side by side in processes.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from fairnad.errors import KnowledgeError
from fairnad.knowledge.build.front import Front, read_front
from fairnad.knowledge.build.headings import Heading, body_size, find_headings, is_references
from fairnad.knowledge.build.layout import Row, read_pdf
from fairnad.knowledge.build.plain import read_text
from fairnad.knowledge.build.prose import vocabulary
from fairnad.knowledge.build.sections import Section, cut, paragraphs, pick_method
from fairnad.knowledge.wording import words

__all__ = ["Paper", "ReadingError", "Section", "find_papers", "is_pdf", "name_of", "read_paper"]

_SUFFIXES = (".pdf", ".txt", ".md")
_OPENING = 2000  # characters that stand in for an abstract that was not found
_SHINGLE = 4  # words of a passage that are looked up together


class ReadingError(KnowledgeError):
    """Reading failed for a reason that is not in the file: another time it may be read."""


@dataclass(frozen=True, slots=True)
class Paper:
    """What was found in one file. `method` is the text about the method, or the whole text; `warnings` tell which.

    `sha256` is that of the file's bytes. `pages` holds the text of each page, of a text file one.
    """

    file: str
    title: str
    authors: tuple[str, ...]
    abstract: str
    sections: tuple[Section, ...]
    method: str
    warnings: tuple[str, ...]
    sha256: str
    pages: tuple[str, ...] = ()

    def page_of(self, passage: str) -> int | None:
        """Return the page, from 1, that shares most wording with `passage`; None where no page does."""
        wanted = _shingles(words(passage), _SHINGLE)
        shared = Counter(
            {page: len(wanted & _shingles(words(text), _SHINGLE)) for page, text in enumerate(self.pages, 1)}
        )
        best = max(shared, key=lambda page: (shared[page], -page), default=None)
        return best if best is not None and shared[best] else None


def read_paper(path: Path) -> Paper:
    """Return what is found in one file.

    Raises:
        KnowledgeError: the file cannot be used; the message is one line that names the file.
        ReadingError: nor can it be told whether it is of use.
        ConfigError: it is a PDF and pymupdf is not installed.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ReadingError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        if not data.strip():
            raise KnowledgeError("empty: it holds nothing")
        rows = read_pdf(data) if is_pdf(path) or data.startswith(b"%PDF-") else read_text(data)
        if not rows:
            raise KnowledgeError("no text: it holds nothing but what stands on every page")
    except KnowledgeError as error:
        raise KnowledgeError(f"{path}: {error}") from error
    return _understand(rows, name_of(path), hashlib.sha256(data).hexdigest())


def is_pdf(path: Path) -> bool:
    """Return whether the file is named as a PDF."""
    return path.suffix.lower() == ".pdf"


def name_of(path: Path) -> str:
    """Return the name of a file as text, which it need not be."""
    return os.fsencode(path.name).decode("utf-8", "replace")


def find_papers(folder: Path) -> tuple[Path, ...]:
    """Return the papers (.pdf, .txt, .md) in a folder and below it, sorted; hidden files and read-mes are none.

    Raises:
        KnowledgeError: there is no such folder, or no paper in it.
    """
    if not folder.is_dir():
        raise KnowledgeError(f"{folder}: there is no such folder of papers")
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in _SUFFIXES and path.is_file() and not path.name.lower().startswith((".", "readme."))
    )
    if not found:
        raise KnowledgeError(f"{folder}: holds no papers; expected files that end in {', '.join(_SUFFIXES)}")
    return tuple(found)


def _understand(rows: Sequence[Row], file: str, sha256: str) -> Paper:
    known, body = vocabulary(row.text for row in rows), body_size(rows)
    headings = find_headings(rows)
    front = read_front(rows, headings, known)
    sections = _sections(rows, headings, front, body, known)
    chosen = pick_method(sections, front.title)
    whole = "\n\n".join(f"{section.title}\n\n{section.text}" for section in sections)
    if not sections:
        whole = paragraphs(_without_references(rows, headings), body, known)
    method = "\n\n".join(f"{section.title}\n\n{section.text}" for section in chosen) or whole
    pages = tuple(paragraphs(list(group), body, known) for _, group in groupby(rows, key=lambda row: row.page))
    return Paper(
        file=file,
        title=front.title or Path(file).stem,
        authors=front.authors,
        abstract=front.abstract or whole[:_OPENING],
        sections=sections,
        method=method,
        warnings=_warnings(front, sections, chosen),
        sha256=sha256,
        pages=pages,
    )


def _sections(
    rows: Sequence[Row], headings: Sequence[Heading], front: Front, body: float, known: frozenset[str]
) -> tuple[Section, ...]:
    found = cut(rows, headings, front.end, body, known)
    first = next((heading for heading in headings if heading.first >= front.end), None)
    if first is None or not front.abstract or "introduction" in first.title.lower():
        return found
    opening = paragraphs(rows[front.end : first.first], body, known)
    is_long = len(opening) > 500
    return (Section("Opening", opening, rows[front.end].page), *found) if is_long else found


def _without_references(rows: Sequence[Row], headings: Sequence[Heading]) -> Sequence[Row]:
    end = next((heading.first for heading in headings if is_references(heading.title)), len(rows))
    return rows[:end]


def _warnings(front: Front, sections: Sequence[Section], method: Sequence[Section]) -> tuple[str, ...]:
    found = {
        "no title found: the file's name stands in for it": front.title,
        "no authors found": front.authors,
        "no abstract found: the beginning of the text stands in for it": front.abstract,
        "no section headings found": sections,
        "no method section found: the whole text stands in for it": method,
    }
    return tuple(warning for warning, thing in found.items() if not thing)


def _shingles(tokens: Sequence[str], length: int) -> set[tuple[str, ...]]:
    length = min(length, len(tokens))
    return {tuple(tokens[start : start + length]) for start in range(len(tokens) - length + 1)} if length else set()
