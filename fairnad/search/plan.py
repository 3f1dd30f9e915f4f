"""The plan: which stages come in which order, with how many places. Knows no results."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count

from fairnad.config import PlanConfig
from fairnad.records import SlotKey, Stage

__all__ = ["PlannedSlot", "PlannedStage", "is_before", "stages"]

_STAGE_ORDER = {stage: position for position, stage in enumerate(Stage)}


@dataclass(frozen=True, slots=True)
class PlannedSlot:
    """One place of a stage of `num_parents` parents: its own is the one at `chain`, or what came of it `before`."""

    key: SlotKey
    chain: int
    num_parents: int
    before: tuple[SlotKey, ...] = ()
    """The earlier steps of its chain; a step follows the last of them."""


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """One stage of one generation."""

    generation: int
    stage: Stage
    slots: tuple[PlannedSlot, ...]

    @property
    def num_steps(self) -> int:
        """The steps of its longest chain."""
        return max((len(slot.before) + 1 for slot in self.slots), default=0)

    def step(self, number: int) -> tuple[PlannedSlot, ...]:
        """Return the slots of one step of all chains."""
        return tuple(slot for slot in self.slots if len(slot.before) == number)

    def cut(self, num_slots: int) -> PlannedStage:
        """Return the stage with at most `num_slots` slots, and no more parents than these need."""
        kept = self.slots[:num_slots]
        num_parents = len({slot.chain for slot in kept})
        return replace(self, slots=tuple(replace(slot, num_parents=num_parents) for slot in kept))


def stages(plan: PlanConfig) -> Iterator[PlannedStage]:
    """Yield the initial children, then generation after generation of stages I, II and III; no end if they have slots.

    Source: FairNAD paper, Algorithm 2; sizes from Table 5.
    """
    yield _stage(0, Stage.INITIAL, plan.initial)
    for generation in count(1) if plan.fair or plan.pareto or plan.iterative_parents else ():
        yield _stage(generation, Stage.FAIR, plan.fair)
        yield _stage(generation, Stage.PARETO, plan.pareto)
        yield _stage(generation, Stage.ITERATIVE, plan.iterative_parents, steps=plan.iterative_steps)


def _stage(generation: int, stage: Stage, num_parents: int, *, steps: int = 1) -> PlannedStage:
    slots = []
    for step in range(steps):
        for chain in range(num_parents):
            keys = [SlotKey(generation, stage, earlier * num_parents + chain) for earlier in range(step + 1)]
            slots.append(PlannedSlot(keys[-1], chain, num_parents, before=tuple(keys[:-1])))
    return PlannedStage(generation, stage, tuple(slots))


def is_before(key: SlotKey, stage: PlannedStage | SlotKey) -> bool:
    """Return whether a place belongs to an earlier stage than `stage`."""
    return (key.generation, _STAGE_ORDER[key.stage]) < (stage.generation, _STAGE_ORDER[stage.stage])
