"""What a mutation is, and the table of the known ones."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from fairnad.config import PlanConfig
from fairnad.generators.base import Parent, Refinement, Request
from fairnad.knowledge.ideas import IdeaDatabase, SamplingLevel
from fairnad.records import Child, Idea, Limits, MutationTarget, Stage

__all__ = ["MUTATIONS", "Assignment", "Mutation", "UsedIdeas", "Workshop", "as_parent", "mutation_target"]

MUTATIONS = {
    Stage.INITIAL.value: "fairnad.mutations.fair_idea:FairIdeaMutation",
    Stage.FAIR.value: "fairnad.mutations.fair_idea:FairIdeaMutation",
    Stage.PARETO.value: "fairnad.mutations.pareto:ParetoMutation",
    Stage.ITERATIVE.value: "fairnad.mutations.iterative:IterativeMutation",
    "base-alone": "fairnad.mutations.base_alone:BaseAloneMutation",
    "tournament": "fairnad.mutations.tournament:TournamentMutation",
}
"""Which mutation makes the children of a stage, and others that `plan.mutations` may put in its place."""


@dataclass(frozen=True, slots=True)
class Workshop:
    """What all mutations work with."""

    ideas: IdeaDatabase
    level: SamplingLevel
    limits: Limits
    plan: PlanConfig


@dataclass(frozen=True, slots=True)
class Assignment:
    """What to ask the generator for. `edits` is the lineage parent; `refines` the degraded child that is answered."""

    request: Request | Refinement
    edits: Child
    refines: Child | None = None


UsedIdeas = Mapping[int, frozenset[str]]
"""Child id -> ids of the ideas that the child was already mutated by."""


class Mutation(Protocol):
    """Chooses who is changed and by what; it writes no code and knows no LLM."""

    def __init__(self, workshop: Workshop) -> None: ...

    def parents(self, known: Sequence[Child], count: int) -> tuple[Child, ...]:
        """Return the parents of a stage of `count` slots, one a slot, from the evaluated children `known`."""

    def assign(self, parent: Child, known: Sequence[Child], *, used: UsedIdeas, seed: str) -> Assignment:
        """Return what to ask the generator for; `seed` names the random stream of this attempt."""


def as_parent(child: Child) -> Parent:
    """Return what a generator needs to know of `child`."""
    return Parent(source=child.source, costs=child.costs)


def mutation_target(idea: Idea, rng: random.Random) -> MutationTarget:
    """Return which part of the source `idea` is to change.

    An idea about operations or blocks makes a new module or changes one, drawn uniformly; one about the network changes
    its structure (paper, F.2.3).
    """
    if idea.granularity == "network":
        return MutationTarget.NETWORK
    return rng.choice((MutationTarget.NEW_MODULE, MutationTarget.CHANGE_MODULE))
