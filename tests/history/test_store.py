from __future__ import annotations

import contextlib
import json
import os
import resource
import sqlite3
import threading
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairnad.errors import HistoryError
from fairnad.history import Evaluation, History
from fairnad.records import Failed, Failure, FilledSlot, SlotKey, Stage
from tests.history.samples import CREATE, accepted, base_slot, child_slot, idea, refused, trained

EMPTY = FilledSlot(SlotKey(2, Stage.ITERATIVE, 0), 0, 1, (refused("a", Failure.SHAPE, of=idea()),), None, known=(0, 1))


@pytest.fixture
def history():
    with History.in_memory(seed=3) as history:
        yield history


@pytest.fixture
def folder(tmp_path):
    """A closed run with the base in it."""
    with History.create(tmp_path / "run", **CREATE) as history:
        history.record_slot(base_slot())
    return tmp_path / "run"


@contextlib.contextmanager
def largest_file(num_bytes):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_everything_recorded_is_read_back(tmp_path):
    slots = (base_slot(), child_slot(1), child_slot(2, parent=1, refines=1), EMPTY)
    failed = Failed(Failure.TIMEOUT, "train faster", "after 10 s", 10.0)
    with History.create(tmp_path, **CREATE) as history:
        children = [history.record_slot(slot) for slot in slots]
        history.record_outcome(0, trained(0.5))
        history.record_outcome(1, failed, seed=7)
        history.record_outcome(0, replace(trained(0.75), split="test"), purpose="retrain", weights="w.safetensors")
        history.event("resumed", by="a person", times=2)
        history.set_state("finished")
        written = history.children()
    with History.open(tmp_path) as history:
        assert [history.slot(slot.key) for slot in slots] == list(slots)
        assert history.slot(SlotKey(9, Stage.FAIR, 9)) is None
        assert history.slots() == {slot.key for slot in slots}
        outcomes = (trained(0.5), failed, None)
        assert history.children() == written
        assert written == tuple(replace(child, outcome=o) for child, o in zip(children, outcomes, strict=False))
        assert children[3] is None
        assert history.evaluations(0) == (
            Evaluation(trained(0.5), "search", 3),
            Evaluation(replace(trained(0.75), split="test"), "retrain", 3, weights="w.safetensors"),
        )
        assert history.evaluations(1) == (Evaluation(failed, "search", 7),)
        assert [(event.kind, event.data) for event in history.events("resumed")] == [
            ("resumed", {"by": "a person", "times": 2})
        ]
        assert history.graph_hashes() == {"hash of base", "hash of 1", "hash of 2"}
        assert (history.config, history.run.seed, history.run.dataset) == (CREATE["config"], 3, "digits")
        assert history.state == "finished"


def test_what_is_written_is_seen_by_an_open_reader(folder):
    with History.open(folder, write=True) as writer, History.open(folder) as reader:
        assert writer.record_slot(child_slot(1)) == reader.child(1)
        writer.record_outcome(1, trained(0.6))
        assert reader.child(1).accuracy == 0.6
        assert reader.children() == writer.children()


@pytest.mark.parametrize(
    ("slot", "message"),
    [
        (replace(child_slot(1), parent=99), "there is no child 99; the history holds 2, numbered from 0"),
        (replace(EMPTY, refines=5), "there is no child 5"),
        (replace(child_slot(1), chosen=0), "draft 0 was refused; only an accepted draft"),
        (replace(base_slot(), drafts=(accepted("other"),)), "is recorded already"),
        (replace(child_slot(1), drafts=(accepted("x", of=replace(idea(), id="idea attention")),)), "an id of its own"),
    ],
)
def test_a_slot_that_is_refused_leaves_nothing(folder, slot, message):
    with History.open(folder, write=True) as history:
        history.record_slot(child_slot(7))
    before = contents(folder)
    with History.open(folder, write=True) as history:
        with pytest.raises(HistoryError, match=message):
            history.record_slot(slot)
        assert contents(folder) == before
        assert history.record_slot(child_slot(8)).id == 2


def test_decisions_that_a_stop_lost_leave_no_trace_in_the_content(tmp_path):
    def content(name, *numbers):
        with History.create(tmp_path / name, **CREATE) as history:
            history.record_slot(base_slot())
            for child, number in enumerate(numbers[:-1], start=1):
                history.record_slot(replace(child_slot(child), decided=number))
            history.record_slot(replace(child_slot(len(numbers)), decided=numbers[-1], chosen=None))
            return history.content()

    assert content("killed", 1, 2, 5, 7) == content("whole", 1, 2, 3, 4)
    assert content("other", 1, 3, 2, 4) != content("whole again", 1, 2, 3, 4)


