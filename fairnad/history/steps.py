"""What happens inside one transaction of a history: each function runs on an open database, and commits nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlite_utils import Database

from fairnad.errors import HistoryError
from fairnad.history import rows
from fairnad.history.database import insert
from fairnad.history.rows import Evaluation, Run
from fairnad.history.schema import VERSION, check_version, migrate, schema_version
from fairnad.records import Child, Failed, FilledSlot, Idea, JudgedDraft, SlotKey, Trained

__all__ = [
    "SLOT_EMPTY",
    "Known",
    "check_readable",
    "end_attempt",
    "find",
    "has_base",
    "insert_evaluation",
    "insert_slot",
    "is_outdated",
    "load_evaluations",
    "load_known",
    "load_run",
    "load_slot",
    "load_used_ideas",
    "start",
    "take_over",
]

SLOT_EMPTY = "slot_empty"
"""The event of a slot that stays empty; its data holds what the row of a child would."""

_DRAFTS = "drafts AS d JOIN sources AS s ON s.hash = d.source"
_CUT_SHORT = "history.db holds no run: its start was cut short; start the run again"
_AT_PLACE = "generation = ? AND stage = ? AND slot = ?"


@dataclass(frozen=True, slots=True)
class Decided:
    """When a place of the plan was decided, and what the decision could see; see `FilledSlot`."""

    decided: int
    seen: int
    known: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Known:
    """The part of a history that a search asks for at every step."""

    children: tuple[Child, ...]
    slots: frozenset[SlotKey]


def start(db: Database, run_row: rows.Row) -> None:
    """Make the tables and the row of the run.

    Raises:
        HistoryError: there is a run already.
    """
    migrate(db)
    existing = db.execute("SELECT name FROM runs").fetchone()
    if existing is not None:
        raise HistoryError(f"run {existing[0]!r} exists already; resume it, or choose another name")
    insert(db, "runs", run_row)


def take_over(db: Database) -> None:
    """Bring the tables up to date, and end the attempts of a writer that is gone."""
    migrate(db)
    db.execute("UPDATE attempts SET state = 'abandoned' WHERE state = 'running'")


def is_outdated(db: Database) -> bool:
    """Return whether the tables are of an older version, which can be brought up to date."""
    return 0 < schema_version(db) < VERSION


def check_readable(db: Database) -> None:
    """Raise HistoryError if the tables are not those that this version reads."""
    check_version(db)
    if schema_version(db) == 0:
        raise HistoryError(_CUT_SHORT)


def has_base(db: Database, path: Path) -> bool:
    """Return whether the start of the run in the file `path` came to its end: it records the base last.

    Raises:
        HistoryError: the tables are another program's.
    """
    tables = db.table_names()
    if tables and "children" not in tables:
        raise HistoryError(f"{path} is no history of FairNAD: it holds the table {tables[0]}; name another run")
    return bool(tables) and db.execute("SELECT 1 FROM children").fetchone() is not None


def load_run(db: Database) -> Run:
    """Return what the run was started with."""
    row = next(iter(db.query("SELECT * FROM runs")), None)
    if row is None:
        raise HistoryError(_CUT_SHORT)
    return rows.read_run(row)


def load_known(db: Database) -> Known:
    """Return all children in the order of their ids, and the places of the plan that are done."""
    outcomes: dict[int, Trained | Failed] = {}
    for child_id, evaluation in load_evaluations(db, "purpose = 'search'"):
        if not isinstance(outcomes.get(child_id), Trained):
            outcomes[child_id] = evaluation.outcome
    ideas = _load_ideas(db)
    found = db.query(
        "SELECT c.*, s.text, d.idea, d.params, d.flops, d.graph_hash, d.step_seconds, d.step_batch, d.activations"
        f" FROM {_DRAFTS} JOIN children AS c ON c.draft = d.id ORDER BY c.id"
    )
    children = tuple(rows.read_child(row, ideas, outcomes.get(row["id"])) for row in found)
    slots = {child.key for child in children} | {rows.read_key(row) for row in _empty_slots(db)}
    return Known(children, frozenset(slots))


def load_slot(db: Database, key: SlotKey) -> FilledSlot | None:
    """Return all that was recorded for one place of the plan, or None if it is not done."""
    place = (key.generation, key.stage.value, key.slot)
    filled = list(db.query(f"SELECT * FROM children WHERE {_AT_PLACE}", place))
    slot = next(iter(filled or [row for row in _empty_slots(db) if rows.read_key(row) == key]), None)
    if slot is None:
        return None
    ideas = _load_ideas(db)
    found = list(db.query(f"SELECT d.*, s.text FROM {_DRAFTS} WHERE {_AT_PLACE} ORDER BY d.id", place))
    drafts = tuple(rows.read_draft(row, ideas) for row in found)
    chosen = [row["id"] for row in found].index(slot["draft"]) if filled else None
    known = tuple(json.loads(slot["known"]))
    return FilledSlot(key, slot["parent"], slot["refines"], drafts, chosen, known, slot["decided"], slot["seen"])


def load_decisions(db: Database) -> dict[SlotKey, Decided]:
    """Return what the places of the plan were decided by, the base left out, in the order recorded."""
    last = "SELECT generation, stage, slot, max(id) AS last FROM drafts GROUP BY generation, stage, slot"
    order = {rows.read_key(row): row["last"] for row in db.query(last)}
    found = [*db.query("SELECT * FROM children WHERE id != 0"), *_empty_slots(db)]
    found.sort(key=lambda row: order[rows.read_key(row)])
    return {rows.read_key(row): Decided(row["decided"], row["seen"], tuple(json.loads(row["known"]))) for row in found}


def load_used_ideas(db: Database, seen: int | None) -> dict[int, frozenset[str]]:
    """Return the ids of the ideas that each child was mutated by.

    Of later drafts than `seen` only the first of each place counts, which its decision named. Those of Stage III,
    which has ideas of its own, are left out: while a place is under way they are not known.
    """
    used: dict[int, set[str]] = {}
    sql = """
        SELECT parent, idea FROM drafts WHERE parent IS NOT NULL AND idea IS NOT NULL
            AND (:seen IS NULL OR id <= :seen OR (attempt = 0 AND rewrite = 0 AND target IS NOT NULL))"""
    for parent, idea in db.execute(sql, {"seen": seen}):
        used.setdefault(parent, set()).add(idea)
    return {parent: frozenset(ideas) for parent, ideas in used.items()}


def load_graph_hashes(db: Database, seen: int) -> frozenset[str]:
    """Return the hashes of the graphs of the children among the first `seen` drafts."""
    sql = "SELECT d.graph_hash FROM children AS c JOIN drafts AS d ON d.id = c.draft WHERE d.id <= ?"
    return frozenset(row[0] for row in db.execute(sql, (seen,)))


def load_evaluations(db: Database, where: str, values: Sequence[object] = ()) -> list[tuple[int, Evaluation]]:
    """Return child id and evaluation of the rows that SQL `where` selects, in the order recorded."""
    found = db.query(f"SELECT * FROM evaluations WHERE {where} ORDER BY id", values)
    return [(row["child"], rows.read_evaluation(row)) for row in found]


def find(children: tuple[Child, ...], child_id: int) -> Child:
    """Return the child of that id.

    Raises:
        HistoryError: there is none.
    """
    if not 0 <= child_id < len(children):
        raise HistoryError(f"there is no child {child_id}; the history holds {len(children)}, numbered from 0")
    return children[child_id]


def insert_slot(db: Database, filled: FilledSlot, known: Known) -> Child | None:
    """Insert ideas, sources, drafts and the child of one place of the plan, or the event that it stays empty.

    Raises:
        HistoryError: the slot is recorded already, names a child that does not exist, or chose a refused draft.
    """
    if filled.key in known.slots:
        raise HistoryError(f"{filled.key} is recorded already; record each place of the plan once")
    for child_id in (filled.parent, filled.refines):
        if child_id is not None:
            find(known.children, child_id)
    drafts = [_insert_draft(db, filled, judged) for judged in filled.drafts]
    row = rows.slot_row(filled)
    if filled.chosen is None:
        insert(db, "events", rows.event_row(SLOT_EMPTY, row))
        return None
    child = _chosen_child(filled, filled.chosen, child_id=len(known.children))
    insert(db, "children", {"id": child.id, "draft": drafts[filled.chosen], **row, "created": rows.now()})
    return child


def insert_evaluation(db: Database, child: Child, evaluation: Evaluation) -> None:
    """Insert one evaluation, in place of one that failed; its attempt stays.

    Raises:
        HistoryError: the child has one of this purpose and seed already.
    """
    key = (child.id, evaluation.purpose, evaluation.seed)
    same = "FROM evaluations WHERE child = ? AND purpose = ? AND seed = ?"
    db.execute(f"DELETE {same} AND failure IS NOT NULL", key)
    if db.execute(f"SELECT 1 {same}", key).fetchone() is not None:
        raise HistoryError(
            f"child {child.id}: its evaluation of purpose {evaluation.purpose!r} with seed {evaluation.seed} "
            "is recorded already; record each once"
        )
    insert(db, "evaluations", rows.evaluation_row(child.id, evaluation))


def end_attempt(db: Database, attempt: int, state: str, at: float) -> None:
    """Move an attempt from running to `state`.

    Raises:
        HistoryError: it is not running.
    """
    sql = "UPDATE attempts SET state = ?, ended = ? WHERE id = ? AND state = 'running'"
    if db.execute(sql, (state, at, attempt)).rowcount != 1:
        raise HistoryError(f"attempt {attempt} is not under way; only a running one can end")


def _insert_draft(db: Database, filled: FilledSlot, judged: JudgedDraft) -> int:
    if judged.draft.idea is not None:
        _insert_idea(db, judged.draft.idea)
    row = rows.draft_row(filled, judged)
    if db.execute("SELECT 1 FROM sources WHERE hash = ?", (row["source"],)).fetchone() is None:
        insert(db, "sources", {"hash": row["source"], "text": judged.draft.source})
    return insert(db, "drafts", row)


def _insert_idea(db: Database, idea: Idea) -> None:
    known = db.execute("SELECT text FROM ideas WHERE id = ?", (idea.id,)).fetchone()
    if known is None:
        insert(db, "ideas", rows.idea_row(idea))
    elif known[0] != idea.text:
        raise HistoryError(f"idea {idea.id!r} is in the history with another text; give the new idea an id of its own")


def _chosen_child(filled: FilledSlot, chosen: int, *, child_id: int) -> Child:
    judged = filled.drafts[chosen]
    draft, verdict = judged.draft, judged.verdict
    if not verdict.is_accepted or verdict.costs is None or verdict.graph_hash is None:
        raise HistoryError(f"{filled.key}: draft {chosen} was refused; only an accepted draft becomes a child")
    return Child(
        id=child_id,
        key=filled.key,
        parent=filled.parent,
        refines=filled.refines,
        idea=draft.idea,
        source=draft.source,
        costs=verdict.costs,
        graph_hash=verdict.graph_hash,
        step_seconds=verdict.step_seconds,
        step_batch=verdict.step_batch,
        activations=verdict.graph.activations if verdict.graph is not None else None,
    )


def _load_ideas(db: Database) -> dict[str, Idea]:
    return {row["id"]: rows.read_idea(row) for row in db.query("SELECT * FROM ideas")}


def _empty_slots(db: Database) -> list[rows.Row]:
    found = db.query("SELECT data FROM events WHERE kind = ? ORDER BY id", (SLOT_EMPTY,))
    return [json.loads(row["data"]) for row in found]
