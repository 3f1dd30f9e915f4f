"""The files to build from: each content once, in the order of their paths, and those that are left out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from fairnad.knowledge.build.papers import find_papers

__all__ = ["Skipped", "Source", "count_papers", "find_sources"]


@dataclass(frozen=True, slots=True)
class Source:
    """A file to build from, and the hash of its bytes."""

    path: Path
    sha256: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """A paper that gave nothing: `reason` is one of a few, for counting, `message` names the file."""

    path: Path
    reason: str
    message: str


def count_papers(count: int) -> str:
    """Return `count` with its noun."""
    return "1 paper" if count == 1 else f"{count} papers"


def find_sources(folder: Path, *, limit: int | None = None) -> tuple[tuple[Source, ...], tuple[Skipped, ...]]:
    """Return the first `limit` papers of a folder, each content once, and those that are left out.

    Raises:
        KnowledgeError: there is no such folder, or no paper in it.
    """
    found: dict[str, Source] = {}
    skipped: list[Skipped] = []
    for path in find_papers(folder)[:limit]:
        try:
            sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            skipped.append(Skipped(path, "cannot be read", f"{path}: cannot be read: {error.strerror}"))
            continue
        if sha256 in found:
            skipped.append(Skipped(path, "the same file twice", f"{path}: is the same as {found[sha256].path}"))
        else:
            found[sha256] = Source(path, sha256)
    return tuple(found.values()), tuple(skipped)
