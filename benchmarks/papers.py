"""Prints how fast papers are read, in pages a second of one core, and what is found in them.

python benchmarks/papers.py FOLDER [repeats]
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

from report import print_table

from fairnad.errors import KnowledgeError
from fairnad.knowledge.build.papers import Paper, find_papers, read_paper


def main(folder: Path, repeats: int) -> None:
    rows: list[tuple[object, ...]] = []
    pages = 0
    seconds = 0.0
    papers = find_papers(folder)
    timed(papers[0])  # imports pymupdf
    for path in papers:
        try:
            times = [timed(path) for _ in range(repeats)]
        except KnowledgeError as error:
            rows.append((path.name, "-", "-", "-", "-", str(error)))
            continue
        paper = times[0][0]
        median = statistics.median(used for _, used in times)
        pages, seconds = pages + len(paper.pages), seconds + median
        speed = f"{len(paper.pages) / median:.0f}"
        rows.append((path.name, len(paper.pages), speed, paper.title, len(paper.sections), "; ".join(paper.warnings)))
    rows.append(("all", pages, f"{pages / seconds:.0f}" if seconds else "-", "", "", ""))
    print_table("Reading papers", ("file", "pages", "pages/s", "title", "sections", "warnings"), rows)


def timed(path: Path) -> tuple[Paper, float]:
    start = time.process_time()
    paper = read_paper(path)
    return paper, time.process_time() - start


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 3)
