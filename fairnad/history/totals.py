"""The sums of a run, for people: children, drafts, time and spend. Reads only."""

from __future__ import annotations

from dataclasses import dataclass

from sqlite_utils import Database

from fairnad.history.steps import SLOT_EMPTY
from fairnad.records import Failure

__all__ = ["Totals", "load_rejections", "load_totals"]


@dataclass(frozen=True, slots=True)
class Totals:
    """The sums of a run; the base is not among them. Trainings are those of purpose "search", unless they say so."""

    children: int
    empty_slots: int
    drafts: int
    refused: int
    verification_seconds: float
    trained: int
    failed: int
    training_seconds: float
    rechecks: int
    """Trainings of purpose "recheck", failed ones included: the budget paid for them."""
    slot_seconds: float
    """Time that trainings of any purpose held their slots; only those that came to an end count."""
    calls: int
    tokens: int
    cost: float


_MADE = "child IN (SELECT id FROM children WHERE stage != 'base')"

_TOTALS = f"""
    SELECT c.*, d.*, e.*, r.*, a.*, l.* FROM
        (SELECT (SELECT count(*) FROM children WHERE stage != 'base') AS children,
            (SELECT count(*) FROM events WHERE kind = '{SLOT_EMPTY}') AS empty_slots) AS c,
        (SELECT count(*) AS drafts, count(failure) AS refused, total(seconds) AS verification_seconds
            FROM drafts WHERE stage != 'base') AS d,
        (SELECT count(accuracy) AS trained, count(failure) AS failed, total(seconds) AS training_seconds
            FROM evaluations WHERE purpose = 'search' AND {_MADE}) AS e,
        (SELECT count(*) AS rechecks FROM evaluations WHERE purpose = 'recheck') AS r,
        (SELECT total(ended - started) AS slot_seconds FROM attempts WHERE {_MADE}) AS a,
        (SELECT count(*) AS calls, total(cost) AS cost,
            coalesce(sum(coalesce(prompt_tokens, 0) + coalesce(reply_tokens, 0)), 0) AS tokens FROM calls) AS l"""


def load_totals(db: Database) -> Totals:
    """Return the sums of the run."""
    return Totals(**next(iter(db.query(_TOTALS))))


def load_rejections(db: Database) -> dict[Failure, int]:
    """Return the number of refused drafts by stage of failure, the most frequent first."""
    return {Failure(row["failure"]): row["drafts"] for row in db.query("SELECT failure, drafts FROM rejections")}
