"""The generator that needs no LLM: ideas are realised by transformations of the parent's source.

An idea is matched with operators by the words of its text and of its tags. A source that cannot be parsed, or to which
no fitting operator applies, gives `Failed`. Sizes are searched on costs that a child process counts.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from fairnad.architectures.source import Source, try_parse
from fairnad.generators.base import Parent, Refinement, Request
from fairnad.generators.fit import Direction, Measure, fit
from fairnad.generators.operators import OPERATORS, Operator, Rewrite, Scope, specialize
from fairnad.records import Costs, Draft, Failed, Failure, Idea, IdeaKind, Limits, MutationTarget, Verdict

__all__ = ["RulesGenerator"]

_GROWTH = {
    "scale-up-1": Direction.MIDDLE_REPEATS,
    "scale-up-2": Direction.LATER_REPEATS,
    "scale-up-3": Direction.WIDTHS,
    "scale-up-4": Direction.LATER_WIDTHS,
}
_PREFIXES = {operator.prefix for operator in OPERATORS if operator.prefix}
_DEPTH_STEP = 1.6
"""A network made deeper costs at most this many times its parent: all the way to the limits is slow to train."""
_MAX_IDEAS = 4
"""Ideas that one refinement tries."""


class RulesGenerator:
    """Writes drafts with operators; `ideas` are those that Stage III chooses from."""

    name = "rules"

    def __init__(self, ideas: Sequence[Idea], measure: Measure) -> None:
        self._ideas = tuple(ideas)
        self._measure = measure

    def draft(self, request: Request) -> Draft | Failed:
        """Return the parent changed by the idea."""
        rng = random.Random(request.seed)
        return self._mutate(request.parent, request.idea, request.target, request.limits, rng)

    def refine(self, refinement: Refinement) -> Draft | Failed:
        """Return `refinement.edit` changed by an idea near the one that helped, or far from the one that did not.

        After a gain the idea is another one of the same main category (after a gain by a scale-up, another scale-up);
        after a loss it is one of another main category.
        """
        rng = random.Random(refinement.seed)
        result: Draft | Failed = Failed(Failure.NO_DRAFT, "there is no idea to refine with")
        for idea in self._related(refinement, rng)[:_MAX_IDEAS]:
            target = _target(idea, rng)
            result = self._mutate(refinement.edit, idea, target, refinement.limits, rng)
            if isinstance(result, Draft):
                break
        return result

    def repair(self, draft: Draft, verdict: Verdict, request: Request | Refinement) -> Draft | Failed:
        """Return a failure: rules have nothing to mend an error with."""
        return Failed(Failure.NO_DRAFT, f"rules cannot repair a draft: {verdict.reason}")

    def shrink(self, draft: Draft, verdict: Verdict, request: Request | Refinement) -> Draft | Failed:
        """Return `draft` with widths or repeats reduced until it is within the limits."""
        rng = random.Random(f"{request.seed}/shrink/{draft.rewrites}")
        ways = [Direction.WIDTHS, Direction.LATER_REPEATS]
        rng.shuffle(ways)
        for direction in [*ways, Direction.ALL]:
            source = fit(draft.source, request.limits, self._measure, direction=direction)
            if source is not None and source != draft.source:
                note = f"{draft.note}; fitted by {direction.value}"
                return replace(draft, source=source, note=note, rewrites=draft.rewrites + 1)
        return Failed(Failure.NO_DRAFT, "no widths and repeats of Network bring the draft within its limits")

    def _mutate(
        self, parent: Parent, idea: Idea, target: MutationTarget, limits: Limits, rng: random.Random
    ) -> Draft | Failed:
        if idea.kind is IdeaKind.SCALE_UP:
            return self._grow(parent, idea, limits, rng)
        source = try_parse(parent.source)
        if source is None or "Network" not in source.classes:
            return Failed(Failure.NO_DRAFT, "the parent defines no class Network")
        for operator in _ranked(idea, rng):
            rewrite = _apply(operator, source, idea, target, rng)
            if rewrite is not None and rewrite.text != source.text:
                return Draft(rewrite.text, self.name, idea, note=rewrite.note)
        return Failed(Failure.NO_DRAFT, f"no operator for idea {idea.id} applies to the parent")

    def _grow(self, parent: Parent, idea: Idea, limits: Limits, rng: random.Random) -> Draft | Failed:
        direction = _GROWTH.get(idea.id) or rng.choice(list(_GROWTH.values()))
        within = _growth_limits(parent.costs, limits, direction)
        source = fit(parent.source, within, self._measure, direction=direction)
        if source is None or source == parent.source:
            return Failed(Failure.NO_DRAFT, f"the parent cannot grow by {direction.value} within the limits")
        return Draft(source, self.name, idea, note=f"Network grown by {direction.value}")

    def _related(self, refinement: Refinement, rng: random.Random) -> list[Idea]:
        """Return the ideas for a refinement in the order to try them: unused ones first."""
        before, has_improved = refinement.idea, refinement.has_improved
        is_near = [_is_near(idea, before) for idea in self._ideas]
        related = [idea for idea, near in zip(self._ideas, is_near, strict=True) if near is has_improved]
        related = [idea for idea in related if idea.id != before.id] or list(self._ideas)
        rng.shuffle(related)
        return sorted(related, key=lambda idea: idea.id in refinement.used)


def _growth_limits(costs: Costs, limits: Limits, direction: Direction) -> Limits:
    """Return how large a network may grow: wide to the limits, deep by a step; without limits to twice its size."""
    if not limits.usage(costs):
        return Limits(2 * costs.params, 2 * costs.flops)
    if direction in {Direction.WIDTHS, Direction.LATER_WIDTHS}:
        return limits
    deeper = (round(_DEPTH_STEP * costs.params), round(_DEPTH_STEP * costs.flops))
    bounds = (limits.params, limits.flops)
    return Limits(*(step if bound is None else min(step, bound) for step, bound in zip(deeper, bounds, strict=True)))


def _is_near(idea: Idea, other: Idea) -> bool:
    """Return whether two ideas are of one main category, or both of one kind without categories."""
    return idea.kind is other.kind and idea.main == other.main


def _target(idea: Idea, rng: random.Random) -> MutationTarget:
    if idea.granularity == "network" or idea.kind is IdeaKind.SCALE_UP:
        return MutationTarget.NETWORK
    return rng.choice((MutationTarget.NEW_MODULE, MutationTarget.CHANGE_MODULE))


def _ranked(idea: Idea, rng: random.Random) -> list[Operator]:
    """Return the operators for `idea`, the best first: by words of text and sub-category, then by main category."""
    text, sub = idea.text.lower(), (idea.sub or "").lower()
    scores = {}
    for operator in OPERATORS:
        words = sum(len(word.split()) for word in operator.keywords if word in text)
        tags = 2 * any(word in sub for word in operator.keywords) if sub else 0
        scores[operator] = words + tags + 2 * (idea.main in operator.mains)
    ordered = rng.sample(list(OPERATORS), len(OPERATORS))
    ordered.sort(key=lambda operator: -scores[operator])
    related = [operator for operator in ordered if scores[operator] > 0]
    return related or ordered


def _apply(
    operator: Operator, source: Source, idea: Idea, target: MutationTarget, rng: random.Random
) -> Rewrite | None:
    """Apply `operator` as `target` says, or wherever it can if it cannot there: the idea counts for more."""
    wish = idea.text.lower()
    blocks = tuple(name for name in source.used if name != "Network")

    def in_place(owners: tuple[str, ...]) -> Rewrite | None:
        return operator.apply(source, Scope(owners, wish), rng) if owners else None

    def as_copy() -> Rewrite | None:
        return specialize(source, operator, _PREFIXES, wish, rng)

    attempts: list[Callable[[], Rewrite | None]] = [lambda: in_place(blocks)]
    if target is MutationTarget.NETWORK:
        attempts = [as_copy, lambda: in_place(("Network",))]
        rng.shuffle(attempts)
    elif target is MutationTarget.NEW_MODULE:
        attempts = [lambda: _with_new_class(source, in_place(source.used)), as_copy]
    attempts.append(lambda: in_place(source.used))
    rewrites = (attempt() for attempt in attempts)
    return next((rewrite for rewrite in rewrites if rewrite is not None), None)


def _with_new_class(source: Source, rewrite: Rewrite | None) -> Rewrite | None:
    """Return `rewrite` if it defines a class that `source` does not."""
    is_new = rewrite is not None and not set(Source(rewrite.text).classes) <= set(source.classes)
    return rewrite if is_new else None
