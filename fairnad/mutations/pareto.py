"""Stage II: small networks of the Pareto front are scaled up, large ones tuned (paper, 4.3.2)."""

from __future__ import annotations

import random
from collections.abc import Sequence

from fairnad.generators.base import Request
from fairnad.mutations.base import Assignment, UsedIdeas, Workshop, as_parent
from fairnad.mutations.refinements import HYPERPARAMETER_IDEAS, SCALE_UP_IDEAS
from fairnad.mutations.selection import nsga2
from fairnad.records import Child, Idea, IdeaKind, MutationTarget

__all__ = ["ParetoMutation"]


class ParetoMutation:
    """Parents by NSGA-II; scale up below the threshold of the limits, adjust a hyper-parameter above it."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop

    def parents(self, known: Sequence[Child], count: int) -> tuple[Child, ...]:
        """Return `count` children from the Pareto fronts of accuracy, params and FLOPs."""
        return nsga2(known, count)

    def assign(self, parent: Child, known: Sequence[Child], *, used: UsedIdeas, seed: str) -> Assignment:
        """Return a request for `parent` by a uniformly drawn scale-up or hyper-parameter idea, unused ones first."""
        rng = random.Random(seed)
        ideas = SCALE_UP_IDEAS if self.has_room(parent) else HYPERPARAMETER_IDEAS
        tried = used.get(parent.id, frozenset())
        idea = rng.choice([idea for idea in ideas if idea.id not in tried] or list(ideas))
        request = Request(
            parent=as_parent(parent),
            idea=idea,
            target=_target(idea),
            limits=self._workshop.limits,
            seed=f"{seed}/write",
        )
        return Assignment(request, edits=parent)

    def has_room(self, parent: Child) -> bool:
        """Return whether `parent` is to be scaled up: under the threshold in all limited costs, or in any."""
        plan = self._workshop.plan
        below = [used < plan.scale_up_below for used in self._workshop.limits.usage(parent.costs).values()]
        return (all if plan.scale_up_when == "all" else any)(below) if below else True


def _target(idea: Idea) -> MutationTarget:
    return MutationTarget.NETWORK if idea.kind is IdeaKind.SCALE_UP else MutationTarget.CHANGE_MODULE
