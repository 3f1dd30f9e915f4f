"""From a decision to a child: idea after idea is drafted, mended and judged for one place of the plan.

Chooses nothing and records nothing; several places can be drafted side by side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

from fairnad.architectures.source import SourceError
from fairnad.config import DraftsConfig
from fairnad.generators.base import Generator, Request
from fairnad.mutations.base import Assignment, Mutation
from fairnad.records import Child, Draft, Failure, FilledSlot, IdeaKind, JudgedDraft, SlotKey, Verdict
from fairnad.verification.base import Known, SourceVerifier
from fairnad.verification.loop import feedback_loop
from fairnad.verification.model_judge import ModelJudge
from fairnad.verification.structure import repeats

__all__ = ["Decision", "Drafting", "attempt_seed"]


@dataclass(frozen=True, slots=True)
class Decision:
    """Who is changed at a place of the plan, and all that the choice of the idea and the judges may know."""

    key: SlotKey
    mutation: Mutation
    parent: Child
    first: Assignment
    """What is asked of the generator at first; each further attempt has an assignment of its own."""
    known: tuple[Child, ...]
    used: Mapping[int, frozenset[str]]
    hashes: frozenset[str]
    seed: str
    """Names the random stream of the place."""
    decided: int
    seen: int

    def add_idea(self, used: dict[int, frozenset[str]], *, has_own_ideas: bool) -> None:
        """Add the idea that the place began with to those `used`, if it was given one.

        A generator with ideas of its own puts one in the place of an idea of the database, which stays unused.
        """
        request, edits = self.first.request, self.first.edits.id
        if isinstance(request, Request) and not (has_own_ideas and request.idea.kind is IdeaKind.KNOWLEDGE):
            used[edits] = used.get(edits, frozenset()) | {request.idea.id}

    def assign(self, attempt: int, used: Mapping[int, frozenset[str]]) -> Assignment:
        """Return what is asked of the generator at `attempt`, counted from 0."""
        if attempt == 0:
            return self.first
        return self.mutation.assign(self.parent, self.known, used=used, seed=attempt_seed(self.seed, attempt))


class Drafting:
    """Who writes, who judges, and how often a draft may be mended; `model_judge`, if any, has the last word."""

    def __init__(
        self,
        generator: Generator,
        verifier: SourceVerifier,
        config: DraftsConfig,
        model_judge: ModelJudge | None = None,
    ) -> None:
        self._generator = generator
        self._verifier = verifier
        self._config = config
        self._model_judge = model_judge

    def fill(self, decision: Decision, refused: Sequence[JudgedDraft] = ()) -> FilledSlot:
        """Return the place filled, or left empty when the ideas are used up; `refused` are drafts of earlier ones."""
        drafts, used = list(refused), decision.used
        edits, refines = decision.first.edits.id, decision.first.refines
        for attempt in range(drafts[-1].attempt + 1 if drafts else 0, self._config.max_per_slot):
            tried = frozenset(judged.draft.idea.id for judged in drafts if judged.draft.idea is not None)
            assignment = decision.assign(attempt, {**used, edits: used.get(edits, frozenset()) | tried})
            drafts.extend(self._try(decision, assignment, attempt))
            if drafts[-1].verdict.is_accepted:
                break
        return FilledSlot(
            key=decision.key,
            parent=edits,
            refines=refines.id if refines is not None else None,
            drafts=tuple(drafts),
            chosen=len(drafts) - 1 if drafts[-1].verdict.is_accepted else None,
            known=tuple(child.id for child in decision.known),
            decided=decision.decided,
            seen=decision.seen,
        )

    def refuse_repeat(self, filled: FilledSlot) -> tuple[JudgedDraft, ...]:
        """Return the drafts of a place whose child turned out to be the same as one recorded meanwhile."""
        *others, last = filled.drafts
        return (*others, replace(last, verdict=repeats(last.verdict)))

    def _try(self, decision: Decision, assignment: Assignment, attempt: int) -> list[JudgedDraft]:
        """Return one idea's drafts and their rewrites, judged; the last one is the outcome."""
        request, generator = replace(assignment.request, earlier=decision.known), self._generator
        target = request.target if isinstance(request, Request) else None
        known, numbers = Known(decision.hashes, assignment.edits.graph_hash), count()

        def judge(source: str) -> Verdict:
            verdict = self._verifier.judge(source, known)
            if self._model_judge is None:
                return verdict
            name, parent = attempt_seed(decision.seed, attempt), assignment.edits.source
            return self._model_judge.judge(verdict, source, parent=parent, attempt=name, number=next(numbers))

        try:
            draft = generator.draft(request) if isinstance(request, Request) else generator.refine(request)
            judged = feedback_loop(draft, request, generator=generator, judge=judge, config=self._config)
        except SourceError as error:  # of a text that the generator made: the next idea may fare better
            reason = f"the generator {generator.name} made what is not Python: {error}"
            idea = request.idea if isinstance(request, Request) else None
            judged = ((Draft("", generator.name, idea, note=reason), Verdict(Failure.NO_DRAFT, reason)),)
        return [JudgedDraft(one, verdict, attempt, target) for one, verdict in judged]


def attempt_seed(seed: str, attempt: int) -> str:
    """Return the name of the random stream of one attempt at a place."""
    return f"{seed}/{attempt}"
