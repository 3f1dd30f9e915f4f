"""How busy training slots are while a language model writes: the real search loop, in simulated time.

python benchmarks/schedule.py [CHILDREN SLOTS]

A child is written in 20 to 120 s and trained in 10 to 60 min, both drawn uniformly. Time is simulated, the decisions
are not: they are taken by the search itself, on a history in memory.
"""

from __future__ import annotations

import heapq
import itertools
import random
import sys
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial

from report import print_table

from fairnad.config import Config
from fairnad.executors.base import Finished, Started, Training
from fairnad.generators.base import Refinement, Request
from fairnad.history.store import History
from fairnad.knowledge.ideas import IdeaDatabase, SamplingLevel
from fairnad.mutations.base import Workshop
from fairnad.records import (
    Costs,
    Draft,
    Failed,
    FilledSlot,
    Idea,
    IdeaKind,
    JudgedDraft,
    SlotKey,
    Stage,
    Trained,
    Verdict,
)
from fairnad.search.drafting import Decision
from fairnad.search.loop import Search, Tools
from fairnad.search.progress import Progress
from fairnad.verification.base import Known

WRITING_SECONDS, TRAINING_SECONDS = (20.0, 120.0), (600.0, 3600.0)
CONCURRENCY = 8


@dataclass
class Clock:
    """Simulated time: what happens next is a heap of times."""

    now: float = 0.0
    events: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    order: itertools.count[int] = field(default_factory=itertools.count)

    def at(self, seconds: float, what: Callable[[], None]) -> None:
        heapq.heappush(self.events, (self.now + seconds, next(self.order), what))

    def step(self) -> None:
        self.now, _, what = heapq.heappop(self.events)
        what()


class Writers:
    """A crew whose places are drafted some simulated time after they were begun."""

    def __init__(self, clock: Clock, rng: random.Random) -> None:
        self._clock, self._rng = clock, rng
        self._work: dict[SlotKey, tuple[Decision, FilledSlot]] = {}
        self._done: list[SlotKey] = []

    def __enter__(self) -> Writers:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    @property
    def has_room(self) -> bool:
        return len(self._work) - len(self._done) < CONCURRENCY

    @property
    def places(self) -> Collection[SlotKey]:
        return self._work.keys()

    @property
    def is_busy(self) -> bool:
        return len(self._done) < len(self._work)

    def decisions(self) -> tuple[Decision, ...]:
        return tuple(decision for decision, _ in self._work.values())

    def begin(self, decision: Decision, draft: Callable[[], FilledSlot]) -> None:
        self._work[decision.key] = decision, draft()
        self._clock.at(self._rng.uniform(*WRITING_SECONDS), lambda: self._done.append(decision.key))

    def wait(self) -> None:
        if self.is_busy:
            self._clock.step()

    def drafted(self) -> tuple[SlotKey, ...]:
        return tuple(self._done)

    def take(self, key: SlotKey) -> tuple[Decision, FilledSlot]:
        self._done.remove(key)
        return self._work.pop(key)


class Slots:
    """Trainings that take simulated time; counts how long the slots are busy."""

    def __init__(self, clock: Clock, rng: random.Random, num_slots: int) -> None:
        self.num_slots = num_slots
        self.intervals: list[tuple[float, float]] = []
        self._clock, self._rng = clock, rng
        self._free = list(range(num_slots))
        self._waiting: list[Training] = []
        self._messages: list[Started | Finished] = []

    def submit(self, training: Training) -> None:
        self._waiting.append(training)
        self._start()

    def messages(self, *, timeout_seconds: float | None) -> tuple[Started | Finished, ...]:
        while timeout_seconds is None and not self._messages:
            self._clock.step()
        found, self._messages = tuple(self._messages), []
        return found

    def close(self) -> None:
        pass

    def _start(self) -> None:
        while self._free and self._waiting:
            training, slot = self._waiting.pop(0), self._free.pop()
            seconds = self._rng.uniform(*TRAINING_SECONDS)
            self.intervals.append((self._clock.now, self._clock.now + seconds))
            self._messages.append(Started(training, slot, self._clock.now))
            self._clock.at(seconds, partial(self._end, training, slot))

    def _end(self, training: Training, slot: int) -> None:
        outcome = Trained(self._rng.random(), "val", 1, training.seed, (), 1.0, 1.0, 1)
        self._messages.append(Finished(training, slot, self._clock.now, outcome))
        self._free.append(slot)
        self._start()


class Words:
    """A generator and a verifier of plain text: what is written does not matter here."""

    name = "words"

    def draft(self, request: Request) -> Draft | Failed:
        return Draft(f"# {request.seed}", self.name, request.idea)

    def refine(self, refinement: Refinement) -> Draft | Failed:
        return Draft(f"# {refinement.seed}", self.name, Idea(refinement.seed, "better", IdeaKind.OWN))

    def repair(self, draft: Draft, verdict: Verdict, request: Request | Refinement) -> Draft | Failed:
        return draft

    def shrink(self, draft: Draft, verdict: Verdict, request: Request | Refinement) -> Draft | Failed:
        return draft

    def judge(self, source: str, known: Known) -> Verdict:
        return Verdict(None, costs=Costs(len(source), len(source)), graph_hash=source)


def simulate(schedule: str, children: int, slots: int) -> tuple[float, float]:
    """Return the fraction of slot time that is training, first and last hour apart, and the hours the search takes."""
    clock, rng, words = Clock(), random.Random(0), Words()
    config = Config.model_validate({"budget": children, "schedule": schedule, "drafts": {"concurrency": CONCURRENCY}})
    ideas = IdeaDatabase.load()
    executor = Slots(clock, rng, slots)
    with History.in_memory() as history:
        base = JudgedDraft(Draft("# base", "base", None), words.judge("# base", Known()), 0)
        history.record_slot(FilledSlot(SlotKey(0, Stage.BASE, 0), None, None, (base,), 0))
        workshop = Workshop(ideas, SamplingLevel.MAIN, config.limits, config.plan)
        tools = Tools(history, executor, words, words, workshop, num_train_images=0)
        Search(config, tools, Progress(children, slots), crew=Writers(clock, rng)).run()
    end = max(high for _, high in executor.intervals)
    low, high = 3600.0, end - 3600.0
    busy = sum(max(0.0, min(high, stop) - max(low, start)) for start, stop in executor.intervals)
    return busy / (slots * (high - low)), end / 3600


def main(children: int, slots: int) -> None:
    rows = []
    for schedule in ("stage", "async"):
        began = time.perf_counter()
        busy, hours = simulate(schedule, children, slots)
        rows.append((schedule, f"{busy:.1%}", f"{hours:.1f}", f"{time.perf_counter() - began:.1f}"))
    head = ("schedule", "slot time in training", "hours simulated", "seconds the controller took")
    print_table(f"{children} children on {slots} slots, {CONCURRENCY} drafted at once", head, rows)


if __name__ == "__main__":
    main(*([int(argument) for argument in sys.argv[1:]] or (300, 8)))
