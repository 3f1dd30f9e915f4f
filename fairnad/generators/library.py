"""Classes that earlier children of a search were trained with, for a language model to be shown beside its task.

A class counts where a child brought it into its parent and was trained with it. Which children there are is for the
decision to say that is drafted for: nothing else is looked at, so a search that is run again is shown the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fairnad.architectures.parsing import parse_quietly
from fairnad.architectures.source import Source, try_parse
from fairnad.generators.llm_edits import code_of
from fairnad.generators.modules import Part, constructor, shapes
from fairnad.llm.names import missing_names
from fairnad.records import Child

__all__ = ["MAX_CHARS", "ProvenClass", "proven_classes"]

MAX_CHARS = 1500
"""Of a class that is shown: a long one is no example."""
_IMPORTED = frozenset({"torch", "nn", "F", "math"})
"""What a class may use besides itself: it must work wherever it is put."""


@dataclass(frozen=True, slots=True)
class ProvenClass:
    """A class by a name of its own in the search, its code, and the contract that it was written for."""

    name: str
    code: str
    contract: str


def proven_classes(part: Part, main: str | None, earlier: Sequence[Child], count: int) -> tuple[ProvenClass, ...]:
    """Return up to `count` classes of the kind of `part`, those of the most accurate of the `earlier` children first.

    These came of ideas of the main category `main`; without one there are none.
    """
    if not count or main is None:
        return ()
    known = {child.id: child for child in earlier}
    found: dict[str, ProvenClass] = {}
    for child in sorted(earlier, key=lambda one: (-(one.accuracy or 0.0), one.id)):
        parent = known.get(child.parent) if child.parent is not None else None
        if child.idea is None or child.idea.main != main or parent is None:
            continue
        for code, proven in _added(part, child, parent):
            found.setdefault(code, proven)
        if len(found) >= count:
            break
    return tuple(found.values())[:count]


def _added(part: Part, child: Child, parent: Child) -> Iterator[tuple[str, ProvenClass]]:
    """Yield the classes that `child` has and `parent` has not, each with its code there."""
    source, before = try_parse(child.source), try_parse(parent.source)
    if source is None or before is None:
        return
    for name in source.classes:
        code = code_of(source, name)
        is_old = name in before.definitions and code_of(before, name) == code
        if is_old or name not in source.used or not part.kind.is_name_of(name):
            continue
        contract = _contract(part, source, name)
        if contract and len(code) <= MAX_CHARS and missing_names(parse_quietly(code)) <= {*_IMPORTED, name}:
            # Children have these names in common, so the child's number tells them apart.
            own = f"{name}By{child.id}"
            yield code, ProvenClass(own, re.sub(rf"\b{name}\b", own, code), f"{own}{contract}")


def _contract(part: Part, source: Source, name: str) -> str:
    """Return how a class is built and what its `forward` does; "" for a block that is built in another way."""
    built = f"({constructor(source, name)})"
    if part.replaced is None:
        return f"{built}: x of shape (B, channels, H, W) in, the same shape out"
    asked = Source(part.skeleton)
    is_alike = built == f"({constructor(asked, part.replaced)})"
    return f"{built}: {shapes(asked, part.replaced)}" if is_alike else ""
