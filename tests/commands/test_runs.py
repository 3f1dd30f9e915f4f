"""Runs by name, and what is said of a start that was cut short, of Ctrl-C, and to a file."""

from __future__ import annotations

import io
import logging
import os
import signal
import subprocess
import sys

import pytest
from rich.console import Console

from fairnad.cli import _STRATEGY_HELP
from fairnad.commands.runs import begun_folder, stoppable
from fairnad.config import load_config
from fairnad.errors import ConfigError, HistoryError, StoppedError
from fairnad.history.store import History
from fairnad.logs import log_to
from fairnad.search.run import start_search
from fairnad.search.strategies import STRATEGIES
from tests.history.samples import CREATE, base_slot

INTERRUPTED = """
import os, signal, sys
from pathlib import Path
from fairnad import cli
from fairnad.commands.runs import watch
@cli.app.command()
def wait(run: str):
    watch(Path("runs") / run, lambda observer: os.kill(os.getpid(), signal.SIGINT))
@cli.app.command()
def idle():
    os.kill(os.getpid(), signal.SIGINT)
cli.main()
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working folder with the runs `new` and `old`, written in this order."""
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("new", "old")):
        with History.create(tmp_path / "runs" / name, **CREATE) as history:
            history.record_slot(base_slot())
        os.utime(tmp_path / "runs" / name / "history.db", (number, number))
    return tmp_path


@pytest.mark.parametrize("written", ["history.db", "history.db-wal", "log.jsonl"])
def test_the_latest_run_is_the_one_that_a_search_writes_to(place, written):
    assert begun_folder("latest").name == "old"
    (place / "runs" / "new" / written).touch()
    assert begun_folder("latest").name == "new"


def test_a_run_without_a_base_can_only_be_started_anew(place):
    (place / "runs" / "zz").mkdir()
    (place / "runs" / "zz" / "history.db").touch()
    with pytest.raises(HistoryError, match="its start was cut short; `fairnad search --run zz` starts it anew"):
        begun_folder("zz")


@pytest.mark.parametrize("has_tables", [False, True])
def test_a_start_that_was_cut_short_is_taken_away_by_the_next(tmp_path, has_tables):
    folder = tmp_path / "zz"
    folder.mkdir()
    (folder / "history.db").touch()
    if has_tables:
        History.create(folder, **CREATE).close()
    config = load_config("demo", [f"base.file={tmp_path / 'missing.py'}"])
    with pytest.raises(ConfigError, match=r"missing.py cannot be read"):
        start_search(config, folder)
    assert {path.name for path in folder.iterdir()} == {"lock"}


def test_ctrl_c_becomes_a_line_that_says_what_to_do():
    with pytest.raises(StoppedError, match="stopped; the same command goes on"), stoppable():
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["wait", "old"], "fairnad: stopped; `fairnad resume old` goes on\n"),
        (["wait", "unknown"], "fairnad: stopped; nothing was recorded yet\n"),
        (["idle"], "fairnad: stopped\n"),
    ],
)
def test_ctrl_c_exits_with_130_and_one_line(place, arguments, told):
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, *arguments],
        cwd=place,
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert (done.returncode, done.stderr) == (130, told)


def test_a_file_gets_one_line_an_event(tmp_path):
    file = io.StringIO()
    with log_to(tmp_path, console=Console(file=file, width=40)):
        logging.getLogger("fairnad.search").info("child %d: %s", 7, "a long story " * 10)
    (line,) = file.getvalue().splitlines()
    assert "child 7: a long story a long story" in line


def test_the_help_of_strategy_names_them_all():
    assert not [name for name in STRATEGIES if name not in _STRATEGY_HELP]
