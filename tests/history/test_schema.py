from __future__ import annotations

import sqlite3

import pytest
from sqlite_utils import Database

from fairnad.errors import HistoryError
from fairnad.history import History
from fairnad.history.schema import MIGRATIONS, VERSION, migrate, schema_version
from fairnad.records import Failed, Failure
from tests.history.samples import CREATE, base_slot, child_slot, trained


def read(folder, sql):
    connection = sqlite3.connect(folder / "history.db")
    connection.row_factory = sqlite3.Row
    try:
        return [dict(row) for row in connection.execute(sql)]
    finally:
        connection.close()


def add_colour(db):
    db.table("children").add_column("colour", str)


@pytest.fixture
def folder(tmp_path):
    """A run of a base and four children: 2 and 3 are better than the base, 4 failed."""
    with History.create(tmp_path / "run", **CREATE) as history:
        history.record_slot(base_slot())
        for number, main in enumerate(("attention", "attention", "activation", "activation"), start=1):
            history.record_slot(child_slot(number, main=main))
        for child_id, accuracy in enumerate((0.5, 0.4, 0.712345, 0.6)):
            history.record_outcome(child_id, trained(accuracy))
        history.record_outcome(4, Failed(Failure.NAN, "lower the learning rate"))
    return tmp_path / "run"


def test_an_empty_file_gets_every_table_and_view():
    db = Database(memory=True)
    migrate(db)
    assert schema_version(db) == VERSION
    assert set(db.table_names()) == {
        *("runs", "ideas", "sources", "drafts", "children", "evaluations", "attempts", "calls", "events")
    }
    assert set(db.view_names()) == {"leaderboard", "lineage", "pareto", "idea_effect", "rejections"}
    assert [list(db.query(f"SELECT * FROM {view}")) for view in db.view_names()] == [[]] * 5
    db.close()


def test_an_older_file_keeps_its_rows_and_views(folder):
    before = read(folder, "SELECT * FROM leaderboard")
    db = Database(folder / "history.db")
    with db.atomic():
        migrate(db, (*MIGRATIONS, add_colour))
    assert schema_version(db) == VERSION + 1
    db.close()
    assert read(folder, "SELECT * FROM leaderboard") == before
    assert {row["colour"] for row in read(folder, "SELECT colour FROM children")} == {None}


@pytest.mark.parametrize("write", [False, True])
def test_a_newer_file_is_refused_with_both_versions(folder, write):
    db = Database(folder / "history.db")
    with db.atomic():
        migrate(db, (*MIGRATIONS, add_colour))
    db.close()
    with pytest.raises(HistoryError, match=f"version {VERSION + 1}.*up to {VERSION}; upgrade FairNAD"):
        History.open(folder, write=write)


def test_leaderboard_shows_the_best_first(folder):
    rows = read(folder, "SELECT * FROM leaderboard")
    assert [(row["rank"], row["child"], row["accuracy"]) for row in rows] == [
        *((1, 2, 0.712345), (2, 3, 0.6), (3, 0, 0.5), (4, 1, 0.4))
    ]
    assert rows[0] == {
        **{"rank": 1, "child": 2, "accuracy": 0.712345, "params": 102, "flops": 1000, "stage": "I", "generation": 1},
        **{"parent": 0, "idea": "Try idea attention.", "note": "made 2"},
    }


def test_lineage_shows_every_child_and_its_gain(folder):
    rows = read(folder, "SELECT child, parent, category, gain FROM lineage")
    assert [tuple(row.values()) for row in rows] == [
        *((0, None, None, None), (1, 0, "attention", -0.1), (2, 0, "attention", 0.212345)),
        *((3, 0, "activation", 0.1), (4, 0, "activation", None)),
    ]


def test_pareto_holds_what_no_other_child_beats(folder):
    # Child 0 costs least, child 2 is the most accurate; child 3 costs more than both and lies between.
    assert [row["child"] for row in read(folder, "SELECT child FROM pareto")] == [2, 0]


def test_one_image_more_is_more_accurate(tmp_path):
    with History.create(tmp_path / "close", **CREATE) as history:
        history.record_slot(base_slot())
        history.record_slot(child_slot(1))
        history.record_outcome(0, trained(22807 / 25000))
        history.record_outcome(1, trained(22808 / 25000))
    assert [row["child"] for row in read(tmp_path / "close", "SELECT child FROM pareto")] == [1, 0]
    assert read(tmp_path / "close", "SELECT wins FROM idea_effect") == [{"wins": 1}]


def test_idea_effect_and_rejections_count_by_kind(folder):
    effects = read(folder, "SELECT * FROM idea_effect")
    assert effects == [
        {"category": "activation", "children": 1, "mean_gain": 0.1, "wins": 1},
        {"category": "attention", "children": 2, "mean_gain": 0.0562, "wins": 1},
    ]
    assert read(folder, "SELECT * FROM rejections") == [{"failure": "budget", "drafts": 4, "share_of_drafts": 0.4444}]
