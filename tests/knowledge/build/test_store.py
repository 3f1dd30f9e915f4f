"""The database of a build: rows come back as they were, and what is no such database is refused."""

import sqlite3

import pytest

from fairnad.errors import HistoryError, KnowledgeError
from fairnad.knowledge.attributes import Attribute
from fairnad.knowledge.build.steps import Candidate, Judged, Step
from fairnad.knowledge.build.store import DATABASE, KnownPaper, StepRow, Store
from fairnad.llm.base import Message, Prompt, Reply, Service

PAPER = KnownPaper(
    "a" * 64, "paper.pdf", "Gates \u00e0 la carte", ("Ada Example", "B. M\u00fcller"), ("no abstract found",)
)
BAD = KnownPaper("b" * 64, "bad.pdf", error="no PDF")
IDEAS = (
    Candidate("Add a gate", 3, "A gate is added.", Attribute("performance", "operation", "activation", "relu")),
    Candidate("Use a loss", None, "", None, "off topic"),
)


def test_what_is_recorded_comes_back(tmp_path):
    with Store(tmp_path / "out") as store:
        store.record([PAPER, BAD], [StepRow(PAPER.sha256, Step.FILTER, "v1", Judged(True))])
        store.record([], [StepRow(PAPER.sha256, Step.TAGS, "v1", IDEAS)])
    with Store(tmp_path / "out") as store:
        assert store.papers() == {PAPER.sha256: PAPER, BAD.sha256: BAD}
        assert store.results(Step.FILTER, "v1") == {PAPER.sha256: Judged(True)}
        assert store.results(Step.TAGS, "v1") == {PAPER.sha256: IDEAS}
        assert store.results(Step.TAGS, "v2") == {}


def test_a_paper_is_recorded_anew_and_a_step_only_once(tmp_path):
    with Store(tmp_path) as store:
        store.record([BAD], [StepRow(BAD.sha256, Step.FILTER, "v1", Judged(True))])
        mended = KnownPaper(BAD.sha256, BAD.file, "A title")
        store.record([mended], [])
        assert store.papers() == {BAD.sha256: mended}
        with pytest.raises(HistoryError, match="UNIQUE"):
            store.record([PAPER], [StepRow(BAD.sha256, Step.FILTER, "v1", Judged(False))])
        assert PAPER.sha256 not in store.papers()


def test_a_failure_to_read_is_forgotten_with_a_new_version(tmp_path):
    with Store(tmp_path) as store:
        store.record([PAPER, BAD], [])
    connection = sqlite3.connect(tmp_path / DATABASE)
    connection.execute("UPDATE papers SET fairnad_version = '0.0'")
    connection.commit()
    connection.close()
    with Store(tmp_path) as store:
        assert store.papers() == {PAPER.sha256: PAPER}


def test_the_journal_replays_and_its_calls_are_counted(tmp_path):
    prompt, service = Prompt("ideas", (Message("user", "What?"),)), Service("ideas of a by m", 0)
    with Store(tmp_path) as store:
        store.journal("m").record(service, prompt, Reply("- An idea", prompt_tokens=7, reply_tokens=3, cost=0.5))
        assert store.journal("m").recorded(service, prompt).text == "- An idea"
        spent = store.spent()
    assert (spent.tokens, spent.cost) == (10, 0.5)


def test_one_process_at_a_time(tmp_path):
    with Store(tmp_path), pytest.raises(HistoryError, match="in use by process"):
        Store(tmp_path)


def test_another_database_is_refused(tmp_path):
    connection = sqlite3.connect(tmp_path / DATABASE)
    connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.close()
    with pytest.raises(KnowledgeError, match="is no database of a build"):
        Store(tmp_path)
    with pytest.raises(KnowledgeError, match="is no database of a build"):
        Store(tmp_path)


def test_a_newer_database_is_refused(tmp_path):
    connection = sqlite3.connect(tmp_path / DATABASE)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(KnowledgeError, match="newer version"):
        Store(tmp_path)


def test_a_place_that_is_no_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(KnowledgeError, match="cannot be made"):
        Store(tmp_path / "file")
