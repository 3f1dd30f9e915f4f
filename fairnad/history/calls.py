"""The calls of a language model in a history: what replay reads, and their sums for people. Asks no model."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from datetime import datetime

from sqlite_utils import Database

from fairnad.history import rows
from fairnad.history.database import Connection, insert
from fairnad.llm.base import Finish, Prompt, Reply, Service
from fairnad.llm.spend import Spent, guess_tokens

__all__ = ["CallJournal", "TaskCalls", "load_spent", "load_task_calls"]

_SUPERSEDED = "superseded: asked again with another prompt"
_REPLIED = "served = ? AND number = ? AND error IS NULL"


@dataclass(frozen=True, slots=True)
class TaskCalls:
    """The sums of the calls of one task (a prompt template). Tokens that nobody told count nothing."""

    task: str
    calls: int
    failed: int
    prompt_tokens: int
    reply_tokens: int
    cost: float
    latency_seconds: float
    """The median of the calls that were answered; 0 if none was."""


class CallJournal:
    """The `Journal` that is the table `calls` of a history. `model` is the name that new rows get.

    A call that failed is a row with its error; one that is asked again with another prompt leaves its old row, which
    was paid for, but is not replayed any more.
    """

    def __init__(self, connection: Connection, model: str) -> None:
        self._connection = connection
        self._model = model

    def recorded(self, service: Service, prompt: Prompt) -> Reply | None:
        """Return the reply that was recorded for this call, if its prompt was the same."""
        row = self._row(service)
        return _read_reply(row) if row is not None and row["prompt_hash"] == prompt.hash else None

    def recorded_hash(self, service: Service) -> str | None:
        """Return the hash of the prompt whose reply was recorded for this call, or None if there is none."""
        row = self._row(service)
        return row["prompt_hash"] if row is not None else None

    def record(self, service: Service, prompt: Prompt, reply: Reply | None, error: str = "") -> None:
        """Record a call, whose reply is None if none came; it is on the disk when this returns."""
        row = {**_call_row(service, prompt, reply, error), "model": self._model}
        self._connection.run(lambda db: _insert_call(db, row))

    def _row(self, service: Service) -> rows.Row | None:
        sql, values = f"SELECT * FROM calls WHERE {_REPLIED}", (service.served, service.number)
        return self._connection.run(lambda db: next(iter(db.query(sql, values)), None))


def load_task_calls(db: Database) -> tuple[TaskCalls, ...]:
    """Return the sums by task, the one with the most tokens first."""
    found: dict[str, list[rows.Row]] = {}
    for row in db.query("SELECT * FROM calls ORDER BY rowid"):
        found.setdefault(row["task"], []).append(row)
    sums = [_sum_of(task, calls) for task, calls in found.items()]
    return tuple(sorted(sums, key=lambda one: (-one.prompt_tokens - one.reply_tokens, one.task)))


def load_spent(db: Database) -> Spent:
    """Return what all calls took: where the sums of a resumed run begin. Tokens that nobody told are guessed."""
    tokens, cost, seconds, last = 0, 0.0, 0.0, 0.0
    for row in db.query(
        "SELECT *, length(prompt) AS asked, length(reply) AS answered FROM calls WHERE reply NOT NULL ORDER BY rowid"
    ):
        tokens += guess_tokens(row["asked"] or 0) if row["prompt_tokens"] is None else row["prompt_tokens"]
        tokens += guess_tokens(row["answered"]) if row["reply_tokens"] is None else row["reply_tokens"]
        cost += row["cost"] or 0.0
        # Calls side by side take the time of one; what was trained between two sessions of calls is not theirs.
        end = datetime.fromisoformat(row["created"]).timestamp()
        seconds += max(0.0, end - max(last, end - (row["latency_seconds"] or 0.0)))
        last = max(last, end)
    return Spent(tokens, cost, seconds)


def _insert_call(db: Database, row: rows.Row) -> None:
    if row["error"] is None:
        db.execute(f"UPDATE calls SET error = ? WHERE {_REPLIED}", (_SUPERSEDED, row["served"], row["number"]))
    insert(db, "calls", row)


def _call_row(service: Service, prompt: Prompt, reply: Reply | None, error: str) -> rows.Row:
    row: rows.Row = {
        "served": service.served,
        "number": service.number,
        "task": prompt.task,
        "template_hash": prompt.template_hash,
        "prompt_hash": prompt.hash,
        "prompt": prompt.text,
        "error": error if reply is None else None,
        "created": rows.now(),
    }
    if reply is None:
        return row
    return row | {
        "reply": reply.text,
        "finish": reply.finish.value,
        "prompt_tokens": reply.prompt_tokens,
        "reply_tokens": reply.reply_tokens,
        "latency_seconds": reply.latency_seconds,
        "cost": reply.cost,
    }


def _read_reply(row: rows.Row) -> Reply:
    names = ("prompt_tokens", "reply_tokens", "latency_seconds", "cost")
    return Reply(row["reply"], Finish(row["finish"]), **{name: row[name] for name in names})


def _sum_of(task: str, calls: list[rows.Row]) -> TaskCalls:
    answered = [row for row in calls if row["reply"] is not None]
    latencies = [row["latency_seconds"] for row in answered if row["latency_seconds"] is not None]
    return TaskCalls(
        task=task,
        calls=len(calls),
        failed=len(calls) - len(answered),
        prompt_tokens=sum(row["prompt_tokens"] or 0 for row in answered),
        reply_tokens=sum(row["reply_tokens"] or 0 for row in answered),
        cost=sum(row["cost"] or 0.0 for row in answered),
        latency_seconds=statistics.median(latencies) if latencies else 0.0,
    )
