"""Stage III: the best networks are refined step by step from the record of how they came to be (paper, 4.3.3)."""

from __future__ import annotations

from collections.abc import Sequence

from fairnad.generators.base import Refinement
from fairnad.mutations.base import Assignment, UsedIdeas, Workshop, as_parent
from fairnad.mutations.selection import top_k
from fairnad.records import Child

__all__ = ["IterativeMutation"]


class IterativeMutation:
    """Top-k parents that have a record; a gain is carried further, a loss is answered from the parent before it."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop

    def parents(self, known: Sequence[Child], count: int) -> tuple[Child, ...]:
        """Return the `count` most accurate children that have a record; none without any."""
        return top_k([child for child in known if child.idea is not None], count)

    def assign(self, parent: Child, known: Sequence[Child], *, used: UsedIdeas, seed: str) -> Assignment:
        """Return a refinement that edits `parent` after a gain, and the parent of `parent` after a loss or a draw."""
        before = next(child for child in known if child.id == parent.parent)
        has_improved = (parent.accuracy or 0.0) > (before.accuracy or 0.0)
        edits = parent if has_improved else before
        if parent.idea is None:
            raise ValueError(f"child {parent.id} has no record to refine")
        refinement = Refinement(
            edit=as_parent(edits),
            before=before.source,
            after=parent.source,
            idea=parent.idea,
            has_improved=has_improved,
            used=used.get(edits.id, frozenset()),
            limits=self._workshop.limits,
            seed=f"{seed}/write",
        )
        return Assignment(refinement, edits=edits, refines=None if has_improved else parent)
