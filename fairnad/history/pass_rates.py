"""What became of the drafts that a language model wrote: by the task that asked for them, and how they failed."""

from __future__ import annotations

from collections import Counter
from enum import Enum

from sqlite_utils import Database

from fairnad.records import Failure

__all__ = ["FailureKind", "classify", "load_failure_kinds", "load_pass_rates"]


class FailureKind(str, Enum):
    """How a language model fails to turn an idea into a network (paper, D.3), and what else there is."""

    INCOMPLETE = "incomplete generation"
    HALLUCINATION = "component hallucination"
    SHAPE = "shape mismatch"
    DOWNSCALING = "too large, and not downscaled"
    STRUCTURE = "not a new multi-layer network"
    OTHER = "other"


_BY_FAILURE = {
    Failure.NO_DRAFT: FailureKind.INCOMPLETE,
    Failure.SYNTAX: FailureKind.INCOMPLETE,
    Failure.NO_NETWORK_CLASS: FailureKind.INCOMPLETE,
    Failure.IMPORT: FailureKind.HALLUCINATION,
    Failure.SHAPE: FailureKind.SHAPE,
    Failure.BUDGET: FailureKind.DOWNSCALING,
    Failure.STRUCTURE: FailureKind.STRUCTURE,
}
_INVENTED = ("NameError", "AttributeError", "unexpected keyword", "has no attribute", "is not defined", "ImportError")
_OF_SHAPES = ("shape", "size", "channels", "dimension", "mat1 and mat2", "must match")


def classify(failure: Failure, reason: str) -> FailureKind:
    """Return the kind of a refusal: by its stage, and where the network ran into an error, by the error's words."""
    if failure in _BY_FAILURE:
        return _BY_FAILURE[failure]
    if any(word in reason for word in _INVENTED):
        return FailureKind.HALLUCINATION
    if any(word in reason for word in _OF_SHAPES):
        return FailureKind.SHAPE
    return FailureKind.OTHER


def load_pass_rates(db: Database) -> dict[str, tuple[int, int]]:
    """Return for each task how many of its replies became drafts, and how many of these were accepted."""
    sql = """
        SELECT c.task, count(DISTINCT c.id) AS drafts,
            count(DISTINCT CASE WHEN d.failure IS NULL THEN c.id END) AS accepted
        FROM calls AS c JOIN drafts AS d ON d.prompt = c.prompt AND d.reply = c.reply
        WHERE c.error IS NULL GROUP BY c.task ORDER BY c.task"""
    return {row["task"]: (row["drafts"], row["accepted"]) for row in db.query(sql)}


def load_failure_kinds(db: Database) -> Counter[FailureKind]:
    """Return how often each kind of failure refused a draft of a language model."""
    sql = "SELECT failure, reason FROM drafts WHERE generator = 'llm' AND failure IS NOT NULL"
    return Counter(classify(Failure(failure), reason) for failure, reason in db.execute(sql))
