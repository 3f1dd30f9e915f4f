"""What a person should look at in a tree that an LLM filled, and the corrections, kept over rebuilds in a patch file.

The flags are the paper's failure cases (C.1, C.2). A patch names attributes, not lines: "grouped convolution" means it
wherever it stands, "efficient convolution / grouped convolution" the one place. Renaming comes first, then moving, then
removing; an entry whose attribute a rebuild did not bring has no effect.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from fairnad.errors import KnowledgeError, nearest
from fairnad.knowledge.attributes import Attribute, AttributeTree, explain
from fairnad.knowledge.build.draft import Flag, FlagKind, TreeDraft
from fairnad.knowledge.build.names import key
from fairnad.knowledge.files import dump_lines, write_whole
from fairnad.knowledge.ideas import read_lines

__all__ = [
    "PATCH",
    "Patch",
    "apply_patch",
    "check_patch",
    "check_taken",
    "flags",
    "patched",
    "read_patch",
    "retag_ideas",
    "write_patch",
]

PATCH = "attributes.patch.yaml"

_HEAD = """\
# Corrections of the attribute tree; a rebuild keeps them. "name" is an attribute wherever it stands, and
# "main category / name" the one place. rename: {name: new name}, move: {name: main category}, remove: [name],
# keep: [name] is right as it is, and not flagged again.
"""
_TEMPLATE_WORDS = (
    "performance", "efficiency", "main category", "sub-category", "granularity", "operation level", "block level",
    "block and connectivity level", "network level",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Patch:
    """Corrections of a tree."""

    rename: Mapping[str, str] = field(default_factory=dict)
    move: Mapping[str, str] = field(default_factory=dict)
    remove: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()

    def __or__(self, later: Patch) -> Patch:
        """Return both; where they disagree, what was said later holds."""
        undone = {(old, new) for new, old in later.rename.items()}
        wanted = {key(new) for new in later.rename.values()}
        return Patch(
            {old: new for old, new in self.rename.items() if (old, new) not in undone} | dict(later.rename),
            {name: _moved_on(name, main, later) for name, main in self.move.items()} | dict(later.move),
            _union((name for name in self.remove if key(name) not in wanted), later.remove),
            _union(self.keep, later.keep),
        )


def flags(draft: TreeDraft, patch: Patch | None = None) -> tuple[Flag, ...]:
    """Return what a person should look at, but for what `patch` keeps."""
    found = (*draft.flags, *_categories(draft), *_repeated(draft), *_rare(draft), *_empty(draft))
    kept = patch.keep if patch else ()
    return tuple(flag for flag in found if flag.place is None or not any(_means(name, flag.place) for name in kept))


def apply_patch(tree: AttributeTree, patch: Patch) -> AttributeTree:
    """Return `tree` with the corrections of `patch`.

    Raises:
        KnowledgeError: it moves something to a main category that the tree has not, or renames in a circle.
    """
    return patched(TreeDraft(tree), patch).tree


def patched(draft: TreeDraft, patch: Patch) -> TreeDraft:
    """Return `draft` with the corrections of `patch`; names that become the same are one; see `apply_patch`."""
    mains = {place.main: place for place in draft.tree.attributes if place.sub is None}
    places: dict[tuple[str, str], Attribute] = {}
    found_in: dict[Attribute, tuple[str, ...]] = {}
    for old in draft.tree.attributes:
        new = _corrected(old, patch, mains) if old.sub is not None else None
        if new is not None:
            new = places.setdefault((new.main, key(new.sub or "")), new)
            found_in[new] = _union(found_in.get(new, ()), draft.found_in.get(old, ()))
    attributes = [
        place for main in mains.values() for place in (main, *(new for new in found_in if new.main == main.main))
    ]
    return replace(draft, tree=AttributeTree(tuple(attributes)), found_in=found_in)


def check_patch(draft: TreeDraft, patch: Patch) -> None:
    """Check that every attribute that `patch` names is in the tree of `draft`.

    Raises:
        KnowledgeError: one is not.
    """
    subs = [place for place in draft.tree.attributes if place.sub is not None]
    flagged = [flag.place for flag in draft.flags if flag.place is not None]
    pairs = [(name, subs) for name in (*patch.rename, *patch.move, *patch.remove)]
    for name, places in pairs + [(name, [*draft.tree.attributes, *flagged]) for name in patch.keep]:
        if not any(_means(name, place) for place in places):
            known = dict.fromkeys(place.sub or place.main for place in places)
            raise KnowledgeError(f"attribute {name!r} is not in the tree: {nearest(name, known)}")
    apply_patch(draft.tree, patch)


def check_taken(tree: AttributeTree, patch: Patch) -> None:
    """Check that `tree` has the corrections of `patch`, which earlier ones may stand in the way of.

    Raises:
        KnowledgeError: it has not.
    """
    subs = [place for place in tree.attributes if place.sub is not None]
    gone = [*patch.remove, *(old for old, new in patch.rename.items() if key(old.rpartition(" / ")[2]) != key(new))]
    left = [name for name in gone if any(_means(name, place) for place in subs)]
    left += [
        name for name, main in patch.move.items() if any(_means(name, place) and place.main != main for place in subs)
    ]
    if left:
        raise KnowledgeError(f"{left[0]!r}: an earlier correction stands in the way of this one; edit {PATCH}")


def read_patch(path: Path) -> Patch:
    """Return the corrections in the file `path`; none where there is no such file.

    Raises:
        KnowledgeError: it cannot be read, or is no patch.
    """
    try:
        file = _PatchFile.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    except FileNotFoundError:
        return Patch()
    except OSError as error:
        raise KnowledgeError(f"{path}: the corrections cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise KnowledgeError(f"{path}: is no YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        raise KnowledgeError(f"{path}: {explain(error)}; keys are rename, move, remove and keep") from error
    return Patch(file.rename, file.move, file.remove, file.keep)


def write_patch(patch: Patch, path: Path) -> None:
    """Write `patch` to the file `path`, equal patches as equal files.

    Raises:
        KnowledgeError: it cannot be written.
    """
    lines = {"rename": dict(patch.rename), "move": dict(patch.move)}
    data = {**lines, "remove": list(patch.remove), "keep": list(patch.keep)}
    text = yaml.safe_dump({name: value for name, value in data.items() if value}, sort_keys=False, width=120)
    write_whole(_HEAD + text, path)


def retag_ideas(path: Path, patch: Patch, tree: AttributeTree) -> int:
    """Give the ideas in the file `path` their tags in the corrected `tree`; return how many had another one.

    Where the sub-category of an idea was removed, the main category alone is left.

    Raises:
        KnowledgeError: the file cannot be read or written, or a line of it is broken.
    """
    mains = {place.main: place for place in tree.attributes if place.sub is None}
    places = {(place.main, key(place.sub or "")): place for place in tree.attributes}
    lines, count = [], 0
    for line in read_lines(path, None):
        if line.place not in tree.attributes:
            new = _corrected(line.place, patch, mains) or replace(line.place, sub=None)
            new = places.get((new.main, key(new.sub or "")), new)
            line = line.model_copy(update=asdict(new))
            count += 1
        lines.append(line)
    if count:
        write_whole(dump_lines(lines), path)
    return count


_Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class _PatchFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    rename: dict[str, _Name] = Field(default_factory=dict)
    move: dict[str, _Name] = Field(default_factory=dict)
    remove: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()


def _categories(draft: TreeDraft) -> Iterator[Flag]:
    words = {key(word): "a word of the template" for word in _TEMPLATE_WORDS}
    words |= {key(main): "the name of a main category" for _, _, main in draft.tree.mains()}
    for place in draft.tree.attributes:
        if place.sub is not None and key(place.sub) in words:
            yield Flag(FlagKind.CATEGORY, place, words[key(place.sub)])


def _repeated(draft: TreeDraft) -> Iterator[Flag]:
    for first, *others in _by_name(draft).values():
        if others:
            also = "; ".join(f"{place.target} / {place.main}" for place in others)
            yield Flag(FlagKind.REPEATED, first, f"also in {also}")


def _rare(draft: TreeDraft) -> Iterator[Flag]:
    if len(set().union(*draft.found_in.values())) < 2:
        return
    for places in _by_name(draft).values():
        models = set().union(*(draft.found_in.get(place, ()) for place in places))
        if len(models) == 1:
            yield Flag(FlagKind.ONE_MODEL, places[0], f"{models.pop()} only")


def _empty(draft: TreeDraft) -> Iterator[Flag]:
    filled = {place.main for place in draft.tree.attributes if place.sub is not None}
    for place in draft.tree.attributes:
        if place.main not in filled:
            yield Flag(FlagKind.EMPTY, place, "no sub-category")


def _by_name(draft: TreeDraft) -> dict[str, list[Attribute]]:
    names: dict[str, list[Attribute]] = {}
    for place in draft.tree.attributes:
        if place.sub is not None:
            names.setdefault(key(place.sub), []).append(place)
    return names


def _corrected(place: Attribute, patch: Patch, mains: Mapping[str, Attribute]) -> Attribute | None:
    """Return the place that a sub-category has after the corrections; None where it is removed."""
    names = [place.sub or ""]
    while (new := _value(patch.rename, place)) is not None and new != place.sub:
        if key(new) in map(key, names[:-1]):
            raise KnowledgeError(f"the corrections rename in a circle: {' -> '.join([*names, new])}")
        names.append(new)
        place = replace(place, sub=new)
    main = _value(patch.move, place)
    if main is not None:
        if main not in mains:
            raise KnowledgeError(f"main category {main!r} is not known: {nearest(main, mains)}")
        place = replace(mains[main], sub=place.sub)
    return None if any(_means(name, place) for name in patch.remove) else place


def _moved_on(name: str, main: str, later: Patch) -> str:
    """Return the main category that `later` moves an attribute to from the one that it was moved to, or that one."""
    return _value(later.move, Attribute("", "", main, name.rpartition(" / ")[2])) or main


def _value(pairs: Mapping[str, str], place: Attribute) -> str | None:
    return next((value for name, value in pairs.items() if _means(name, place)), None)


def _means(name: str, place: Attribute) -> bool:
    """Return whether `name`, as a patch writes it, is `place`."""
    own = place.sub or place.main
    return key(name) in (key(own), key(f"{place.main} / {own}"))


def _union(first: Iterable[str], second: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*first, *second]))
