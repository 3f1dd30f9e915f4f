"""From the tagged ideas of all papers to one database: ids, sources, near-duplicates merged. Touches no file."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from fairnad.knowledge.build.duplicates import merge_duplicates
from fairnad.knowledge.build.openaccess import Listed
from fairnad.knowledge.build.papers import name_of
from fairnad.knowledge.build.sources import Source
from fairnad.knowledge.build.steps import Candidate, Judged, Result
from fairnad.knowledge.build.store import KnownPaper
from fairnad.knowledge.ideas import Evidence, IdeaLine

__all__ = ["Outcome", "compose", "merged"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of the papers. `dropped` counts ideas by the reason, `rejected` papers that are not kept by theirs."""

    lines: tuple[IdeaLine, ...] = ()
    kept: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)
    found: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    merged: int = 0


def compose(
    sources: Sequence[Source],
    papers: Mapping[str, KnownPaper],
    judged: Mapping[str, Result],
    tagged: Mapping[str, Result],
    *,
    grade: str,
    listed: Mapping[Path, Listed] = MappingProxyType({}),
) -> Outcome:
    """Return what the steps say of `sources`, in their order, whenever each step was done.

    `listed` is what is known of papers that were fetched: it tells their authors better than a reader of PDFs.
    """
    kept, rejected, dropped = 0, Counter[str](), Counter[str]()
    candidates: list[Candidate] = []
    lines: list[IdeaLine] = []
    for source in sources:
        judgement, ideas = judged.get(source.sha256), tagged.get(source.sha256, ())
        if isinstance(judgement, Judged):
            kept += judgement.is_kept
            rejected.update([] if judgement.is_kept else [judgement.why])
        if isinstance(ideas, Judged):
            continue
        candidates += ideas
        dropped.update(one.why for one in ideas if one.place is None)
        entry = listed.get(source.path)
        lines += [_line(one, papers[source.sha256], source, entry, grade) for one in ideas if one.place is not None]
    fewer = merged(lines)
    return Outcome(fewer, kept, rejected, len(candidates), dropped, len(lines) - len(fewer))


def merged(lines: Sequence[IdeaLine]) -> tuple[IdeaLine, ...]:
    """Return `lines` without near-duplicates of one category: the first stands for all, with the sources of all."""
    by_main: dict[str, list[int]] = defaultdict(list)
    for index, line in enumerate(lines):
        by_main[line.main].append(index)
    groups = [
        [indices[at] for at in group]
        for indices in by_main.values()
        for group in merge_duplicates([lines[index].text for index in indices])
    ]
    return tuple(_one([lines[index] for index in group]) for group in sorted(groups))


def _one(group: Sequence[IdeaLine]) -> IdeaLine:
    sources = dict.fromkeys(source for line in group for source in line.sources)
    evidence = dict.fromkeys(one for line in group for one in line.evidence)
    return group[0].model_copy(update={"sources": tuple(sources), "evidence": tuple(evidence)})


def _line(one: Candidate, about: KnownPaper, source: Source, entry: Listed | None, grade: str) -> IdeaLine:
    assert one.place is not None
    return IdeaLine(
        id=hashlib.sha256(one.text.encode()).hexdigest()[:12],
        text=one.text,
        target=one.place.target,
        granularity=one.place.granularity,
        main=one.place.main,
        sub=one.place.sub,
        sources=(_citation(about, entry),),
        grade=grade,
        evidence=(Evidence(paper=name_of(source.path), sha256=source.sha256, page=one.page, passage=one.passage),),
    )


def _citation(about: KnownPaper, entry: Listed | None) -> str:
    """Return who wrote the paper, its title, and where it is from: what its licence asks for."""
    authors = entry.authors if entry is not None else about.authors
    names = authors[0] if len(authors) == 1 else f"{authors[0]} et al." if authors else ""
    title = entry.title if entry is not None else about.title
    return ", ".join(filter(None, (names, title, entry.url if entry is not None else about.file)))
