"""Starting a run: which folders it takes, and what it finds wrong before it writes anything."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from fairnad.config import dump_config, load_config
from fairnad.errors import ConfigError, HistoryError
from fairnad.history.lock import locked
from fairnad.history.store import History
from fairnad.plugins import load
from fairnad.search.run import resume_search, start_search
from fairnad.search.setting import take_changes
from tests.history.samples import CREATE, base_slot, trained


def write(*names):
    def into(folder):
        for name in names:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()

    return into


def database(*statements):
    def into(folder):
        with closing(sqlite3.connect(folder / "history.db")) as connection:
            for statement in statements:
                connection.execute(statement)
            connection.commit()

    return into


def start_without_base(folder):
    History.create(folder, **CREATE).close()


def content(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def start(folder, **settings):
    """Start a search that ends when it looks for its base: a folder that is not free is found before."""
    settings = {"base.file": folder.parent / "missing.py", **settings}
    return start_search(load_config("demo", [f"{key}={value}" for key, value in settings.items()]), folder)


@pytest.mark.parametrize(
    "made_by",
    [
        [database("CREATE TABLE reigns (king)")],
        [database("CREATE TABLE reigns (king)", "PRAGMA user_version = 2")],
        [database("CREATE TABLE reigns (king)"), write("thesis.txt")],
        [write("history.db", "thesis.txt")],
        [write("history.db", "children/0/weights.safetensors")],
        [write("history.db", "config.yaml/thesis.txt")],
        [write("config.yaml")],
        [start_without_base, write("thesis.txt")],
        [start_without_base, database("CREATE TABLE reigns (king)")],
    ],
)
def test_a_folder_that_no_start_made_is_refused_and_left_alone(tmp_path, made_by):
    folder = tmp_path / "mine"
    folder.mkdir()
    for make in made_by:
        make(folder)
    before = content(folder)
    with pytest.raises(HistoryError, match="exists and is not empty"):
        start(folder)
    assert before.items() <= content(folder).items()  # to read a database is to open its log


@pytest.mark.parametrize(
    "made_by",
    [
        [write("lock")],
        [write("lock", "history.db")],
        [start_without_base],
        [start_without_base, write("config.yaml", "log.jsonl", "history.db-wal", "history.db-shm")],
    ],
)
def test_a_start_that_was_cut_short_makes_room_and_keeps_its_lock(tmp_path, made_by):
    folder = tmp_path / "mine"
    folder.mkdir()
    for make in made_by:
        make(folder)
    with pytest.raises(ConfigError, match=r"missing\.py cannot be read"):
        start(folder)
    assert [path.name for path in folder.iterdir()] == ["lock"]


def test_a_start_that_is_under_way_is_left_alone(tmp_path):
    start_without_base(tmp_path)
    with locked(tmp_path), pytest.raises(HistoryError, match="is in use by process"):
        start(tmp_path)
    assert (tmp_path / "history.db").exists()


NAMES = [
    ({"drafts.generator": "foo"}, "generator 'foo' is not known: known are llm, rules"),
    ({"executor.name": "locale"}, "executor 'locale' is not known: the nearest known is 'local'"),
    ({"plan.mutations.I": "tournamend"}, "mutation 'tournamend' is not known: the nearest known is 'tournament'"),
    ({"plan.mutations.III": "tests.fakes:Nothing"}, "mutation 'tests.fakes:Nothing': .* cannot be imported"),
]


@pytest.mark.parametrize(("settings", "told"), NAMES)
def test_a_name_that_is_not_known_is_found_before_a_start(tmp_path, settings, told):
    with pytest.raises(ConfigError, match=told):
        start(tmp_path / "mine", **settings)
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize(("settings", "told"), NAMES)
def test_a_name_that_is_not_known_is_found_before_anything_is_resumed(tmp_path, settings, told):
    config = load_config("demo", [f"{key}={value}" for key, value in settings.items()])
    with History.create(tmp_path, **CREATE) as history:
        history.record_slot(base_slot())
        history.set_state("stopped")
    (tmp_path / "config.yaml").write_text(dump_config(config))
    with pytest.raises(ConfigError, match=told):
        resume_search(tmp_path)
    with History.open(tmp_path) as history:
        assert (history.state, history.evaluations(0)) == ("stopped", ())


def test_a_strategy_that_brings_its_own_mutations_needs_no_others(tmp_path):
    with pytest.raises(ConfigError, match=r"missing\.py cannot be read"):
        start(tmp_path / "mine", strategy="best-of-n", **{"plan.mutations.I": "foo"})


@pytest.fixture
def finished(tmp_path):
    """A finished run of one child, and its configuration."""
    config = load_config("demo", ["budget=1"]).with_absolute_paths()
    with History.create(tmp_path, **(CREATE | {"config": config.model_dump(mode="json")})) as history:
        history.record_slot(base_slot())
        history.record_outcome(0, trained(0.5))
        history.set_state("finished")
    (tmp_path / "config.yaml").write_text(dump_config(config))
    return tmp_path, config


def test_a_finished_run_is_left_as_it_is(finished):
    folder, _ = finished
    before = content(folder)
    assert resume_search(folder).id == 0
    assert {path.name for path in content(folder)} - {path.name for path in before} <= {"lock"}
    with History.open(folder) as history:
        assert history.state == "finished"


def test_what_would_make_it_another_search_is_not_taken_from_an_edited_configuration(finished):
    folder, config = finished
    edited = config.model_copy(update={"recipe": replace(config.recipe, epochs=9)})
    (folder / "config.yaml").write_text(dump_config(edited))
    with pytest.raises(ConfigError, match=r"recipe.epochs is 9, but the run began with \d+.*put it back"):
        resume_search(folder)


def test_a_larger_budget_is_taken_and_recorded(finished):
    folder, config = finished
    with History.open(folder, write=True) as history:
        assert not take_changes(history, config)
        assert take_changes(history, config.model_copy(update={"budget": 5}))
    with History.open(folder) as history:
        assert history.config["budget"] == 5


def test_a_plugin_that_breaks_is_named(tmp_path, monkeypatch):
    (tmp_path / "broken_plugin.py").write_text("def make(:\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=r"mutation 'broken_plugin:make': .* cannot be imported: SyntaxError"):
        load("broken_plugin:make", {}, what="mutation")
