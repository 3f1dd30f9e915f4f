"""The lock of a run folder: one process writes a history at a time. Readers take no lock."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from fairnad.errors import HistoryError, name_of

__all__ = ["LOCK", "locked", "standing", "writer_of"]

LOCK = "lock"
"""The file in the folder."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the exclusive lock on `folder`; the file names the process, and the lock dies with it.

    Raises:
        HistoryError: another process holds it, or the folder cannot be written.
    """
    path = folder / LOCK
    try:
        file = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise HistoryError(f"{path}: {error.strerror}; check that the folder can be written") from error
    with file:
        _take(file, folder)
        yield
        # Removing the file instead would let two later processes lock two files of one name.
        file.truncate(0)


def writer_of(folder: Path) -> int | None:
    """Return the id of the process that writes the run in `folder`, or None. For people; a lock it is not."""
    pid = _process_id(folder / LOCK)
    if pid is None:
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        return pid
    return pid


def standing(folder: Path, state: str) -> str:
    """Return how the run in `folder` stands whose history says `state`: a run that was killed cannot say so itself."""
    if state == "finished":
        return state
    pid = writer_of(folder)
    if state == "running" and pid is not None:
        return f"running (process {pid})"
    return f"stopped before its end; `fairnad resume {name_of(folder)}` goes on"


def _take(file: TextIO, folder: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = _process_id(folder / LOCK)
        who = f"process {holder}" if holder is not None else "another process"
        raise HistoryError(f"run {folder.name!r} is in use by {who}; wait for it, or stop it") from error
    except OSError as error:
        raise HistoryError(f"{file.name}: {error.strerror}; keep runs on a disk that knows file locks") from error
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()


def _process_id(path: Path) -> int | None:
    text = path.read_text(encoding="utf-8").strip() if path.exists() else ""
    return int(text) if text.isdecimal() else None
