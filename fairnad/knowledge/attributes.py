"""The tree of design attributes: target, granularity, main category, sub-categories (paper, section 4.1).

The upper levels belong to the method and stand here; the sub-categories are data, `knowledge/attributes.json`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from fairnad.errors import KnowledgeError, nearest
from fairnad.resources import resource

__all__ = ["MAIN_CATEGORIES", "Attribute", "AttributeTree", "explain"]

MAIN_CATEGORIES = (
    ("performance", "operation", "feature extraction operators"),
    ("performance", "operation", "normalization"),
    ("performance", "operation", "activation"),
    ("performance", "block", "input encoding"),
    ("performance", "block", "residual connections and multi-branch architectures"),
    ("performance", "block", "feature fusion and aggregation"),
    ("performance", "block", "adaptive feature recalibration"),
    ("performance", "network", "network structural patterns"),
    ("performance", "network", "layer arrangement and order"),
    ("efficiency", "operation", "efficient convolution"),
    ("efficiency", "operation", "efficient transformer"),
    ("efficiency", "block", "efficient block structures"),
    ("efficiency", "block", "dense connectivity for feature reuse"),
    ("efficiency", "network", "network-wise scaling"),
    ("efficiency", "network", "dynamic computation"),
)
"""(target, granularity, main category) of the paper's Tables 9 and 10: the two upper levels of its template."""

_LEVELS = ("target", "granularity", "main category", "sub-category")


@dataclass(frozen=True, slots=True)
class Attribute:
    """One place of the tree; without a `sub` it is the main category itself."""

    target: str
    granularity: str
    main: str
    sub: str | None = None


@dataclass(frozen=True, slots=True)
class AttributeTree:
    """The attributes in the order of their file: each main category, then its sub-categories."""

    attributes: tuple[Attribute, ...]

    @classmethod
    def load(cls, path: Path | None = None) -> AttributeTree:
        """Return the tree in the JSON file `path`, by default the one that is shipped.

        Raises:
            KnowledgeError: the file cannot be read, or a key or value in it is not what the tree allows.
        """
        path = path or resource("knowledge", "attributes.json")
        try:
            file = _File.model_validate_json(path.read_bytes())
        except OSError as error:
            raise KnowledgeError(f"{path}: the attribute tree cannot be read: {error.strerror}") from error
        except ValidationError as error:
            raise KnowledgeError(f"{path}: {explain(error)}") from error
        try:
            return cls(tuple(_walk(file.tree)))
        except KnowledgeError as error:
            raise KnowledgeError(f"{path}: {error}") from error

    def mains(self) -> tuple[tuple[str, str, str], ...]:
        """Return (target, granularity, main category) of every main category."""
        return tuple((place.target, place.granularity, place.main) for place in self.attributes if place.sub is None)

    def sub_categories(self, main: str, *, target: str | None = None) -> tuple[str, ...]:
        """Return the sub-categories of `main`; some main categories have none.

        Raises:
            KnowledgeError: `main` is no main category (of `target`, when that is given).
        """
        places = [place for place in self.attributes if place.main == main and target in (None, place.target)]
        if not places:
            known = [name for of_target, _, name in self.mains() if target in (None, of_target)]
            raise KnowledgeError(f"main category {main!r} is not known: {nearest(main, known)}")
        return tuple(place.sub for place in places if place.sub is not None)

    def find(self, tag: str) -> tuple[Attribute, ...]:
        """Return every place named `tag`: a main category, or a sub-category, which may stand in several.

        Raises:
            KnowledgeError: there is none.
        """
        found = tuple(place for place in self.attributes if tag == (place.sub or place.main))
        if not found:
            known = [place.sub or place.main for place in self.attributes]
            raise KnowledgeError(f"attribute {tag!r} is not in the tree: {nearest(tag, known)}")
        return found

    def check(self, place: Attribute) -> None:
        """Check that `place` is in the tree.

        Raises:
            KnowledgeError: it is not; the message names the level that is wrong, and the nearest known name.
        """
        _check(_path(place), [_path(known) for known in self.attributes])


def explain(error: ValidationError) -> str:
    """Return the first problem of `error` in one line: which key, what was expected, what was found."""
    first = error.errors(include_url=False)[0]
    key = " / ".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"key {key!r} is not known"
    if first["type"] in {"missing", "json_invalid"}:
        return f"{key}: {first['msg']}".removeprefix(": ")
    return f"{key}: {first['msg']}, found {first['input']!r}".removeprefix(": ")


_Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    source: _Name
    tree: dict[str, dict[str, dict[str, tuple[_Name, ...]]]]


def _walk(tree: dict[str, dict[str, dict[str, tuple[str, ...]]]]) -> Iterator[Attribute]:
    """Yield the attributes of a file, each checked against the fixed upper levels."""
    for target, granularities in tree.items():
        _check((target,), MAIN_CATEGORIES)
        for granularity, mains in granularities.items():
            _check((target, granularity), MAIN_CATEGORIES)
            for main, subs in mains.items():
                _check((target, granularity, main), MAIN_CATEGORIES)
                yield Attribute(target, granularity, main)
                for index, sub in enumerate(subs):
                    if sub in subs[:index]:
                        raise KnowledgeError(f"{target} / {granularity} / {main}: {sub!r} stands there twice")
                    yield Attribute(target, granularity, main, sub)


def _path(place: Attribute) -> tuple[str, ...]:
    upper = (place.target, place.granularity, place.main)
    return upper if place.sub is None else (*upper, place.sub)


def _check(path: tuple[str, ...], known: Sequence[tuple[str, ...]]) -> None:
    for depth, name in enumerate(path):
        below = [other for other in known if other[:depth] == path[:depth] and len(other) > depth]
        siblings = list(dict.fromkeys(other[depth] for other in below))
        if name not in siblings:
            under = f" under {' / '.join(path[:depth])!r}" if depth else ""
            raise KnowledgeError(f"{_LEVELS[depth]} {name!r} is not known{under}: {nearest(name, siblings)}")
