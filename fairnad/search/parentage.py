"""Whom the decision for a place of the plan may know, and whose child the place is for."""

from __future__ import annotations

from collections.abc import Sequence

from fairnad.config import PlanConfig
from fairnad.errors import ConfigError
from fairnad.history.store import History
from fairnad.mutations.base import Mutation
from fairnad.records import Child, Stage
from fairnad.search.board import Board
from fairnad.search.plan import PlannedSlot
from fairnad.search.schedule import Schedule

__all__ = ["Parentage"]


class Parentage:
    """Chooses parents among the trained children that a schedule lets a place know."""

    def __init__(self, history: History, board: Board, schedule: Schedule, plan: PlanConfig) -> None:
        self._history = history
        self._board = board
        self._schedule = schedule
        self._plan = plan
        self._last: tuple[object, tuple[Child, ...]] | None = None
        """The last stage with what it could choose from, and its parents."""

    def known(self, slot: PlannedSlot) -> tuple[Child, ...]:
        """Return the trained children that the decision of `slot` may know; at first, the base."""
        if slot.key.stage is Stage.INITIAL:
            return (self._history.child(0),)
        may_know = self._schedule.may_know
        return tuple(child for child in self._board.trained() if child.key in slot.before or may_know(child, slot))

    def parent(self, slot: PlannedSlot, mutation: Mutation, known: Sequence[Child]) -> Child | None:
        """Return the parent of the place `slot`, or None if there is none for it.

        It is what came of its chain: the last trained child of that, or the parent that the chain began with. The first
        place of a chain has a parent of its stage.
        """
        trained = {child.key: child for child in known}
        for key in reversed(slot.before):
            if key in trained:
                return trained[key]
        begun = self._history.slot(slot.before[0]) if slot.before else None
        if begun is not None and begun.parent is not None:
            return self._history.child(begun.parent if begun.refines is None else begun.refines)
        parents = self._of_stage(slot, mutation, [child for child in known if self._is_eligible(child, slot)] or known)
        return parents[slot.chain] if parents else None

    def _of_stage(self, slot: PlannedSlot, mutation: Mutation, eligible: Sequence[Child]) -> tuple[Child, ...]:
        """Return the parents of a stage: chosen once for all its places, for the fronts of many children take long."""
        stage = (slot.key.generation, slot.key.stage, slot.num_parents, tuple(child.id for child in eligible))
        if self._last is None or self._last[0] != stage:
            parents = tuple(mutation.parents(eligible, slot.num_parents))
            if len(parents) not in (0, slot.num_parents):
                raise ConfigError(
                    f"the mutation {type(mutation).__name__} gave {len(parents)} parents of {slot.num_parents} that "
                    f"stage {slot.key.stage.value} asked for: mend it to give as many, or none"
                )
            self._last = stage, parents
        return self._last[1]

    def _is_eligible(self, child: Child, slot: PlannedSlot) -> bool:
        is_base_eligible = self._plan.base_is_eligible or slot.key.stage is Stage.INITIAL
        return self._schedule.may_know(child, slot) and (child.id != 0 or is_base_eligible)
