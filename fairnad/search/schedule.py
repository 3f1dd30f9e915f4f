"""Which place of the plan is decided next, and when: stage after stage (the paper), or without waiting.

Knows the plan and how far its places are, never a result.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Collection, Mapping
from typing import Protocol

from fairnad.config import PlanConfig
from fairnad.history.steps import Decided
from fairnad.records import Child, SlotKey, Stage
from fairnad.search.board import Board
from fairnad.search.plan import PlannedSlot, PlannedStage, is_before, stages

__all__ = ["SCHEDULES", "AsyncSchedule", "RecordedSchedule", "Schedule", "StageSchedule"]

logger = logging.getLogger(__name__)

SCHEDULES = {
    "stage": "fairnad.search.schedule:StageSchedule",
    "async": "fairnad.search.schedule:AsyncSchedule",
}
"""Known schedules: name -> "module:Class"."""


class Schedule(Protocol):
    """Says what is decided next, and what of that is recorded next."""

    def __init__(self, plan: PlanConfig, budget: int) -> None: ...

    def next(self, board: Board) -> PlannedSlot | None:
        """Return a place that is to be decided now; None if something has to end first, or all is done."""

    def to_record(self, drafted: Collection[SlotKey], board: Board) -> SlotKey | None:
        """Return which of the places that are `drafted` is recorded next, if any may be."""

    def may_know(self, child: Child, slot: PlannedSlot) -> bool:
        """Return whether the decision of `slot` may know `child`, and have it for a parent."""

    def snapshot(self, slot: PlannedSlot, num_drafts: int) -> int:
        """Return how many of the drafts recorded by now, `num_drafts`, the decision of `slot` may see."""


class StageSchedule:
    """Stage after stage: the next one begins when every child of the last is trained (paper, Algorithm 2).

    What is decided depends on nothing that goes faster or slower: places are decided and recorded in the order of the
    step, and a step sees only what was recorded before it. Later steps follow smaller children first: those are trained
    first.
    """

    def __init__(self, plan: PlanConfig, budget: int) -> None:
        self._budget = budget
        self._stages = stages(plan)
        self._stage: PlannedStage | None = None
        self._number = 0
        self._step: tuple[PlannedSlot, ...] = ()
        self._seen: int | None = None
        self._is_over = False

    def next(self, board: Board) -> PlannedSlot | None:
        """Return a place of the step that can be decided now."""
        while not self._is_over and all(board.is_filled(slot.key) for slot in self._step):
            if not self._advance(board):
                return None
        for slot in self._step:
            if board.is_filled(slot.key) or slot.key in board.drafting:
                continue
            # In the order of recording: a later place that is decided first could take the room of the first one.
            return slot if not slot.before or board.is_ended(slot.before[-1]) else None
        return None

    def to_record(self, drafted: Collection[SlotKey], board: Board) -> SlotKey | None:
        """Return the first place of the step that is not recorded, once it is drafted."""
        head = next((slot.key for slot in self._step if not board.is_filled(slot.key)), None)
        return head if head in drafted else None

    def may_know(self, child: Child, slot: PlannedSlot) -> bool:
        """Return whether `child` belongs to an earlier stage."""
        return is_before(child.key, slot.key)

    def snapshot(self, slot: PlannedSlot, num_drafts: int) -> int:
        """Return the number of drafts that were recorded when the step began."""
        if self._seen is None:
            self._seen = num_drafts
        return self._seen

    def _advance(self, board: Board) -> bool:
        """Go on to the next step, or to the next stage; return whether there is one to be begun now."""
        if self._stage is not None and self._number + 1 < self._stage.num_steps:
            self._number += 1
            step = self._stage.step(self._number)
            self._step = tuple(sorted(step, key=lambda slot: board.size(slot.before[-1])))
        elif board.num_training and self._stage is not None:  # the first children do not wait for the base
            return False
        else:
            stage = next(self._stages, None)
            remaining = self._budget - board.num_trained(before=stage)
            if stage is None or remaining <= 0 or _has_stalled(stage, board):
                self._is_over = True
                return False
            self._stage, self._number = stage.cut(remaining), 0
            self._step = self._stage.step(0)
        self._seen = board.seen(self._step)
        return True


class RecordedSchedule:
    """The decisions of a search that was recorded, taken again in their order, each with what it could see then."""

    def __init__(self, plan: PlanConfig, decisions: Mapping[SlotKey, Decided]) -> None:
        self._decisions = decisions
        self._to_decide = sorted(decisions, key=lambda key: decisions[key].decided)
        self._to_record = list(decisions)
        last = max((key.generation for key in decisions), default=0)
        planned = itertools.takewhile(lambda stage: stage.generation <= last, stages(plan))
        self._slots = {slot.key: slot for stage in planned for slot in stage.slots}

    def next(self, board: Board) -> PlannedSlot | None:
        """Return the place that was decided next, once all is there that its decision saw."""
        if not self._to_decide:
            return None
        decided = self._decisions[self._to_decide[0]]
        trained = {child.id for child in board.trained()}
        if board.num_drafts < decided.seen or not trained.issuperset(set(decided.known) - {0}):
            return None
        return self._slots[self._to_decide.pop(0)]

    def to_record(self, drafted: Collection[SlotKey], board: Board) -> SlotKey | None:
        """Return the place that was recorded next, once it is drafted."""
        head = next((key for key in self._to_record if not board.is_filled(key)), None)
        return head if head in drafted else None

    def may_know(self, child: Child, slot: PlannedSlot) -> bool:
        """Return whether the decision knew `child`."""
        return child.id in self._decisions[slot.key].known

    def snapshot(self, slot: PlannedSlot, num_drafts: int) -> int:
        """Return how many drafts the decision saw."""
        return self._decisions[slot.key].seen


class AsyncSchedule:
    """Place after place, as soon as there is room to train: no stage waits for another.

    A decision sees whatever is trained by then. A step of a chain waits for the step before it, and lets others pass.
    """

    def __init__(self, plan: PlanConfig, budget: int) -> None:
        self._budget = budget
        self._slots = ((stage, slot) for stage in stages(plan) for slot in stage.slots)
        self._passed: list[tuple[PlannedStage, PlannedSlot]] = []
        self._is_over = False

    def next(self, board: Board) -> PlannedSlot | None:
        """Return the first place that waits for nothing, if the children under way leave room for it."""
        if self._is_over or not self._has_room(board):
            return None
        for place in self._passed:
            if self._is_ready(place, board):
                self._passed.remove(place)
                return place[1]
        while len(self._passed) <= 2 * board.num_slots and (next_one := next(self._slots, None)) is not None:
            if board.is_filled(next_one[1].key):
                continue
            if self._is_ready(next_one, board):
                return next_one[1]
            self._passed.append(next_one)
        return None

    def to_record(self, drafted: Collection[SlotKey], board: Board) -> SlotKey | None:
        """Return whatever is drafted."""
        return next(iter(drafted), None)

    def may_know(self, child: Child, slot: PlannedSlot) -> bool:
        """Return that it may: whatever is trained."""
        return True

    def snapshot(self, slot: PlannedSlot, num_drafts: int) -> int:
        """Return `num_drafts`: all of them may be seen."""
        return num_drafts

    def _has_room(self, board: Board) -> bool:
        """Return whether the budget and the slots have room for one more child."""
        under_way = board.num_training - (not board.has_base()) + len(board.drafting)
        is_in_budget = board.num_trained() + under_way < self._budget
        return is_in_budget and len(board.drafting) + board.num_waiting < board.num_slots

    def _is_ready(self, place: tuple[PlannedStage, PlannedSlot], board: Board) -> bool:
        stage, slot = place
        if slot.before:
            return board.is_ended(slot.before[-1])
        if stage.stage is Stage.INITIAL:
            return True
        if not board.num_training and not board.drafting:
            self._is_over = _has_stalled(stage, board)
        return board.has_base() and not self._is_over and board.num_trained() > 0


def _has_stalled(stage: PlannedStage, board: Board) -> bool:
    """Return whether a whole generation brought no trained child: the next would not either."""
    last = stage.generation - 1
    if stage.generation == 0 or board.has_trained(last):
        return False
    logger.warning("generation %d brought no trained child; the search stops here", last)
    return True
