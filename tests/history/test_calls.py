import sqlite3
from contextlib import closing

import pytest
from sqlite_utils import Database

from fairnad.errors import HistoryError
from fairnad.history import History
from fairnad.history.schema import MIGRATIONS, VERSION, migrate, schema_version
from fairnad.llm.base import Finish, Message, Prompt, Reply, Service
from fairnad.llm.spend import Spent
from tests.history.samples import CREATE

PROMPT = Prompt("draft", (Message("user", "Write a network."),), template_hash="t1", temperature=0.5)
OTHER = Prompt("draft", (Message("user", "Write another."),))
REPAIR = Prompt("repair", (Message("user", "Mend it."),))
SERVICE = Service("3/1/I/2/0", 0)
REPLY = Reply("class Network: ...", Finish.LENGTH, 100, 50, 2.5, 0.25)


def test_a_call_is_found_again_after_a_restart(tmp_path):
    with History.create(tmp_path, **CREATE) as history:
        history.journal("coder").record(SERVICE, PROMPT, REPLY)
    with History.open(tmp_path) as history:
        journal = history.journal()
        assert journal.recorded(SERVICE, PROMPT) == REPLY
        assert journal.recorded(Service(SERVICE.served, 1), PROMPT) is None
        assert journal.recorded(SERVICE, OTHER) is None
        assert journal.recorded_hash(SERVICE) == PROMPT.hash
        assert journal.recorded_hash(Service("3/1/I/2/1", 0)) is None
    with closing(sqlite3.connect(tmp_path / "history.db")) as db:
        row = db.execute("SELECT task, template_hash, prompt, model, error FROM calls").fetchone()
    assert row == ("draft", "t1", "[user]\nWrite a network.", "coder", None)


def test_unknown_token_counts_stay_unknown_and_are_guessed_for_the_limits():
    with History.in_memory() as history:
        reply = Reply("x" * 300, Finish.STOP, None, None, 1.0)
        history.journal().record(SERVICE, PROMPT, reply)
        assert history.journal().recorded(SERVICE, PROMPT) == reply
        assert history.spent() == Spent(100 + round(len(PROMPT.text) / 3), 0.0, 1.0)
        assert history.totals().tokens == 0


def test_a_call_that_failed_is_a_row_but_no_reply():
    with History.in_memory() as history:
        journal = history.journal()
        journal.record(SERVICE, PROMPT, None, "timeout: no whole answer")
        journal.record(SERVICE, PROMPT, None, "timeout: no whole answer")
        assert journal.recorded(SERVICE, PROMPT) is None
        journal.record(SERVICE, PROMPT, REPLY)
        assert journal.recorded(SERVICE, PROMPT) == REPLY
        assert history.totals().calls == 3


def test_a_call_with_another_prompt_takes_the_place_of_the_old_one_which_stays_paid():
    with History.in_memory() as history:
        journal = history.journal()
        journal.record(SERVICE, PROMPT, REPLY)
        journal.record(SERVICE, OTHER, Reply("new", prompt_tokens=10, reply_tokens=5))
        assert journal.recorded(SERVICE, PROMPT) is None
        assert journal.recorded(SERVICE, OTHER).text == "new"
        assert history.spent() == Spent(165, 0.25, 2.5)


def test_sums_are_by_task():
    with History.in_memory() as history:
        journal = history.journal()
        for number, latency in enumerate((1.0, 9.0, 2.0)):
            journal.record(Service("s", number), REPAIR, Reply("r", Finish.STOP, 10, 1, latency, 0.5))
        journal.record(SERVICE, PROMPT, REPLY)
        journal.record(Service("s", 9), PROMPT, None, "server: status 500")
        draft, repair = history.task_calls()
        assert (draft.task, draft.calls, draft.failed, draft.latency_seconds) == ("draft", 2, 1, 2.5)
        assert (repair.task, repair.calls, repair.failed) == ("repair", 3, 0)
        assert (repair.prompt_tokens, repair.reply_tokens, repair.cost, repair.latency_seconds) == (30, 3, 1.5, 2.0)
        assert history.totals().tokens == 183


def test_a_history_opened_for_reading_takes_no_calls(tmp_path):
    History.create(tmp_path, **CREATE).close()
    with History.open(tmp_path) as history, pytest.raises(HistoryError, match="open the run for writing"):
        history.journal().record(SERVICE, PROMPT, REPLY)


def make_old(folder, version):
    """Write a history of that schema version, with one run and one call, as the version itself would have."""
    folder.mkdir()
    db = Database(folder / "history.db")
    with db.atomic():
        for step in MIGRATIONS[:version]:
            step(db)
        db.execute(f"PRAGMA user_version = {version}")
        db.table("runs").insert({"name": "old", "config": "{}", "seed": 1, "dataset": "d", "state": "finished"})
        db.table("calls").insert({"task": "draft", "prompt": "p", "reply": "r", "finish_reason": "stop", "cost": 0.5})
    db.close()


@pytest.mark.parametrize("write", [False, True])
def test_a_file_of_an_older_version_opens_with_its_calls(tmp_path, write):
    make_old(tmp_path / "old", 1)
    with History.open(tmp_path / "old", write=write) as history:
        assert history.run.name == "old"
        assert [(one.task, one.calls, one.cost) for one in history.task_calls()] == [("draft", 1, 0.5)]
    with closing(sqlite3.connect(tmp_path / "old" / "history.db")) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (VERSION,)
        assert db.execute("SELECT finish, served FROM calls").fetchall() == [("stop", None)]


def test_the_columns_of_a_new_file():
    db = Database(memory=True)
    migrate(db)
    assert schema_version(db) == VERSION
    assert set(db.table("calls").columns_dict) == {
        *("id", "served", "number", "task", "template_hash", "prompt_hash", "prompt", "reply", "finish"),
        *("prompt_tokens", "reply_tokens", "latency_seconds", "cost", "error", "model", "created"),
    }
    assert db.table("calls").foreign_keys == []
    db.close()
