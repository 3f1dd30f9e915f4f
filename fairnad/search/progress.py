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
    """Seconds of all slots together: training, idle at a stage's barrier, idle while a child was drafted."""

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
    _barrier_began: float | None = None
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
        self.change("drafting")

    def barrier_began(self) -> None:
        """Note that every slot of the stage is filled and only trainings are left."""
        self._barrier_began = time.time()
        self.change("waiting for the stage to end")

    def stage_ended(self) -> SlotTime:
        """Return where the slots' time went since the stage before ended."""
        now = time.time()
        barrier_began = now if self._barrier_began is None else self._barrier_began
        training = _overlap(self._busy, self._stage_began, now)
        barrier = self.num_slots * (now - barrier_began) - _overlap(self._busy, barrier_began, now)
        drafting = self.num_slots * (now - self._stage_began) - training - barrier
        self._stage_began, self._barrier_began = now, None
        self._busy = []
        return SlotTime(training, max(0.0, barrier), max(0.0, drafting))


def _overlap(intervals: list[tuple[float, float]], start: float, end: float) -> float:
    return sum(max(0.0, min(end, high) - max(start, low)) for low, high in intervals)
