"""Ideas from one place to another as JSON lines: what a build or a person made, joined with what others have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fairnad.errors import KnowledgeError
from fairnad.knowledge.attributes import AttributeTree
from fairnad.knowledge.build.results import merged
from fairnad.knowledge.build.store import DATABASE
from fairnad.knowledge.files import IDEAS, TREE, dump_lines, find_knowledge, write_whole
from fairnad.knowledge.ideas import IdeaLine, read_lines
from fairnad.resources import resource

__all__ = ["Imported", "import_ideas", "read_ideas"]


@dataclass(frozen=True, slots=True)
class Imported:
    """How many ideas a folder holds now, how many were given, and how many of those say what another one says."""

    ideas: int
    given: int
    merged: int


def read_ideas(path: Path) -> tuple[IdeaLine, ...]:
    """Return the ideas of a folder of knowledge or of a file, with all that is known of their sources.

    Raises:
        KnowledgeError: there are none, or a line is broken.
    """
    files = find_knowledge(path)
    return read_lines(files.ideas, AttributeTree.load(files.tree))


def import_ideas(paths: Sequence[Path], out: Path, *, tree: Path | None = None) -> Imported:
    """Add the ideas in `paths` to the folder `out`, which is made where it is missing; all of them or none.

    `tree` is the file of the tree that all tags must be in; without it that of `out`, else the shipped one.

    Raises:
        KnowledgeError: a line is broken or has a tag outside the tree, an id stands for two texts, or a build owns
            `out`.
    """
    if (out / DATABASE).exists():
        raise KnowledgeError(f"{out}: is the folder of a build, which would write over them; import into another one")
    own = out / TREE
    tree_file = tree or (own if own.is_file() else resource("knowledge", TREE))
    known = AttributeTree.load(tree_file)
    before = read_lines(out / IDEAS, known) if (out / IDEAS).is_file() else ()
    given = [line for path in paths for line in read_lines(find_knowledge(path).ideas, known)]
    _check_ids([*before, *given])
    lines = merged([*before, *given])
    write_whole(tree_file.read_text(encoding="utf-8"), own)
    write_whole(dump_lines(lines), out / IDEAS)
    return Imported(len(lines), len(given), len(before) + len(given) - len(lines))


def _check_ids(lines: Sequence[IdeaLine]) -> None:
    found: dict[str, IdeaLine] = {}
    for line in lines:
        other = found.setdefault(line.id, line)
        if other.text != line.text:
            raise KnowledgeError(f"the id {line.id!r} stands for two ideas: {other.text!r} and {line.text!r}")
