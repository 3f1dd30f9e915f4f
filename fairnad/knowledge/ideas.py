"""The database of design ideas, and the fair draw from it (paper, section 4.3.1). Writes and applies no idea."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, PositiveInt, StringConstraints, ValidationError

from fairnad.errors import KnowledgeError
from fairnad.knowledge.attributes import Attribute, AttributeTree, explain
from fairnad.records import Idea
from fairnad.resources import resource

__all__ = ["MAX_WORDS", "Evidence", "IdeaDatabase", "IdeaLine", "SamplingLevel", "read_line", "read_lines"]

MAX_WORDS = 49
"""An idea has fewer than 50 words (paper, F.2.2)."""

_Key = tuple[str | None, ...]
"""The tags that the ideas of one group share."""


class SamplingLevel(str, Enum):
    """The level of the attribute tree at which every group of ideas is equally likely (paper, Table 6)."""

    NONE = "none"
    """One group: every idea is equally likely."""
    GRANULARITY = "granularity"
    MAIN = "main"
    SUB = "sub"


@dataclass(frozen=True, slots=True)
class IdeaDatabase:
    """Ideas in the order of their file; never empty, ids differ."""

    ideas: tuple[Idea, ...]

    @classmethod
    def load(cls, path: Path | None = None, tree: AttributeTree | None = None) -> IdeaDatabase:
        """Return the ideas in the JSON-lines file `path` (by default the seed ideas), tagged within `tree`.

        Raises:
            KnowledgeError: the file cannot be read or holds no idea, or a line of it is broken.
        """
        path = path or resource("knowledge", "ideas.jsonl")
        return cls(tuple(_idea(line) for line in read_lines(path, tree or AttributeTree.load())))

    @property
    def by_main(self) -> dict[_Key, tuple[Idea, ...]]:
        """The ideas of each (target, main category) that holds any."""
        return _groups(self.ideas, SamplingLevel.MAIN)

    def __len__(self) -> int:
        return len(self.ideas)

    def weights(self, level: SamplingLevel = SamplingLevel.MAIN) -> dict[str, float]:
        """Return the probability that `sample` returns each idea, by id, when none is left out."""
        groups = _groups(self.ideas, level).values()
        return {idea.id: 1 / len(groups) / len(members) for members in groups for idea in members}

    def sample(
        self,
        rng: random.Random,
        *,
        level: SamplingLevel = SamplingLevel.MAIN,
        exclude: frozenset[str] = frozenset(),
    ) -> Idea:
        """Return an idea: a group of `level` drawn uniformly, then one of its ideas drawn uniformly.

        The ids in `exclude` are left out, and so are groups without another idea; if nothing else remains, none are.
        """
        fresh = [idea for idea in self.ideas if idea.id not in exclude]
        groups = _groups(fresh or self.ideas, level)
        return rng.choice(rng.choice(list(groups.values())))


_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Evidence(BaseModel):
    """Where an idea was found: the file of a paper and the hash of its bytes, the page from 1, the passage there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    paper: _Text
    sha256: _Text | None = None
    page: PositiveInt | None = None
    passage: str = ""


class IdeaLine(BaseModel):
    """One line of the file. `grade` says who found the idea in its papers: "llm", or "keywords", which is lower."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: _Text
    text: _Text
    target: str
    granularity: str
    main: str
    sub: str | None = None
    sources: tuple[_Text, ...] = ()
    grade: _Text | None = None
    evidence: tuple[Evidence, ...] = ()

    @property
    def place(self) -> Attribute:
        """Where the idea stands in the tree."""
        return Attribute(self.target, self.granularity, self.main, self.sub)


def read_lines(path: Path, tree: AttributeTree | None) -> tuple[IdeaLine, ...]:
    """Return the lines of the file `path`, tagged within `tree`; None checks no tags.

    Raises:
        KnowledgeError: as `IdeaDatabase.load`.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise KnowledgeError(f"{path}: the ideas cannot be read: {error.strerror}") from error
    first_lines: dict[str, int] = {}
    found = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        read = read_line(line, tree, origin=f"{path}, line {number}")
        if read.id in first_lines:
            raise KnowledgeError(f"{path}, line {number}: id {read.id!r} is that of line {first_lines[read.id]}")
        first_lines[read.id] = number
        found.append(read)
    if not found:
        raise KnowledgeError(f"{path}: holds no idea; expected one JSON object a line")
    return tuple(found)


def read_line(line: bytes, tree: AttributeTree | None, *, origin: str) -> IdeaLine:
    """Return one line, tagged within `tree`; None checks no tags.

    Raises:
        KnowledgeError: it is broken; the message begins with `origin`.
    """
    try:
        read = IdeaLine.model_validate_json(line)
    except ValidationError as error:
        raise KnowledgeError(f"{origin}: {explain(error)}") from error
    try:
        if tree is not None:
            tree.check(read.place)
    except KnowledgeError as error:
        raise KnowledgeError(f"{origin}: {error}") from error
    return read


def _idea(line: IdeaLine) -> Idea:
    return Idea(
        id=line.id,
        text=line.text,
        target=line.target,
        granularity=line.granularity,
        main=line.main,
        sub=line.sub,
        sources=line.sources,
    )


def _groups(ideas: Iterable[Idea], level: SamplingLevel) -> dict[_Key, tuple[Idea, ...]]:
    """Return the non-empty groups of `level`, in the order of their first ideas."""
    groups: dict[_Key, list[Idea]] = {}
    for idea in ideas:
        groups.setdefault(_key(idea, level), []).append(idea)
    return {key: tuple(members) for key, members in groups.items()}


def _key(idea: Idea, level: SamplingLevel) -> _Key:
    if level is SamplingLevel.NONE:
        return ()
    if level is SamplingLevel.GRANULARITY:
        return (idea.granularity,)
    if level is SamplingLevel.MAIN:
        return (idea.target, idea.main)
    return (idea.target, idea.main, idea.sub)
