from __future__ import annotations

import os

import pytest

from fairnad.errors import HistoryError
from fairnad.history import History, standing, writer_of
from tests.history.samples import CREATE, child_slot, start_python

HOLD = """
import sys
from pathlib import Path
from fairnad.history import History
from tests.history.samples import CREATE, base_slot
with History.create(Path(sys.argv[1]), **CREATE) as history:
    history.record_slot(base_slot())
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds a run of one child for writing."""
    process = start_python(HOLD, tmp_path / "run")
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.communicate(timeout=10)


def test_a_second_writer_is_refused_while_readers_read(holder, tmp_path):
    with pytest.raises(HistoryError, match=f"run 'run' is in use by process {holder.pid}; wait for it, or stop it"):
        History.open(tmp_path / "run", write=True)
    with pytest.raises(HistoryError, match=f"process {holder.pid}"):
        History.create(tmp_path / "run", **CREATE)
    assert writer_of(tmp_path / "run") == holder.pid
    assert standing(tmp_path / "run", "running") == f"running (process {holder.pid})"
    with History.open(tmp_path / "run") as history:
        assert len(history.children()) == 1


def test_the_lock_dies_with_its_process(holder, tmp_path):
    holder.kill()
    holder.wait(timeout=10)
    assert writer_of(tmp_path / "run") is None
    assert standing(tmp_path / "run", "running") == f"stopped before its end; `fairnad resume {tmp_path}/run` goes on"
    assert standing(tmp_path / "run", "finished") == "finished"
    with History.open(tmp_path / "run", write=True) as history:
        assert writer_of(tmp_path / "run") == os.getpid()
        assert history.record_slot(child_slot(1)).id == 1
    assert writer_of(tmp_path / "run") is None


def test_one_process_cannot_write_a_run_twice(tmp_path):
    with (
        History.create(tmp_path / "run", **CREATE) as history,
        pytest.raises(HistoryError, match=f"process {os.getpid()}"),
    ):
        History.open(tmp_path / "run", write=True)
    assert history.run.name == "sample"
    History.open(tmp_path / "run", write=True).close()


def test_a_lock_that_cannot_be_made_is_explained(tmp_path):
    (tmp_path / "lock").mkdir()
    with pytest.raises(HistoryError, match="lock: Is a directory; check that the folder can be written"):
        History.create(tmp_path, **CREATE)
