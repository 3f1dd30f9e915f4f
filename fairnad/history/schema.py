"""The tables and views of `history.db`, and the steps that bring an older file up to date. Reads and writes no rows.

Times called `created` are UTC in ISO 8601; `started` and `ended` are seconds since the epoch. Lists are JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sqlite_utils import Database

from fairnad import __version__
from fairnad.errors import HistoryError

__all__ = ["MIGRATIONS", "TABLES", "VERSION", "check_version", "migrate", "schema_version"]

_PLACE = {"generation": int, "stage": str, "slot": int}

_TABLES: dict[str, Mapping[str, type]] = {
    "runs": {"id": int, "name": str, "config": str, "seed": int, "dataset": str, "state": str, "created": str}
    | {"fairnad_version": str, "python_version": str, "torch_version": str},
    "ideas": {"id": str, "text": str, "kind": str, "target": str, "granularity": str, "main": str, "sub": str}
    | {"sources": str},
    "sources": {"hash": str, "text": str},
    "drafts": {"id": int, **_PLACE, "attempt": int, "rewrite": int, "generator": str, "idea": str, "target": str}
    | {"parent": int, "refines": int, "source": str, "note": str, "prompt": str, "reply": str}
    | {"failure": str, "reason": str, "details": str, "params": int, "flops": int, "graph_hash": str, "graph": str}
    | {"is_dynamic": int, "dead_parameters": str, "warnings": str, "step_seconds": float, "step_batch": int}
    | {"seconds": float, "created": str},
    "children": {"id": int, "draft": int, **_PLACE, "parent": int, "refines": int, "known": str, "created": str},
    "evaluations": {"id": int, "child": int, "purpose": str, "split": str, "epochs": int, "seed": int}
    | {"fidelity": float, "init": str, "weights": str, "accuracy": float, "failure": str, "reason": str}
    | {"details": str, "losses": str, "seconds": float, "images_per_second": float, "peak_memory_bytes": int}
    | {"created": str},
    "attempts": {"id": int, "child": int, "state": str, "device": str, "started": float, "ended": float},
    "calls": {"id": int, "draft": int, "task": str, "template_hash": str, "prompt": str, "reply": str}
    | {"prompt_tokens": int, "reply_tokens": int, "latency_seconds": float, "cost": float, "finish_reason": str}
    | {"created": str},
    "events": {"id": int, "kind": str, "data": str, "created": str},
}

TABLES = frozenset(_TABLES)
"""The names of all tables."""

_NOT_NULL: dict[str, tuple[str, ...]] = {
    "runs": ("name", "config", "seed", "dataset", "state"),
    "ideas": ("text", "kind"),
    "sources": ("text",),
    "drafts": (*_PLACE, "attempt", "rewrite", "generator", "source"),
    "children": ("draft", *_PLACE),
    "evaluations": ("child", "purpose", "seed"),
    "attempts": ("child", "state", "started"),
    "calls": ("task",),
    "events": ("kind", "data"),
}

_FOREIGN_KEYS = (
    ("drafts", "idea", "ideas", "id"),
    ("drafts", "parent", "children", "id"),
    ("drafts", "refines", "children", "id"),
    ("drafts", "source", "sources", "hash"),
    ("children", "draft", "drafts", "id"),
    ("children", "parent", "children", "id"),
    ("children", "refines", "children", "id"),
    ("evaluations", "child", "children", "id"),
    ("attempts", "child", "children", "id"),
    ("calls", "draft", "drafts", "id"),
)

_SEARCHED = "evaluations AS e ON e.child = c.id AND e.purpose = 'search' AND e.accuracy IS NOT NULL"

_VIEWS = {
    "leaderboard": f"""
        SELECT row_number() OVER (ORDER BY e.accuracy DESC, d.flops, c.id) AS rank, c.id AS child,
            round(e.accuracy, 6) AS accuracy, d.params, d.flops, c.stage, c.generation, c.parent,
            i.text AS idea, d.note
        FROM children AS c JOIN drafts AS d ON d.id = c.draft JOIN {_SEARCHED} LEFT JOIN ideas AS i ON i.id = d.idea
        ORDER BY e.accuracy DESC, d.flops, c.id""",
    "lineage": f"""
        SELECT c.id AS child, c.parent, c.refines, c.stage, c.generation, c.slot, round(e.accuracy, 6) AS accuracy,
            round(e.accuracy - (SELECT p.accuracy FROM evaluations AS p
                WHERE p.child = c.parent AND p.purpose = 'search'), 6) AS gain,
            d.params, d.flops, i.main AS category, i.text AS idea
        FROM children AS c JOIN drafts AS d ON d.id = c.draft LEFT JOIN {_SEARCHED}
            LEFT JOIN ideas AS i ON i.id = d.idea
        ORDER BY c.id""",
    "pareto": """
        SELECT a.child, a.accuracy, a.params, a.flops, a.stage, a.generation, a.parent, a.idea FROM leaderboard AS a
        WHERE NOT EXISTS (
            SELECT 1 FROM leaderboard AS b
            WHERE b.accuracy >= a.accuracy AND b.params <= a.params AND b.flops <= a.flops
                AND (b.accuracy > a.accuracy OR b.params < a.params OR b.flops < a.flops))
        ORDER BY a.rank""",
    "idea_effect": """
        SELECT coalesce(i.main, i.kind) AS category, count(*) AS children, round(avg(l.gain), 4) AS mean_gain,
            sum(l.gain > 0) AS wins
        FROM lineage AS l JOIN children AS c ON c.id = l.child JOIN drafts AS d ON d.id = c.draft
            JOIN ideas AS i ON i.id = d.idea
        WHERE l.gain IS NOT NULL
        GROUP BY category ORDER BY mean_gain DESC, category""",
    "rejections": """
        SELECT failure, count(*) AS drafts, round(1.0 * count(*) / (SELECT count(*) FROM drafts), 4) AS share_of_drafts
        FROM drafts WHERE failure IS NOT NULL GROUP BY failure ORDER BY drafts DESC, failure""",
}


def _create_tables(db: Database) -> None:
    for name, columns in _TABLES.items():
        db.create_table(name, dict(columns), pk=next(iter(columns)), not_null=_NOT_NULL[name])
    # Afterwards, because drafts and children point at each other.
    db.add_foreign_keys(_FOREIGN_KEYS)
    db.table("drafts").create_index(list(_PLACE))
    db.table("children").create_index(list(_PLACE), unique=True)
    db.table("evaluations").create_index(["child", "purpose", "seed"], unique=True)


def _note_what_was_seen(db: Database) -> None:
    db.table("drafts").add_column("activations", int)
    for name in ("decided", "seen"):
        db.table("children").add_column(name, int, not_null_default=0)


def _journal_calls(db: Database) -> None:
    """Name each call by what it is for; only one of a name has a reply that is still good (`error` is NULL)."""
    calls = db.table("calls")
    calls.transform(rename={"finish_reason": "finish"}, drop={"draft"}, drop_foreign_keys=["draft"])
    for name, kind in {"served": str, "number": int, "prompt_hash": str, "error": str, "model": str}.items():
        calls.add_column(name, kind)
    db.execute("CREATE UNIQUE INDEX idx_calls_served_number ON calls (served, number) WHERE error IS NULL")


def _tell_accuracies_apart(db: Database) -> None:
    """Change views alone: four decimals made networks equal that one of 25,000 images tells apart."""


MIGRATIONS: tuple[Callable[[Database], None], ...] = (
    _create_tables,
    _note_what_was_seen,
    _journal_calls,
    _tell_accuracies_apart,
)
"""Step n brings a file of version n to version n + 1. Steps are added, never changed; a new view takes one too."""

VERSION = len(MIGRATIONS)


def migrate(db: Database, steps: Sequence[Callable[[Database], None]] = MIGRATIONS) -> None:
    """Bring the tables and views of `db` to the version of `steps`, inside the transaction of the caller.

    Raises:
        HistoryError: `db` is of a newer version.
    """
    found = schema_version(db)
    check_version(db, known=len(steps))
    if found == len(steps):
        return
    for step in steps[found:]:
        step(db)
    for name, sql in _VIEWS.items():
        db.create_view(name, sql.strip(), replace=True)
    db.execute(f"PRAGMA user_version = {len(steps)}")


def schema_version(db: Database) -> int:
    """Return the version of the tables of `db`; 0 is a file without any."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def check_version(db: Database, known: int = VERSION) -> None:
    """Raise HistoryError if `db` is of a newer version than `known`."""
    found = schema_version(db)
    if found > known:
        raise HistoryError(
            f"the history has schema version {found}, but FairNAD {__version__} knows versions up to {known}; "
            "upgrade FairNAD (pip install --upgrade fairnad)"
        )
