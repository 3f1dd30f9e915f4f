"""What people read of a run: the leaderboard, the state and the counts, and that they agree."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from fairnad import terminal
from fairnad.history.store import History
from fairnad.records import Costs
from fairnad.search.retrain import Retrained
from tests import fakes
from tests.history.samples import base_slot, child_slot, trained


@pytest.fixture
def history():
    """A base and two children of 0.60, 0.90 and 0.80."""
    with History.in_memory(config={"budget": 4}, seed=3) as history:
        for slot in (base_slot(), child_slot(1), child_slot(2)):
            history.record_slot(slot)
        for child_id, accuracy in enumerate((0.6, 0.9, 0.8)):
            history.record_outcome(child_id, trained(accuracy))
        yield history


@pytest.fixture
def rechecked(history):
    """That history, in which child 1 was lucky and child 2 is the better one."""
    for child_id, accuracy in ((1, 0.5), (2, 0.82)):
        history.record_outcome(child_id, trained(accuracy, seed=100), purpose="recheck")
    return history


def text(renderable, *, width=80):
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(renderable, soft_wrap=not hasattr(renderable, "columns"))
    return captured.get()


def ids(board):
    return [line.split()[0] for line in text(board).splitlines() if line.strip()[:1].isdecimal()]


def test_after_a_recheck_leaderboard_and_best_line_agree(rechecked, tmp_path):
    board = terminal.leaderboard(rechecked, rows=10)
    assert ids(board) == ["2", "1", "0"]
    assert "81.00 (2)" in text(board)
    told = text(terminal.summary(rechecked, tmp_path))
    assert "best so far: 81.00 % validation, the mean of 2 trainings (+21.00 over the base), child 2" in told
    assert "2 children and 2 rechecks of 4 trainings" in told


def test_without_a_recheck_nothing_is_said_of_one(history, tmp_path):
    board = terminal.leaderboard(history, rows=10)
    assert ids(board) == ["1", "2", "0"]
    assert "mean" not in text(board)
    assert "2 of 4 children trained" in text(terminal.summary(history, tmp_path))


def test_what_an_idea_is_about_is_seen_at_80_columns(history):
    assert "attention: Try" in text(terminal.leaderboard(history, rows=2))


def test_before_a_stage_ends_the_time_of_the_trainings_is_told(history, tmp_path):
    attempt = history.attempt_started(1, "slot 0", at=100.0)
    history.attempt_ended(attempt, "finished", at=150.0)
    assert "slot time: 50 s of training; no stage has ended yet" in text(terminal.summary(history, tmp_path))


def test_a_run_whose_process_is_gone_does_not_say_that_it_runs(history, tmp_path):
    told = text(terminal.summary(history, tmp_path / "own"))
    assert f"stopped before its end; `fairnad resume {tmp_path / 'own'}` goes on" in told
    told = text(terminal.summary(history, Path("runs", "own")))
    assert "stopped before its end; `fairnad resume own` goes on" in told


def test_a_run_without_a_language_model_has_no_table_of_its_calls(history):
    assert text(terminal.llm_summary(history)) == "No language model was called in this run.\n"


def test_one_seed_and_several_read_as_sentences():
    child = replace(fakes.child(7), costs=Costs(1000, 1000))
    one = Retrained(child, (trained(0.5, seed=10),), None)
    assert "last epoch: 50.00 %, no spread from one seed (n = 1, seeds 10)" in text(terminal.retrained(one))
    two = Retrained(child, (trained(0.5, seed=10), trained(0.6, seed=11)), None)
    assert "last epoch: 55.00 +- 7.07 % (n = 2, seeds 10, 11)" in text(terminal.retrained(two))