def contents(folder):
    tables = ("ideas", "sources", "drafts", "children", "evaluations", "attempts", "events")
    with History.open(folder) as history:
        return {name: history._connection.run(lambda db, name=name: list(db.table(name).rows)) for name in tables}


def test_an_outcome_is_recorded_once_for_a_purpose_and_seed(history):
    history.record_slot(base_slot())
    history.record_outcome(0, trained(0.9, seed=3))
    with pytest.raises(HistoryError, match="child 0: its evaluation of purpose 'search' with seed 3 is recorded"):
        history.record_outcome(0, trained(0.8, seed=3))
    history.record_outcome(0, trained(0.7, seed=4))
    assert history.child(0).outcome == trained(0.9, seed=3), "the first one counts"
    with pytest.raises(HistoryError, match="there is no child -1"):
        history.record_outcome(-1, trained())


def test_another_try_takes_the_place_of_one_that_failed(tmp_path):
    with History.create(tmp_path, **CREATE) as history:
        history.record_slot(base_slot())
        for outcome in (Failed(Failure.TIMEOUT, "wait"), Failed(Failure.CRASH, "mend it"), trained(0.9)):
            history.record_outcome(0, outcome)
            assert history.child(0).outcome == outcome
        written = history.children()
        assert [one.outcome for one in history.evaluations(0)] == [trained(0.9)]
    with History.open(tmp_path) as history:
        assert history.children() == written


def test_an_outcome_and_the_end_of_its_attempt_are_one(history):
    history.record_slot(base_slot())
    history.record_slot(child_slot(1))
    attempt = history.attempt_started(1, "slot 0", at=100.0)
    history.record_outcome(1, trained(), attempt=attempt, at=112.5)
    assert history.totals().slot_seconds == 12.5
    history.attempt_started(1, "slot 0", at=200.0)
    assert history.totals().slot_seconds == 12.5
    with pytest.raises(HistoryError, match=f"attempt {attempt} is not under way"):
        history.record_outcome(1, trained(), purpose="retrain", attempt=attempt)
    assert len(history.evaluations(1)) == 1
    with pytest.raises(HistoryError, match="not under way"):
        history.attempt_ended(attempt, "failed")


def test_a_new_writer_abandons_what_was_under_way(folder):
    with History.open(folder, write=True) as history:
        attempt = history.attempt_started(0, "slot 0")
    with History.open(folder, write=True) as history, pytest.raises(HistoryError, match="not under way"):
        history.attempt_ended(attempt, "finished")


def test_best_prefers_accuracy_then_flops_then_id(history):
    assert history.best() is None
    history.record_slot(base_slot())
    for number, flops in enumerate((500, 300, 300), start=1):
        drafts = (accepted(str(number), of=idea(), flops=flops),)
        history.record_slot(replace(child_slot(number), drafts=drafts, chosen=0))
        history.record_outcome(number, trained(0.6))
    history.record_outcome(0, trained(0.5))
    assert history.best().id == 2


def test_used_ideas_count_refused_drafts_by_the_edited_child(history):
    for slot in (base_slot(), child_slot(1), child_slot(2, main="norm"), child_slot(3, parent=1), EMPTY):
        history.record_slot(slot)
    assert history.used_ideas() == {0: {"idea attention", "idea norm", "squeeze"}, 1: {"idea attention"}}


def test_totals_leave_the_base_out(history):
    for slot in (base_slot(), child_slot(1), EMPTY):
        history.record_slot(slot)
    history.record_outcome(0, trained())
    history.record_outcome(1, trained())
    totals = history.totals()
    assert (totals.children, totals.empty_slots, totals.drafts, totals.refused) == (1, 1, 3, 2)
    assert (totals.trained, totals.failed, totals.training_seconds, totals.verification_seconds) == (1, 0, 10.0, 2.5)
    assert (totals.calls, totals.tokens, totals.cost) == (0, 0, 0.0)
    assert history.rejections() == {Failure.BUDGET: 1, Failure.SHAPE: 1}


def test_text_that_is_no_unicode_is_recorded_all_the_same(history):
    history.record_slot(base_slot())
    broken = replace(refused("bad").draft, source="x = '\ud800'", reply="\udfff")
    slot = replace(EMPTY, refines=None, drafts=(replace(refused("bad"), draft=broken),))
    assert history.record_slot(slot) is None
    assert history.slot(slot.key).drafts[0].draft.source == "x = '?'"


def test_many_threads_record_at_once(folder):
    with History.open(folder, write=True) as history:
        threads = [
            threading.Thread(target=lambda number=number: history.record_slot(child_slot(number)))
            for number in range(16)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=10)
        assert [child.id for child in history.children()] == list(range(17))
    with History.open(folder) as reader:
        assert {child.key.slot for child in reader.children()[1:]} == set(range(16))


