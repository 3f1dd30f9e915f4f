"""The feedback loop: a refused draft is repaired or shrunk and judged again (paper, 4.4, Algorithm 1)."""

from __future__ import annotations

from collections.abc import Callable

from fairnad.config import DraftsConfig
from fairnad.generators.base import Generator, Refinement, Request
from fairnad.records import Draft, Failed, Failure, Verdict

__all__ = ["FINAL", "feedback_loop"]

FINAL = frozenset({Failure.STRUCTURE, Failure.NO_DRAFT})
"""Refusals that no rewrite mends: another idea is asked for."""


def feedback_loop(
    draft: Draft,
    request: Request | Refinement,
    *,
    generator: Generator,
    judge: Callable[[str], Verdict],
    config: DraftsConfig,
) -> tuple[tuple[Draft, Verdict], ...]:
    """Return `draft` and its rewrites with their verdicts, in order; the last one is the outcome.

    Every rewrite is judged from the execution check on. At most `max_repairs` repairs and `max_shrinks` shrinks are
    asked for in all, in whatever order the verdicts ask for them.
    """
    verdict = judge(draft.source)
    judged = [(draft, verdict)]
    repairs, shrinks = config.max_repairs, config.max_shrinks
    while not verdict.is_accepted and verdict.failure not in FINAL:
        is_too_big = verdict.failure is Failure.BUDGET
        if (shrinks if is_too_big else repairs) == 0:
            break
        rewrite = (generator.shrink if is_too_big else generator.repair)(draft, verdict, request)
        if isinstance(rewrite, Failed):
            break
        shrinks, repairs = (shrinks - 1, repairs) if is_too_big else (shrinks, repairs - 1)
        draft, verdict = rewrite, judge(rewrite.source)
        judged.append((draft, verdict))
    return tuple(judged)
