"""A writer that is killed at any moment leaves whole records, and all that it was told were recorded."""

from __future__ import annotations

import sqlite3
import time

from fairnad.history import History
from tests.history.samples import CREATE, base_slot, child_slot, start_python

WRITE = """
import sys
from pathlib import Path
from fairnad.history import History
from tests.history.samples import child_slot, trained
with History.open(Path(sys.argv[1]), write=True) as history:
    for child in history.children():
        if child.outcome is None:
            history.record_outcome(child.id, trained())
    while True:
        child = history.record_slot(child_slot(len(history.children())))
        attempt = history.attempt_started(child.id, "slot 0")
        history.record_outcome(child.id, trained(), attempt=attempt)
        print(child.id, flush=True)
"""


def test_kill_in_mid_stream_leaves_no_half_rows(tmp_path):
    with History.create(tmp_path, **CREATE) as history:
        history.record_slot(base_slot())
    for delay in (0.0, 0.004, 0.03, 0.11):
        last = kill_after(tmp_path, delay)
        with History.open(tmp_path) as history:
            children = history.children()
            assert [child.id for child in children] == list(range(len(children)))
            assert all(child.outcome is not None for child in children[: last + 1])
            assert len(children) in (last + 1, last + 2)
            assert all(history.slot(child.key) == child_slot(child.id) for child in children[1:])
            check_rows(tmp_path, len(children))


def kill_after(folder, delay):
    """Kill a writer `delay` seconds after it recorded its first child; return the last id that it printed."""
    process = start_python(WRITE, folder)
    first = process.stdout.readline()
    time.sleep(delay)
    process.kill()
    rest, errors = process.communicate(timeout=10)
    assert not errors
    return int((first + rest).rpartition("\n")[0].split()[-1])


def check_rows(folder, num_children):
    connection = sqlite3.connect(folder / "history.db")
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        drafts = connection.execute("SELECT count(*) FROM drafts").fetchone()[0]
        assert drafts == 1 + 2 * (num_children - 1)
    finally:
        connection.close()
