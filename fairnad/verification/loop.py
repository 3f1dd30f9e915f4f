"""The feedback loop: a refused draft is repaired or shrunk and judged again (paper, 4.4, Algorithm 1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from fairnad.config import DraftsConfig
from fairnad.generators.base import Generator, Mender, Redrafter, Refinement, Request
from fairnad.records import Draft, Failed, Failure, Verdict

__all__ = ["FINAL", "MAX_MENDS", "feedback_loop"]

FINAL = frozenset({Failure.STRUCTURE, Failure.NO_DRAFT})
"""Refusals that no rewrite mends: another form of the idea is asked for, or another idea."""

MAX_MENDS = 4
"""Times that a program mends a draft: an import, a shape, what that shape hid, and the size."""

_Judge = Callable[[str], Verdict]
_Judged = list[tuple[Draft, Verdict]]


def feedback_loop(
    draft: Draft | Failed, request: Request | Refinement, *, generator: Generator, judge: _Judge, config: DraftsConfig
) -> tuple[tuple[Draft, Verdict], ...]:
    """Return `draft` and its rewrites with their verdicts, in order; the last one is the outcome.

    Every rewrite is judged from the execution check on. At most `max_repairs` repairs and `max_shrinks` shrinks of a
    draft are asked for in all, in whatever order the verdicts ask for them. What is refused after that is left to the
    program behind the generator, if it has one; then a rewrite that is what was refused before ends the asking. Where
    the generator knows other forms of the idea, up to `forms` are drafted, each in this way, until one is accepted.
    """
    judged = _reworked(draft, request, generator, judge, config)
    while not judged[-1][1].is_accepted and isinstance(generator, Redrafter) and request.form + 1 < config.forms:
        request = replace(request, form=request.form + 1)
        again = generator.redraft(judged[-1][0], request)
        if again is None:
            break
        judged += _reworked(again, request, generator, judge, config)
    return tuple(judged)


def _reworked(
    draft: Draft | Failed, request: Request | Refinement, generator: Generator, judge: _Judge, config: DraftsConfig
) -> _Judged:
    """Return one draft and its rewrites with their verdicts."""
    if isinstance(draft, Failed):
        idea = draft.idea or (request.idea if isinstance(request, Request) else None)
        return [(Draft("", generator.name, idea, note=draft.reason), Verdict(draft.failure, draft.reason))]
    judged = [(draft, judge(draft.source))]
    has_program = isinstance(generator, Mender) and config.fallback != "none"
    repairs, shrinks = config.max_repairs, config.max_shrinks
    while _can_be_mended(judged[-1][1]):
        draft, verdict = judged[-1]
        is_too_big = verdict.failure is Failure.BUDGET
        if (shrinks if is_too_big else repairs) == 0:
            break
        rewrite = (generator.shrink if is_too_big else generator.repair)(draft, verdict, request)
        if isinstance(rewrite, Failed):
            break
        shrinks, repairs = (shrinks - 1, repairs) if is_too_big else (shrinks, repairs - 1)
        judged.append((rewrite, judge(rewrite.source)))
        if has_program and _is_stuck(judged):
            break
    if isinstance(generator, Mender) and has_program:
        _mend(judged, request, generator, judge)
    return judged


def _mend(judged: _Judged, request: Request | Refinement, mender: Mender, judge: _Judge) -> None:
    """Let `mender` mend the last draft, and what shows when that is mended."""
    for _ in range(MAX_MENDS):
        draft, verdict = judged[-1]
        if not _can_be_mended(verdict):
            return
        mended = mender.mend(draft, verdict, request)
        if isinstance(mended, Failed):
            return
        judged.append((mended, judge(mended.source)))


def _is_stuck(judged: _Judged) -> bool:
    """Return whether the last rewrite is a draft that was refused before, by its text or by its graph."""
    last, verdict = judged[-1]
    return any(
        draft.source == last.source or (verdict.graph_hash is not None and verdict.graph_hash == refused.graph_hash)
        for draft, refused in judged[:-1]
    )


def _can_be_mended(verdict: Verdict) -> bool:
    return not verdict.is_accepted and verdict.failure not in FINAL
