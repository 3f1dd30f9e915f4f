"""The method: plan -> decide -> draft -> record -> train (FairNAD paper, Algorithm 2).

The plan is a row of stages, and a stage a row of places for a child each. A decision gives a place its parent and its
idea; a generator writes a draft of that, which is verified, mended and judged anew until it is accepted or given up;
the accepted draft is recorded as a child, which trains when a slot of the executor is free. The next stage chooses its
parents among the trained children. In stage III a place goes on from the one before it in its chain.

A decision is a function of the configuration and of what the history says it could see; every random stream is named
by generation, stage, slot and attempt. So a search that was killed goes on to the same history, and with the schedule
of stages neither the number of slots nor what finishes first changes anything.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, replace

from fairnad.config import Config
from fairnad.errors import ExecutorError, LLMError
from fairnad.executors.base import Executor
from fairnad.generators.base import Generator
from fairnad.history.store import History
from fairnad.mutations.base import MUTATIONS, Mutation, Workshop
from fairnad.plugins import load
from fairnad.records import Child, Failed, FilledSlot, SlotKey, Stage
from fairnad.search.board import Board
from fairnad.search.crew import Crew
from fairnad.search.drafting import Decision, Drafting, attempt_seed
from fairnad.search.parentage import Parentage
from fairnad.search.plan import PlannedSlot
from fairnad.search.progress import Progress
from fairnad.search.schedule import SCHEDULES, Schedule
from fairnad.search.trainings import Trainings
from fairnad.verification.base import SourceVerifier
from fairnad.verification.model_judge import ModelJudge

__all__ = ["Search", "Tools"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tools:
    """What a search works with; each can be replaced by another of its kind."""

    history: History
    executor: Executor
    generator: Generator
    verifier: SourceVerifier
    workshop: Workshop
    num_train_images: int
    model_judge: ModelJudge | None = None
    """The language model as the judge of structure, where it is one."""


class Search:
    """One search, new or resumed: what the history already holds is not done again.

    The history holds the base as child 0 before a search starts.
    """

    def __init__(
        self,
        config: Config,
        tools: Tools,
        progress: Progress,
        *,
        schedule: Schedule | None = None,
        crew: Crew | None = None,
    ) -> None:
        self._config = config
        self._workshop = tools.workshop
        self._history = tools.history
        self._progress = progress
        self._schedule = schedule or load(config.schedule, SCHEDULES, what="schedule")(config.plan, config.num_children)
        self._board = Board(tools.history, tools.executor.num_slots)
        self._parentage = Parentage(tools.history, self._board, self._schedule, config.plan)
        self._trainings = Trainings(
            config, tools.history, tools.executor, self._board, progress, tools.num_train_images
        )
        self._drafting = Drafting(tools.generator, tools.verifier, config.drafts, tools.model_judge)
        self._crew = crew or Crew(config.num_drafted_at_once)
        self._board.drafting = self._crew.places
        decided = (one.decided for one in tools.history.decisions().values())
        self._num_decided = 1 + max(decided, default=0)
        self._stage: tuple[int, Stage] | None = None

    def run(self) -> Child:
        """Search until the budget is spent, and return the child of the best validation accuracy.

        Raises:
            ExecutorError: nothing could be trained, not even the base.
        """
        for child in self._history.children():
            has_failed_base = child.id == 0 and isinstance(child.outcome, Failed)
            if child.outcome is None or has_failed_base:  # without a base there is no search: it is tried again
                self._train(child)
            else:
                self._progress.count(child)
        with self._crew:
            try:
                while self._advance():
                    pass
            except LLMError:
                while self._board.training:  # these need no language model, and may have taken hours
                    self._trainings.collect(timeout_seconds=None)
                raise
        self._end_stage()
        best = self._history.best()
        if best is None:
            raise ExecutorError("no network could be trained; `fairnad show` tells why")
        return best

    def _advance(self) -> bool:
        """Decide what can be decided, record what was drafted or trained; return whether anything was under way."""
        has_moved = self._decide_places()
        if not self._crew.places and not self._board.training:
            return False
        self._crew.wait()
        while (key := self._schedule.to_record(self._crew.drafted(), self._board)) is not None:
            self._record(*self._crew.take(key))
            has_moved = True
        self._trainings.collect(timeout_seconds=0 if has_moved or self._crew.is_busy else None)
        return True

    def _decide_places(self) -> bool:
        """Decide places of the plan, and have them drafted, while there is room; return whether there were any."""
        has_moved = False
        while self._crew.has_room and (slot := self._schedule.next(self._board)) is not None:
            has_moved = True
            decision = self._decide(slot)
            if decision is None:
                self._board.passed_over.add(slot.key)
                continue
            self._num_decided += 1
            self._draft(decision)
            self._trainings.collect(timeout_seconds=0)
        return has_moved

    def _decide(self, slot: PlannedSlot) -> Decision | None:
        """Choose parent and idea for a place of the plan; None if there is no parent for it."""
        key = slot.key
        self._enter_stage((key.generation, key.stage))
        name = self._config.plan.mutations.get(key.stage.value, key.stage.value)
        mutation: Mutation = load(name, MUTATIONS, what="mutation")(self._workshop)
        known = self._parentage.known(slot)
        parent = self._parentage.parent(slot, mutation, known)
        if parent is None:
            return None
        seen = self._schedule.snapshot(slot, self._history.num_drafts())
        used = self._history.used_ideas(seen=seen)
        for under_way in self._crew.decisions():
            under_way.add_idea(used, has_own_ideas=self._config.ideas.source == "llm")
        seed = f"{self._config.seed}/{key.generation}/{key.stage.value}/{key.slot}"
        return Decision(
            key=key,
            mutation=mutation,
            parent=parent,
            first=mutation.assign(parent, known, used=used, seed=attempt_seed(seed, 0)),
            known=known,
            used=used,
            hashes=self._history.graph_hashes(seen=seen),
            seed=seed,
            decided=self._num_decided,
            seen=seen,
        )

    def _draft(self, decision: Decision) -> None:
        self._progress.drafting_began()
        self._crew.begin(decision, lambda: self._drafting.fill(decision))

    def _record(self, decision: Decision, filled: FilledSlot) -> None:
        """Record a place and train its child; what was recorded meanwhile is drafted anew."""
        self._progress.drafting_ended()
        hashes = self._history.graph_hashes()
        if self._is_repeat(filled, hashes):
            refused = self._drafting.refuse_repeat(filled)
            again = replace(decision, hashes=hashes)
            self._progress.drafting_began()
            self._crew.begin(again, lambda: self._drafting.fill(again, refused))
            return
        for failure in (judged.verdict.failure for judged in filled.drafts if judged.verdict.failure is not None):
            self._progress.rejections[failure] += 1
        child = self._history.record_slot(filled)
        if child is not None:
            self._train(child)
        else:
            self._progress.num_empty += 1
            logger.info("%s: left empty after %d ideas", _name(filled.key), filled.drafts[-1].attempt + 1)

    def _is_repeat(self, filled: FilledSlot, hashes: frozenset[str]) -> bool:
        if filled.chosen is None or self._config.verification.novel_in != "history":
            return False
        return filled.drafts[filled.chosen].verdict.graph_hash in hashes

    def _train(self, child: Child) -> None:
        logger.info("child %d (%s): accepted, waits for a slot", child.id, _name(child.key))
        self._trainings.submit(child)

    def _enter_stage(self, stage: tuple[int, Stage]) -> None:
        if stage != self._stage:
            self._end_stage()
            self._stage = stage
            self._progress.stage_began(*stage)

    def _end_stage(self) -> None:
        """Note where the slots' time went since the last stage ended."""
        if self._stage is not None:
            generation, stage = self._stage
            slot_time = self._progress.stage_ended()
            self._history.event("stage", generation=generation, stage=stage.value, **asdict(slot_time))


def _name(key: SlotKey) -> str:
    return f"generation {key.generation}, stage {key.stage.value}, slot {key.slot}"
