"""Stage I, and the initial children: fairly sampled ideas for the best networks (paper, 4.3.1)."""

from __future__ import annotations

import random
from collections.abc import Sequence

from fairnad.generators.base import Request
from fairnad.mutations.base import Assignment, UsedIdeas, Workshop, as_parent, mutation_target
from fairnad.mutations.selection import top_k
from fairnad.records import Child

__all__ = ["FairIdeaMutation"]


class FairIdeaMutation:
    """Top-k parents, each with an idea drawn uniformly over the main categories and then within one."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop

    def parents(self, known: Sequence[Child], count: int) -> tuple[Child, ...]:
        """Return the `count` most accurate children."""
        return top_k(known, count)

    def assign(self, parent: Child, known: Sequence[Child], *, used: UsedIdeas, seed: str) -> Assignment:
        """Return a request for `parent` changed by a fairly sampled idea that it was not changed by before."""
        rng = random.Random(seed)
        idea = self._workshop.ideas.sample(rng, level=self._workshop.level, exclude=used.get(parent.id, frozenset()))
        request = Request(
            parent=as_parent(parent),
            idea=idea,
            target=mutation_target(idea, rng),
            limits=self._workshop.limits,
            seed=f"{seed}/write",
        )
        return Assignment(request, edits=parent)
