"""The method: plan -> choose -> draft -> train -> record (FairNAD paper, Algorithm 2).

The children are decided by configuration and history alone: slots are filled in the order of the plan, a decision sees
only what earlier stages left (and, in Stage III, its own chain), and every random stream is named by generation, stage,
slot and attempt. So a search that was killed goes on to the same history, and the number of slots changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from fairnad.config import Config
from fairnad.errors import ExecutorError
from fairnad.executors.base import Executor, Finished, Training
from fairnad.generators.base import Generator, Request
from fairnad.history.store import History
from fairnad.mutations.base import MUTATIONS, Assignment, Mutation, Workshop
from fairnad.plugins import load
from fairnad.records import (
    Child,
    Draft,
    Failed,
    FilledSlot,
    JudgedDraft,
    SlotKey,
    Stage,
    Trained,
    Verdict,
)
from fairnad.search.progress import Progress
from fairnad.search.schedule import PlannedSlot, PlannedStage, stages
from fairnad.verification.base import Known, SourceVerifier
from fairnad.verification.loop import feedback_loop

__all__ = ["Search", "Tools"]

logger = logging.getLogger(__name__)

_STAGE_ORDER = {stage: position for position, stage in enumerate(Stage)}


@dataclass(frozen=True, slots=True)
class Tools:
    """What a search works with; each can be replaced by another of its kind."""

    history: History
    executor: Executor
    generator: Generator
    verifier: SourceVerifier
    workshop: Workshop
    num_train_images: int


class Search:
    """One search, new or resumed: what the history already holds is not done again.

    The history holds the base as child 0 before a search starts.
    """

    def __init__(self, config: Config, tools: Tools, progress: Progress) -> None:
        self._config = config
        self._tools = tools
        self._history = tools.history
        self._progress = progress
        self._filled = set(tools.history.slots())
        self._used = tools.history.used_ideas()
        self._training: dict[int, Child] = {}
        self._attempts: dict[int, int] = {}

    def run(self) -> Child:
        """Search until the budget is spent, and return the child of the best validation accuracy.

        Raises:
            ExecutorError: nothing could be trained, not even the base.
        """
        for child in self._history.children():
            if child.outcome is None:
                self._train(child)
            else:
                self._progress.count(child)
        for stage in stages(self._config.plan):
            known = self._known_before(stage)
            remaining = self._config.budget - sum(child.id != 0 for child in known)
            if remaining <= 0 or self._has_stalled(stage, known):
                break
            planned = stage.cut(remaining)
            if self._training or any(slot.key not in self._filled for slot in planned.slots):
                self._run_stage(planned, known)
        best = self._history.best()
        if best is None:
            raise ExecutorError("no network could be trained; `fairnad show` tells why")
        return best

    def _run_stage(self, stage: PlannedStage, known: Sequence[Child]) -> None:
        self._progress.stage_began(stage.generation, stage.stage)
        mutation: Mutation = load(stage.stage.value, MUTATIONS, what="mutation")(self._tools.workshop)
        chains: list[tuple[Child, ...]] = [
            (parent,) for parent in mutation.parents(self._eligible(known, stage), stage.num_parents)
        ]
        for slot in stage.slots[: len(stage.slots) if chains else 0]:
            if slot.follows is not None:
                chains[slot.chain] += self._trained_at(slot.follows)
            if slot.key not in self._filled:
                self._fill(slot, mutation, chains[slot.chain][-1], (*known, *chains[slot.chain][1:]))
            self._collect(timeout_seconds=0)
        self._progress.barrier_began()
        while self._training:
            self._collect(timeout_seconds=None)
        slot_time = self._progress.stage_ended()
        self._history.event("stage", generation=stage.generation, stage=stage.stage.value, **asdict(slot_time))

    def _fill(self, slot: PlannedSlot, mutation: Mutation, parent: Child, known: Sequence[Child]) -> None:
        """Draft and verify until a child is found for `slot`, or the tries are used up; record, and train."""
        drafts: list[JudgedDraft] = []
        for attempt in range(self._config.drafts.max_per_slot):
            seed = f"{self._config.seed}/{slot.key.generation}/{slot.key.stage.value}/{slot.key.slot}/{attempt}"
            assignment = mutation.assign(parent, known, used=self._used, seed=seed)
            drafts.extend(self._try(assignment, attempt))
            self._note_used(assignment.edits, drafts[-1].draft)
            self._collect(timeout_seconds=0)
            if drafts[-1].verdict.is_accepted:
                break
        is_found = drafts[-1].verdict.is_accepted
        filled = FilledSlot(
            key=slot.key,
            parent=assignment.edits.id,
            refines=assignment.refines.id if assignment.refines else None,
            drafts=tuple(drafts),
            chosen=len(drafts) - 1 if is_found else None,
            known=tuple(child.id for child in known),
        )
        child = self._history.record_slot(filled)
        self._filled.add(slot.key)
        if child is None:
            self._progress.num_empty += 1
            logger.info("%s: left empty after %d ideas", _name(slot.key), self._config.drafts.max_per_slot)
        else:
            self._train(child)

    def _try(self, assignment: Assignment, attempt: int) -> list[JudgedDraft]:
        """Return one idea's draft and its rewrites, judged; the last one is the outcome."""
        request, generator = assignment.request, self._tools.generator
        is_plain = isinstance(request, Request)
        draft = generator.draft(request) if isinstance(request, Request) else generator.refine(request)
        target = request.target if isinstance(request, Request) else None
        if isinstance(draft, Failed):
            idea = request.idea if is_plain else None
            nothing = Draft(source="", generator=generator.name, idea=idea, note=draft.reason)
            judged = [(nothing, Verdict(draft.failure, draft.reason))]
        else:
            known = Known(self._history.graph_hashes(), assignment.edits.graph_hash)
            judged = list(
                feedback_loop(
                    draft,
                    request,
                    generator=generator,
                    judge=lambda source: self._tools.verifier.judge(source, known),
                    config=self._config.drafts,
                )
            )
        for refused in (verdict.failure for _, verdict in judged if verdict.failure is not None):
            self._progress.rejections[refused] += 1
        self._progress.change()
        return [JudgedDraft(one, verdict, attempt, target) for one, verdict in judged]

    def _train(self, child: Child) -> None:
        logger.info("child %d (%s): accepted, waits for a slot", child.id, _name(child.key))
        self._training[child.id] = child
        self._progress.waiting += 1
        self._tools.executor.submit(
            Training(child.id, child.source, seed=self._config.seed, predicted_seconds=self._predict_seconds(child))
        )
        self._progress.change()

    def _predict_seconds(self, child: Child) -> float:
        if not child.step_seconds or not child.step_batch:
            return 0.0
        return self._config.recipe.epochs * self._tools.num_train_images * child.step_seconds / child.step_batch

    def _collect(self, *, timeout_seconds: float | None) -> None:
        """Record what the executor has to tell."""
        for message in self._tools.executor.messages(timeout_seconds=timeout_seconds):
            child = self._training[message.training.child_id]
            if isinstance(message, Finished) and message.outcome is not None:
                self._record(child, message.outcome, message)
            elif isinstance(message, Finished):
                self._history.attempt_ended(self._attempts.pop(child.id), "failed", at=message.time)
                self._progress.gave_back(message.slot, message.time)
            else:
                self._attempts[child.id] = self._history.attempt_started(
                    child.id, f"slot {message.slot}", at=message.time
                )
                self._progress.started(child, message.slot, message.time)

    def _record(self, child: Child, outcome: Trained | Failed, message: Finished) -> None:
        del self._training[child.id]
        self._history.record_outcome(child.id, outcome, attempt=self._attempts.pop(child.id), at=message.time)
        self._progress.finished(replace(child, outcome=outcome), message.slot, message.time)
        if isinstance(outcome, Trained):
            logger.info("child %d: %.2f %% (%s)", child.id, 100 * outcome.accuracy, outcome.split)
        elif child.id == 0:
            raise ExecutorError(f"the base could not be trained: {outcome.reason}")
        else:
            logger.info("child %d: training failed (%s)", child.id, outcome.failure.value)

    def _trained_at(self, key: SlotKey) -> tuple[Child, ...]:
        """Wait for the child of an earlier slot, and return it if it was trained to the end."""
        child = next((child for child in self._history.children() if child.key == key), None)
        while child is not None and child.id in self._training:
            self._collect(timeout_seconds=None)
        child = self._history.child(child.id) if child is not None else None
        return (child,) if child is not None and child.accuracy is not None else ()

    def _known_before(self, stage: PlannedStage) -> tuple[Child, ...]:
        """Return what a decision of `stage` may know: the trained children of earlier stages; at first the base."""
        if stage.stage is Stage.INITIAL:
            return (self._history.child(0),)
        limit = (stage.generation, _STAGE_ORDER[stage.stage])
        return tuple(
            child
            for child in self._history.children()
            if child.accuracy is not None and (child.key.generation, _STAGE_ORDER[child.key.stage]) < limit
        )

    def _eligible(self, known: Sequence[Child], stage: PlannedStage) -> Sequence[Child]:
        if self._config.plan.base_is_eligible or stage.stage is Stage.INITIAL:
            return known
        return [child for child in known if child.id != 0] or known

    def _has_stalled(self, stage: PlannedStage, known: Sequence[Child]) -> bool:
        """Return whether a whole generation brought no trained child: the next would not either."""
        if stage.stage is not Stage.FAIR or any(child.key.generation == stage.generation - 1 for child in known[1:]):
            return False
        logger.warning("generation %d brought no trained child; the search stops here", stage.generation - 1)
        self._history.event("stalled", generation=stage.generation - 1)
        return True

    def _note_used(self, edited: Child, draft: Draft) -> None:
        if draft.idea is not None:
            self._used[edited.id] = self._used.get(edited.id, frozenset()) | {draft.idea.id}


def _name(key: SlotKey) -> str:
    return f"generation {key.generation}, stage {key.stage.value}, slot {key.slot}"