def test_a_run_is_not_started_twice(folder):
    with pytest.raises(HistoryError, match="run 'sample' exists already; resume it"):
        History.create(folder, **CREATE)
    with History.open(folder, write=True) as history:
        assert len(history.children()) == 1


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(HistoryError, match=r"no run in .*: it has no history.db"):
        History.open(tmp_path / "nowhere", write=True)
    assert not (tmp_path / "nowhere").exists()
    (tmp_path / "history.db").touch()
    for write in (False, True):
        with pytest.raises(HistoryError, match="holds no run: its start was cut short"):
            History.open(tmp_path, write=write)
    History.create(tmp_path, **CREATE).close()
    History.open(tmp_path).close()


def test_a_run_is_begun_once_it_has_its_base(tmp_path, folder):
    assert History.is_begun(folder)
    (tmp_path / "history.db").touch()
    assert not History.is_begun(tmp_path)
    History.create(tmp_path, **CREATE).close()
    assert not History.is_begun(tmp_path)


def test_a_file_that_is_no_history_is_refused(tmp_path):
    (tmp_path / "history.db").write_text(json.dumps({"not": "a database"}) * 100)
    for write in (False, True):
        with pytest.raises(HistoryError, match=r"history.db: file is not a database; .* choose another run folder"):
            History.open(tmp_path, write=write)


@pytest.mark.parametrize("version", [0, 77])
def test_another_programs_database_is_no_run(tmp_path, version):
    with contextlib.closing(sqlite3.connect(tmp_path / "history.db")) as db:
        db.executescript(f"CREATE TABLE moz_places (url); PRAGMA user_version = {version}")
    with pytest.raises(HistoryError, match="no history of FairNAD: it holds the table moz_places"):
        History.is_begun(tmp_path)


def test_a_folder_that_cannot_be_made_is_explained(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(HistoryError, match="Not a directory; choose a folder that can be written"):
        History.create(tmp_path / "file" / "run", **CREATE)


def test_a_full_disk_is_explained_and_loses_nothing(folder):
    with History.open(folder, write=True) as history:
        large = replace(child_slot(1), drafts=(accepted("1", of=idea(), source="x = 1\n" * 200_000),), chosen=0)
        with (
            largest_file(500_000),
            pytest.raises(HistoryError, match=r"history.db: .*everything recorded before is safe"),
        ):
            history.record_slot(large)
        assert len(history.children()) == 1
        assert history.record_slot(large).id == 1
    with History.open(folder) as reader:
        assert reader.slot(large.key) == large


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_run_that_cannot_be_written_is_read(folder):
    folder.chmod(0o555)
    (folder / "history.db").chmod(0o444)
    try:
        with History.open(folder) as reader:
            assert len(reader.children()) == 1
        with pytest.raises(HistoryError, match="check that the folder can be written"):
            History.open(folder, write=True)
    finally:
        folder.chmod(0o755)


def test_a_reader_records_nothing(folder):
    with History.open(folder) as reader:
        for act in (lambda: reader.record_slot(child_slot(1)), lambda: reader.record_outcome(0, trained())):
            with pytest.raises(HistoryError, match="opened for reading; open it with write=True"):
                act()
        with pytest.raises(HistoryError, match="readonly database; open the run for writing"):
            reader.event("resumed")


TEXT = st.text(max_size=20)
OUTCOMES = st.one_of(
    st.none(),
    st.builds(Failed, st.sampled_from(Failure), TEXT, TEXT, st.floats(0, 1e6)),
    st.builds(
        lambda accuracy, losses: replace(trained(accuracy), losses=tuple(losses)),
        st.floats(0, 1),
        st.lists(st.floats(allow_nan=False), max_size=3),
    ),
)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT, st.integers(0, 2**62), st.integers(0, 100), OUTCOMES), max_size=6))
def test_children_are_what_was_recorded(records):
    with History.in_memory(seed=3) as history:
        history.record_slot(base_slot())
        for number, (source, note, flops, parent, outcome) in enumerate(records, start=1):
            judged = accepted(str(number), of=idea(f"idea {number}"), flops=flops, source=source or "x")
            judged = replace(judged, draft=replace(judged.draft, note=note))
            slot = replace(child_slot(number, parent=parent % number), drafts=(refused("no"), judged), chosen=1)
            child = history.record_slot(slot)
            if outcome is not None:
                history.record_outcome(child.id, outcome)
            assert history.slot(slot.key) == slot
            assert history.child(number) == replace(child, outcome=outcome)
            assert (child.source, child.costs.flops, child.parent) == (source or "x", flops, parent % number)
        # What the writer remembers is what the file says.
        kept, history._memory = history.children(), None
        assert history.children() == kept
