"""What can be said of a running search at any moment, and where the time of its slots goes. Shows nothing itself."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from fairnad.records import Child, Failure, Stage, Trained

__all__ = ["Observer", "Progress", "SlotTime"]

Observer = Callable[["Progress"], None]
"""Called after every change of a search."""


@dataclass(frozen=True, slots=True)
class SlotTime:
    """Seconds of all slots together: training, idle as others still trained, idle while a child was drafted."""

    training: float
    barrier: float
    drafting: float


@dataclass(slots=True)
class Progress:
    """The state of a search: counts, what trains now, and the best so far."""

    budget: int
    num_slots: int
    observer: Observer | None = None
    began: float = field(default_factory=time.time)
    generation: int = 0
    stage: Stage = Stage.BASE
    activity: str = "starting"
    num_trained: int = 0
    num_trained_here: int = 0
    num_failed: int = 0
    num_empty: int = 0
    rejections: Counter[Failure] = field(default_factory=Counter)
    running: dict[int, tuple[Child, float]] = field(default_factory=dict)
    """Slot -> the child that trains there, and since when."""
    waiting: int = 0
    best: Child | None = None
    base: Child | None = None
    _stage_began: float = field(default_factory=time.time)
    _num_drafting: int = 0
    _drafting_began: float = 0.0
    _drafting: list[tuple[float, float]] = field(default_factory=list)
    _busy: list[tuple[float, float]] = field(default_factory=list)

    @property
    def seconds_left(self) -> float | None:
        """The time that the rest of the budget takes at the pace so far; None before the first child."""
        if not self.num_trained_here:
            return None
        return (time.time() - self.began) / self.num_trained_here * (self.budget - self.num_trained)

    def change(self, activity: str | None = None) -> None:
        """Tell the observer that something changed."""
        if activity is not None:
            self.activity = activity
        if self.observer is not None:
            self.observer(self)

    def started(self, child: Child, slot: int, when: float) -> None:
        """Note that `child` took a slot."""
        self.waiting -= 1
        self.running[slot] = (child, when)
        self.change()

    def gave_back(self, slot: int, when: float) -> None:
        """Note that the child of a slot waits for another one."""
        _, since = self.running.pop(slot)
        self._busy.append((since, when))
        self.waiting += 1
        self.change()

    def finished(self, child: Child, slot: int, when: float) -> None:
        """Note that `child`, now with its outcome, left its slot."""
        _, since = self.running.pop(slot)
        self._busy.append((since, when))
        self.count(child)
        self.num_trained_here += isinstance(child.outcome, Trained) and child.id != 0
        self.change()

    def count(self, child: Child) -> None:
        """Count a child whose training is over."""
        if not isinstance(child.outcome, Trained):
            self.num_failed += 1
            return
        if child.id == 0:
            self.base = child
        else:
            self.num_trained += 1
        best = self.best.accuracy if self.best else None
        if best is None or child.outcome.accuracy > best:
            self.best = child

    def stage_began(self, generation: int, stage: Stage) -> None:
        """Note the start of a stage."""
        self.generation, self.stage = generation, stage
        self.change()

    def drafting_began(self) -> None:
        """Note that one more place is being drafted."""
        if self._num_drafting == 0:
            self._drafting_began = time.time()
        self._num_drafting += 1
        self.change("drafting")

    def drafting_ended(self) -> None:
        """Note that a place is drafted."""
        self._num_drafting -= 1
        if self._num_drafting == 0:
            self._drafting.append((self._drafting_began, time.time()))
            self.change("training")

    def stage_ended(self) -> SlotTime:
        """Return where the slots' time went since the stage before ended."""
        began, now = self._stage_began, time.time()
        busy = [*self._busy, *((since, now) for _, since in self.running.values())]
        drafting = [*self._drafting, *([(self._drafting_began, now)] if self._num_drafting else [])]
        training = _overlap(busy, began, now)
        idle = self.num_slots * (now - began) - training
        in_drafting = sum(
            self.num_slots * _overlap([(low, high)], began, now) - _overlap(busy, max(low, began), high)
            for low, high in drafting
        )
        self._stage_began, self._busy, self._drafting = now, [], []
        return SlotTime(training, max(0.0, idle - in_drafting), max(0.0, in_drafting))


def _overlap(intervals: list[tuple[float, float]], start: float, end: float) -> float:
    return sum(max(0.0, min(end, high) - max(start, low)) for low, high in intervals)
