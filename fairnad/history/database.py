"""Connections to `history.db`: one writer thread that owns one connection, and readers that open their own.

Every step is one transaction; an error of SQLite leaves it whole and becomes a HistoryError. Knows no records.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

from sqlite_utils import Database

from fairnad.errors import HistoryError

__all__ = ["Connection", "Database", "Reader", "Writer", "insert"]

_T = TypeVar("_T")

_BUSY_SECONDS = 30.0

_ADVICE = {
    "constraint failed": "the record names a row that is not there, or was recorded before; nothing of it was kept",
    "readonly": "open the run for writing, and check the permissions of the file and its folder",
    "unable to open": "check that the folder exists and that you may read and write it",
    "full": "free some space on that disk; everything recorded before is safe",
    "disk I/O": "check the disk and its free space; everything recorded before is safe",
    "locked": "another program holds the file open for writing; close it and try again",
    "not a database": "the file is no history of FairNAD; choose another run folder",
    "malformed": "the file is damaged; put back a copy of it",
}


class Connection(Protocol):
    """Where the steps of a history run."""

    def run(self, step: Callable[[Database], _T], *, then: Callable[[_T], None] | None = None) -> _T:
        """Return what `step` returns, run in one transaction; `then` sees it after the commit.

        Raises:
            HistoryError: the database refused; nothing of the step was kept.
        """

    def close(self) -> None:
        """Close what is open; the connection cannot be used afterwards."""


class Writer:
    """The one connection that writes, in a thread of its own: steps run one after the other, from any thread.

    A step is on the disk when `run` returns. `path` None is a database in memory.
    """

    def __init__(self, path: Path | None) -> None:
        self._place = str(path) if path is not None else "the history in memory"
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="history")
        try:
            self._db = self._thread.submit(self._open, path).result()
        except HistoryError:
            self._thread.shutdown()
            raise

    def run(self, step: Callable[[Database], _T], *, then: Callable[[_T], None] | None = None) -> _T:
        """Return what `step` returns; see `Connection`."""
        return self._thread.submit(self._transact, step, then).result()

    def close(self) -> None:
        """Wait for the steps under way and close the connection."""
        self._thread.submit(self._db.close).result()
        self._thread.shutdown()

    def _open(self, path: Path | None) -> Database:
        with _explained(self._place):
            return _connect(str(path) if path is not None else ":memory:", "PRAGMA journal_mode = WAL")

    def _transact(self, step: Callable[[Database], _T], then: Callable[[_T], None] | None) -> _T:
        with _explained(self._place), self._db.atomic():
            result = step(self._db)
        if then is not None:
            then(result)
        return result


class Reader:
    """Reads beside a writer in another process: every step opens a connection and sees one snapshot."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def run(self, step: Callable[[Database], _T], *, then: Callable[[_T], None] | None = None) -> _T:
        """Return what `step` returns; see `Connection`."""
        with _explained(str(self._path)):
            db = _connect(f"{self._path.absolute().as_uri()}?{self._mode()}", "PRAGMA query_only = ON")
            try:
                with db.atomic():
                    result = step(db)
            finally:
                db.close()
        if then is not None:
            then(result)
        return result

    def close(self) -> None:
        """Nothing stays open between steps."""

    def _mode(self) -> str:
        # SQLite cannot read a WAL database in a folder where it may not make its -shm file, unless told
        # that nobody writes: an archived run.
        is_archived = not os.access(self._path.parent, os.W_OK) and not Path(f"{self._path}-wal").exists()
        return "mode=ro&immutable=1" if is_archived else "mode=ro"


def insert(db: Database, table: str, row: dict[str, object]) -> int:
    """Insert `row` into `table` and return its row id."""
    # What a generator wrote may hold lone surrogates, which are no UTF-8.
    values = {name: _encodable(value) if isinstance(value, str) else value for name, value in row.items()}
    return int(db.table(table).insert(values).last_rowid or 0)


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def _connect(place: str, pragma: str) -> Database:
    # Transactions begin and end where `atomic` says, never behind our back.
    connection = sqlite3.connect(place, timeout=_BUSY_SECONDS, isolation_level=None, uri=place.startswith("file:"))
    try:
        for line in (pragma, "PRAGMA synchronous = FULL", "PRAGMA foreign_keys = ON"):
            connection.execute(line)
        return Database(connection, execute_plugins=False)
    except sqlite3.Error:
        connection.close()
        raise


@contextmanager
def _explained(place: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        advice = next(
            (advice for part, advice in _ADVICE.items() if part in str(error)), "nothing was kept of the step"
        )
        raise HistoryError(f"{place}: {error}; {advice}") from error
