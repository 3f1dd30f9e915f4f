"""What of a history does not depend on time or machine: what a search that is run again must arrive at."""

from __future__ import annotations

import json
from typing import Any

from sqlite_utils import Database

from fairnad.history.steps import SLOT_EMPTY

__all__ = ["load_content"]

_TABLES = {
    "children": "SELECT * FROM children ORDER BY id",
    "drafts": "SELECT * FROM drafts ORDER BY id",
    "ideas": "SELECT * FROM ideas ORDER BY id",
    "evaluations": "SELECT * FROM evaluations ORDER BY child, purpose, seed",
    "events": f"SELECT kind, data FROM events WHERE kind = '{SLOT_EMPTY}' ORDER BY id",
}
"""Tables in an order of their own. Evaluations are recorded as they end, so their ids are left out."""

_TIMES = {"created", "seconds", "step_seconds", "images_per_second", "peak_memory_bytes"}


def load_content(db: Database) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of each table. Decisions are counted without those that a stop kept from being recorded."""
    left_out = {"evaluations": _TIMES | {"id"}}
    content = {
        table: [
            {name: value for name, value in row.items() if name not in left_out.get(table, _TIMES)}
            for row in db.query(sql)
        ]
        for table, sql in _TABLES.items()
    }
    for event in content["events"]:
        event["data"] = json.loads(event["data"])
    decisions = [*content["children"], *(event["data"] for event in content["events"])]
    ranks = {number: rank for rank, number in enumerate(sorted({decision["decided"] for decision in decisions}))}
    for decision in decisions:
        decision["decided"] = ranks[decision["decided"]]
    return content
