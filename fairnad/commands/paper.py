"""`fairnad knowledge paper`: what is found in papers, for people and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fairnad.errors import KnowledgeError

if TYPE_CHECKING:
    from fairnad.knowledge.build.papers import Paper

__all__ = ["show_papers"]


def show_papers(files: Sequence[Path], *, as_json: bool) -> int:
    """Print what is found in each file and return the exit status: 2 if one of them cannot be used."""
    from fairnad.knowledge.build.papers import Paper, read_paper

    status = 0
    for file in files:
        error = None
        try:
            paper = read_paper(file)
        except KnowledgeError as problem:
            status, error = 2, str(problem)
            paper = Paper(file.name, "", (), "", (), "", (error,), "")
        # The file is named as it was given, so that two of one name can be told apart.
        paper = replace(paper, file=str(file))
        print(_as_json(paper, error) if as_json else error or _as_text(paper), flush=True)
    return status


def _as_json(paper: Paper, error: str | None) -> str:
    found: dict[str, object] = {
        "file": paper.file,
        "title": paper.title,
        "authors": paper.authors,
        "abstract": paper.abstract,
        "sections": [
            {"title": section.title, "chars": len(section.text), "page": section.page} for section in paper.sections
        ],
        "method": paper.method,
        "warnings": paper.warnings,
    }
    return json.dumps(found if error is None else {**found, "error": error}, ensure_ascii=False)


def _as_text(paper: Paper) -> str:
    lines = [
        paper.file,
        f"  {paper.title}",
        f"  {', '.join(paper.authors)}",
        f"  abstract: {len(paper.abstract)} letters",
    ]
    lines += [f"  page {section.page:>3}  {section.title} ({len(section.text)} letters)" for section in paper.sections]
    lines += [f"  method: {len(paper.method)} letters", *(f"  warning: {warning}" for warning in paper.warnings)]
    return "\n".join(lines)
