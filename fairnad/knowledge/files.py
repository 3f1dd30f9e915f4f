"""A folder of knowledge: `ideas.jsonl` and, for a tree of its own, `attributes.json`: finds, writes and checks them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fairnad.errors import KnowledgeError
from fairnad.knowledge.attributes import AttributeTree
from fairnad.knowledge.ideas import MAX_WORDS, IdeaLine, read_line
from fairnad.knowledge.wording import telling_words

__all__ = [
    "IDEAS",
    "TREE",
    "Finding",
    "KnowledgeFiles",
    "dump_lines",
    "find_knowledge",
    "lint",
    "write_whole",
]

IDEAS = "ideas.jsonl"
TREE = "attributes.json"
_EMPTY = "empty category"
_WEAK = "weak evidence"
_LEAST_SHARE = 0.45
"""Of the telling words of an idea its passage has this share or more; read off 41 ideas of a small model."""
_LEAST_LETTERS = 40
"""Of a passage that says anything."""


@dataclass(frozen=True, slots=True)
class KnowledgeFiles:
    """Where ideas are, and the tree of their tags: None is the one that is shipped."""

    ideas: Path
    tree: Path | None


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong with a database of ideas: `kind` is one of a few, `line` counts from 1, 0 is the whole file."""

    line: int
    kind: str
    message: str

    @property
    def is_warning(self) -> bool:
        """Whether the ideas can be used all the same: a small database need not fill every category."""
        return self.kind in (_EMPTY, _WEAK)


def find_knowledge(path: Path) -> KnowledgeFiles:
    """Return the files of `path`, a folder of knowledge or a file of ideas.

    Raises:
        KnowledgeError: there is no such file or folder, or no ideas in the folder.
    """
    if path.is_dir():
        ideas, tree = path / IDEAS, path / TREE
    else:
        ideas, tree = path, path.parent / TREE
    if not ideas.is_file():
        if path.is_dir():
            raise KnowledgeError(f"{path}: holds no {IDEAS}; `fairnad build-knowledge` makes one")
        raise KnowledgeError(
            f"{path}: does not exist; name the folder that `fairnad build-knowledge` wrote (--out), or a file of ideas"
        )
    return KnowledgeFiles(ideas, tree if tree.is_file() else None)


def dump_lines(lines: Iterable[IdeaLine]) -> str:
    """Return the text of a file of ideas, one JSON object a line."""
    return "".join(f"{line.model_dump_json(exclude_defaults=True)}\n" for line in lines)


def write_whole(text: str, path: Path) -> None:
    """Write a file that is there whole or not at all, whatever happens meanwhile.

    Raises:
        KnowledgeError: it cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        with suppress(OSError):  # what stands in the way of the file is in the way here, too
            part.unlink()
        raise KnowledgeError(f"{path}: cannot be written: {error.strerror}") from error


def lint(path: Path, tree: AttributeTree) -> Iterator[Finding]:
    """Yield all that is wrong with the ideas in the file `path`, in the order of its lines, then what is missing.

    Raises:
        KnowledgeError: the file cannot be read.
    """
    try:
        texts = path.read_bytes().splitlines()
    except OSError as error:
        raise KnowledgeError(f"{path}: the ideas cannot be read: {error.strerror}") from error
    lines: list[IdeaLine] = []
    first_lines: dict[str, int] = {}
    for number, text in enumerate(texts, start=1):
        if not text.strip():
            continue
        try:
            line = read_line(text, None, origin=f"line {number}")
        except KnowledgeError as error:
            yield Finding(number, "broken line", str(error))
            continue
        lines.append(line)
        first = first_lines.setdefault(line.id, number)
        if first != number:
            yield Finding(number, "repeated id", f"line {number}: id {line.id!r} is that of line {first}")
        yield from _of_line(number, line, tree)
    filled = {(line.target, line.granularity, line.main) for line in lines}
    for upper in tree.mains():
        if upper not in filled:
            yield Finding(0, _EMPTY, f"no idea in {' / '.join(upper)}")


def _of_line(number: int, line: IdeaLine, tree: AttributeTree) -> Iterator[Finding]:
    num_words = len(line.text.split())
    if num_words > MAX_WORDS:
        yield Finding(number, "over-long idea", f"line {number}: {line.id} has {num_words} words; {MAX_WORDS} at most")
    try:
        tree.check(line.place)
    except KnowledgeError as error:
        yield Finding(number, "tag outside the tree", f"line {number}: {line.id}: {error}")
    wanted = telling_words(line.text)
    passages = [telling_words(one.passage) for one in line.evidence if len(one.passage) >= _LEAST_LETTERS]
    shared = max((len(wanted & found) for found in passages), default=len(wanted))
    if shared < _LEAST_SHARE * len(wanted):
        told = f"line {number}: {line.id}: does its paper say {line.text!r}? There: {line.evidence[0].passage!r}"
        yield Finding(number, _WEAK, told)
