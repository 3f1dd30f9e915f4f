"""An attribute tree as it came from the reference models, before a person has seen it, and its two files.

`attributes.json` is the tree that everybody reads; `attributes.draft.json` beside it also holds which reference models
named what, so that corrections can be taken later and a rebuild can be compared.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from fairnad.errors import KnowledgeError
from fairnad.knowledge.attributes import Attribute, AttributeTree, explain
from fairnad.knowledge.files import write_whole

__all__ = ["DRAFT", "Flag", "FlagKind", "TreeDraft", "read_draft", "tree_json", "write_draft", "write_tree"]

DRAFT = "attributes.draft.json"


class FlagKind(str, Enum):
    """What a person should look at: the paper's failure cases (C.1, C.2), and what could not be read at all."""

    CATEGORY = "a category as sub-category"
    REPEATED = "in several categories"
    ONE_MODEL = "in one model only"
    EMPTY = "empty category"
    UNKNOWN_CATEGORY = "unknown category"
    UNREAD = "reply not read"


@dataclass(frozen=True, slots=True)
class Flag:
    """Something for a person to look at. `place` is None where it is about a whole reply."""

    kind: FlagKind
    place: Attribute | None
    detail: str


@dataclass(frozen=True, slots=True)
class TreeDraft:
    """A tree, the reference models that named each sub-category (none: not known), and what building it noticed."""

    tree: AttributeTree
    found_in: Mapping[Attribute, tuple[str, ...]] = field(default_factory=dict)
    flags: tuple[Flag, ...] = ()
    source: str = "reference models"


def tree_json(tree: AttributeTree, *, source: str) -> str:
    """Return the file of `tree`, a main category a line, which `AttributeTree.load` reads."""
    lines: dict[str, dict[str, list[str]]] = {}
    for target, granularity, main in tree.mains():
        subs = json.dumps(tree.sub_categories(main, target=target), ensure_ascii=False)
        of_target = lines.setdefault(target, {}).setdefault(granularity, [])
        of_target.append(f"        {json.dumps(main, ensure_ascii=False)}: {subs}")
    targets = [
        f'    "{target}": {{\n'
        + ",\n".join(f'      "{level}": {{\n' + ",\n".join(mains) + "\n      }" for level, mains in levels.items())
        + "\n    }"
        for target, levels in lines.items()
    ]
    head = f'  "source": {json.dumps(source, ensure_ascii=False)},\n'
    return "{\n" + head + '  "tree": {\n' + ",\n".join(targets) + "\n  }\n}\n"


def write_tree(tree: AttributeTree, path: Path, *, source: str) -> None:
    """Write the file of `tree`.

    Raises:
        KnowledgeError: it cannot be written.
    """
    write_whole(tree_json(tree, source=source), path)


def write_draft(draft: TreeDraft, path: Path) -> None:
    """Write `draft` to the file `path`; `read_draft` gives it back.

    Raises:
        KnowledgeError: it cannot be written.
    """
    flags = [
        _FlagFile(kind=flag.kind, place=_path(flag.place) if flag.place else None, detail=flag.detail)
        for flag in draft.flags
    ]
    places = [_PlaceFile(place=_path(place), found_in=draft.found_in.get(place, ())) for place in draft.tree.attributes]
    file = _DraftFile(source=draft.source, places=tuple(places), flags=tuple(flags))
    write_whole(file.model_dump_json(indent=1) + "\n", path)


def read_draft(path: Path) -> TreeDraft:
    """Return the draft in the file `path`, or the tree there: in that one nobody knows which models named what.

    Raises:
        KnowledgeError: the file cannot be read, or holds neither.
    """
    try:
        text = path.read_text(encoding="utf-8")
        if "tree" in json.loads(text):
            return TreeDraft(AttributeTree.load(path), source=str(json.loads(text).get("source", "")))
        file = _DraftFile.model_validate_json(text)
    except OSError as error:
        raise KnowledgeError(f"{path}: the attribute tree cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise KnowledgeError(f"{path}: {explain(error)}") from error
    except (UnicodeDecodeError, ValueError, TypeError) as error:
        raise KnowledgeError(f"{path}: holds no attribute tree: {error}") from error
    found_in = {_place(one.place): one.found_in for one in file.places if len(one.place) == _DEPTH}
    flags = tuple(Flag(flag.kind, _place(flag.place) if flag.place else None, flag.detail) for flag in file.flags)
    return TreeDraft(AttributeTree(tuple(_place(one.place) for one in file.places)), found_in, flags, file.source)


_DEPTH = 4
_PathInTree = tuple[str, str, str] | tuple[str, str, str, str]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _PlaceFile(_Strict):
    place: _PathInTree
    found_in: tuple[str, ...]


class _FlagFile(_Strict):
    kind: FlagKind
    place: _PathInTree | None
    detail: str


class _DraftFile(_Strict):
    source: str
    places: tuple[_PlaceFile, ...]
    flags: tuple[_FlagFile, ...]


def _path(place: Attribute) -> _PathInTree:
    upper = (place.target, place.granularity, place.main)
    return upper if place.sub is None else (*upper, place.sub)


def _place(path: _PathInTree) -> Attribute:
    return Attribute(*path)
