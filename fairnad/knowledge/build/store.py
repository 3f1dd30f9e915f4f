"""`knowledge.db`: the papers of a build, one row for each step that was done, and every LLM call. Takes no decision.

Nothing in it depends on which call ended first, times apart: a build that was killed goes on to the same rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from fairnad import __version__
from fairnad.errors import KnowledgeError
from fairnad.history.calls import CallJournal, load_spent
from fairnad.history.database import Database, Writer, insert
from fairnad.history.lock import LOCK, locked
from fairnad.history.rows import now
from fairnad.knowledge.build.steps import Result, Step, dump_result, read_result
from fairnad.llm.spend import Spent

__all__ = ["DATABASE", "KnownPaper", "StepRow", "Store"]

DATABASE = "knowledge.db"
_LOG = "log.jsonl"  # which appears beside it

_VERSION = 1
_TABLES: dict[str, Mapping[str, type]] = {
    "papers": {"sha256": str, "file": str, "title": str, "authors": str, "warnings": str, "error": str}
    | {"fairnad_version": str, "created": str},
    "steps": {"paper": str, "step": str, "version": str, "result": str, "created": str},
    # As the history has it, but without numbers, which would tell which call ended first.
    "calls": {"served": str, "number": int, "task": str, "template_hash": str, "prompt_hash": str, "prompt": str}
    | {"reply": str, "finish": str, "prompt_tokens": int, "reply_tokens": int, "latency_seconds": float}
    | {"cost": float, "error": str, "model": str, "created": str},
}
_KEYS = {"papers": "sha256", "steps": ("paper", "step", "version"), "calls": None}


@dataclass(frozen=True, slots=True)
class KnownPaper:
    """What is kept of a file that was looked at: who wrote it, or why it cannot be read (`error`)."""

    sha256: str
    file: str
    title: str = ""
    authors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class StepRow:
    """A step that was done. `version` is a hash of all that decides its result, the paper apart."""

    paper: str
    step: Step
    version: str
    result: Result


class Store:
    """The database in `folder`, which is made where it is missing; one process at a time. A context manager.

    Raises:
        HistoryError: another process uses it, or it cannot be written.
        KnowledgeError: it is of another version of FairNAD.
    """

    def __init__(self, folder: Path) -> None:
        self._stack = ExitStack()
        places = () if (folder / DATABASE).exists() else (folder / DATABASE, folder / LOCK, folder / _LOG, folder)
        self._made = [path for path in places if not path.exists()]
        self._is_discarded = False
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise KnowledgeError(f"{folder}: the folder cannot be made: {error.strerror}") from error
        with self._stack:
            self._stack.enter_context(locked(folder))
            self._writer = Writer(folder / DATABASE)
            self._stack.callback(self._writer.close)
            self._writer.run(_create)
            self._stack = self._stack.pop_all()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        if self._is_discarded:
            for path in self._made:
                with suppress(OSError):  # such as a folder that somebody put a file in meanwhile
                    (path.rmdir if path.is_dir() else path.unlink)()

    def discard(self) -> bool:
        """Have all that was made here removed at the end, unless replies were paid for; return whether it will be."""
        self._is_discarded = bool(self._made) and not self.spent().tokens
        return self._is_discarded

    def papers(self) -> dict[str, KnownPaper]:
        """Return the papers that were read, by hash; those that an older version could not read are not among them."""
        sql = "SELECT * FROM papers WHERE error = '' OR fairnad_version = ?"
        found = self._writer.run(lambda db: list(db.query(sql, [__version__])))
        return {row["sha256"]: _read_paper(row) for row in found}

    def results(self, step: Step, version: str) -> dict[str, Result]:
        """Return what `step` said of each paper, by hash."""
        sql = "SELECT paper, result FROM steps WHERE step = ? AND version = ?"
        found = self._writer.run(lambda db: list(db.query(sql, [step.value, version])))
        return {row["paper"]: read_result(step, row["result"]) for row in found}

    def record(self, papers: Sequence[KnownPaper], steps: Sequence[StepRow]) -> None:
        """Record papers that were read and steps that were done, in one transaction."""

        def write(db: Database) -> None:
            for paper in papers:
                db.execute("DELETE FROM papers WHERE sha256 = ?", [paper.sha256])
                insert(db, "papers", _paper_row(paper))
            for one in steps:
                insert(db, "steps", _step_row(one))

        self._writer.run(write)

    def journal(self, model: str) -> CallJournal:
        """Return the journal of the calls of `model`."""
        return CallJournal(self._writer, model)

    def spent(self) -> Spent:
        """Return what all calls took so far, in all sessions."""
        return self._writer.run(load_spent)


def _create(db: Database) -> None:
    found = int(db.execute("PRAGMA user_version").fetchone()[0])
    if found > _VERSION:
        raise KnowledgeError(f"{DATABASE} is of a newer version of FairNAD; upgrade it, or build into a new folder")
    if found == _VERSION:
        return
    if db.table_names():
        raise KnowledgeError(f"{DATABASE} is no database of a build; build into a new folder")
    for name, columns in _TABLES.items():
        db.create_table(name, dict(columns), pk=_KEYS[name])
    db.execute("CREATE UNIQUE INDEX idx_calls_served_number ON calls (served, number) WHERE error IS NULL")
    db.execute(f"PRAGMA user_version = {_VERSION}")


def _paper_row(paper: KnownPaper) -> dict[str, object]:
    lists = {name: json.dumps(getattr(paper, name), ensure_ascii=False) for name in ("authors", "warnings")}
    plain = {name: getattr(paper, name) for name in ("sha256", "file", "title", "error")}
    return {**plain, **lists, "fairnad_version": __version__, "created": now()}


def _read_paper(row: Mapping[str, str]) -> KnownPaper:
    return KnownPaper(
        sha256=row["sha256"],
        file=row["file"],
        title=row["title"],
        authors=tuple(json.loads(row["authors"])),
        warnings=tuple(json.loads(row["warnings"])),
        error=row["error"],
    )


def _step_row(row: StepRow) -> dict[str, object]:
    key = {"paper": row.paper, "step": row.step.value, "version": row.version}
    return {**key, "result": dump_result(row.result), "created": now()}
