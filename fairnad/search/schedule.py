"""The plan: which stages come in which order, with how many slots. Knows no results but how many children remain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from fairnad.config import PlanConfig
from fairnad.records import SlotKey, Stage

__all__ = ["PlannedSlot", "PlannedStage", "stages"]


@dataclass(frozen=True, slots=True)
class PlannedSlot:
    """One place of a stage. `chain` is the place of its parent in the stage; a later step `follows` an earlier slot."""

    key: SlotKey
    chain: int
    follows: SlotKey | None = None


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """One stage of one generation."""

    generation: int
    stage: Stage
    slots: tuple[PlannedSlot, ...]

    @property
    def num_parents(self) -> int:
        """How many parents the stage needs."""
        return len({slot.chain for slot in self.slots})

    def cut(self, num_slots: int) -> PlannedStage:
        """Return the stage with at most `num_slots` slots."""
        return PlannedStage(self.generation, self.stage, self.slots[:num_slots])


def stages(plan: PlanConfig) -> Iterator[PlannedStage]:
    """Yield the initial children, then generation after generation of stages I, II and III, without end.

    Source: FairNAD paper, Algorithm 2; sizes from Table 5.
    """
    yield _stage(0, Stage.INITIAL, plan.initial)
    for generation in count(1):
        yield _stage(generation, Stage.FAIR, plan.fair)
        yield _stage(generation, Stage.PARETO, plan.pareto)
        yield _stage(generation, Stage.ITERATIVE, plan.iterative_parents, steps=plan.iterative_steps)


def _stage(generation: int, stage: Stage, num_parents: int, *, steps: int = 1) -> PlannedStage:
    slots = []
    for step in range(steps):
        for chain in range(num_parents):
            number = step * num_parents + chain
            before = SlotKey(generation, stage, number - num_parents) if step else None
            slots.append(PlannedSlot(SlotKey(generation, stage, number), chain, before))
    return PlannedStage(generation, stage, tuple(slots))
