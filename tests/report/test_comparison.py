"""What is read from stored runs is what they hold, and what does not belong together is refused with a list."""

import shutil
import sqlite3

import pytest

from fairnad.errors import ConfigError, HistoryError
from fairnad.history.store import History
from fairnad.report.comparison import read_comparison
from fairnad.search.compare import run_folders
from tests import fake_runs


def test_a_stored_run_says_what_its_history_holds(job):
    comparison = read_comparison([job])
    run = comparison.runs["fairnad", 1]
    with History.open(job / "fairnad-seed-1") as history:
        best, children = history.best(), history.children()
        tests = {one.seed: one.outcome for one in history.evaluations(best.id) if one.purpose == "retrain"}
    assert (run.pick.id, run.seed, len(run.best_so_far)) == (best.id, 1, 13)
    assert run.best_so_far[-1] == run.validation == max(child.accuracy for child in children)
    assert run.best_so_far[0] == children[0].accuracy
    assert list(run.best_so_far) == sorted(run.best_so_far)
    assert run.finals == {seed: one.accuracy for seed, one in tests.items()}
    assert {one.split for one in tests.values()} == {"test"}
    assert run.test == pytest.approx(sum(run.finals.values()) / 2)


def test_the_base_has_as_many_trainings_to_choose_from(job):
    comparison = read_comparison([job])
    assert {len(run.best_so_far) for run in comparison.runs.values()} == {13}
    assert len({run.test for run in comparison.of("base")}) == 3


def test_strategies_stand_in_the_order_of_the_table_and_the_reference_is_the_jobs(job):
    comparison = read_comparison([job])
    assert comparison.strategies == ("base", "random-idea", "fairnad")
    assert comparison.seeds == (0, 1, 2)
    assert (comparison.reference, comparison.num_finals, comparison.epochs) == ("base", 2, 2)
    assert read_comparison([job], reference="fairnad").reference == "fairnad"


def test_runs_are_read_from_anywhere_in_any_order(job):
    one_by_one = list(reversed(run_folders(job)))
    assert read_comparison(one_by_one).runs == read_comparison([job]).runs


def test_after_a_recheck_the_validation_is_the_mean(tmp_path):
    fake_runs.job(tmp_path, strategies="base,fairnad", num_seeds=1, recheck="2x3")
    run = read_comparison([tmp_path]).runs["fairnad", 0]
    with History.open(tmp_path / "fairnad-seed-0") as history:
        assert run.validation == history.rechecked()[run.pick.id] < run.best_so_far[-1]
    assert len(run.best_so_far) == 13


def test_what_differs_is_listed(job, tmp_path):
    fake_runs.job(tmp_path / "other", strategies="widen", num_seeds=3, budget=6, recipe={"epochs": 3})
    fake_runs.job(tmp_path / "third", strategies="widen", num_seeds=3, final_trainings=1)
    with pytest.raises(ConfigError, match=r"budget: 12 and 6 \(.* seed 0, widen seed 0\); recipe.epochs: 200 and 3"):
        read_comparison([job, tmp_path / "other"])
    with pytest.raises(ConfigError, match="final trainings: 2 and 1"):
        read_comparison([job, tmp_path / "third"])


def test_runs_that_do_not_pair_up_are_listed(job):
    folders = run_folders(job)
    with pytest.raises(ConfigError, match="fairnad seed 0: 0 runs"):
        read_comparison([path for path in folders if path.name != "fairnad-seed-0"])
    with pytest.raises(ConfigError, match="base seed 2: 2 runs"):
        read_comparison([job, job / "base-seed-2"])


def test_another_job_with_equal_settings_joins(job, tmp_path):
    fake_runs.job(tmp_path / "more", strategies="widen", num_seeds=3)
    assert read_comparison([job, tmp_path / "more"]).strategies == ("base", "widen", "random-idea", "fairnad")


def test_an_unfinished_run_is_refused(job, tmp_path):
    shutil.copytree(job / "base-seed-0", tmp_path / "searching")
    with History.open(tmp_path / "searching", write=True) as history:
        history.set_state("stopped")
    with pytest.raises(HistoryError, match=r"is not finished \(stopped\)"):
        read_comparison([tmp_path / "searching"])


def test_a_pick_without_final_trainings_is_refused(tmp_path):
    plan = next(fake_runs.plan(strategies="base").runs())
    fake_runs.start(plan, tmp_path / "run", fake_runs.LuckyExecutor())
    with pytest.raises(HistoryError, match="child 0, its pick, has no final training; `fairnad retrain`"):
        read_comparison([tmp_path / "run"])


def test_a_job_with_a_missing_run_is_refused(job, tmp_path):
    shutil.copytree(job, tmp_path / "job")
    shutil.rmtree(tmp_path / "job" / "base-seed-1")
    with pytest.raises(HistoryError, match=r"no run in .*base-seed-1"):
        read_comparison([tmp_path / "job"])


def test_runs_of_two_versions_are_refused_and_of_a_newer_schema_too(job, tmp_path):
    shutil.copytree(job / "base-seed-0", tmp_path / "older")
    _edit(tmp_path / "older", "UPDATE runs SET fairnad_version = '0.0.1'")
    with pytest.raises(ConfigError, match=r"version of FairNAD: .* and 0\.0\.1"):
        read_comparison([job / "fairnad-seed-0", tmp_path / "older"])
    _edit(tmp_path / "older", "PRAGMA user_version = 999")
    with pytest.raises(HistoryError, match="upgrade FairNAD"):
        read_comparison([tmp_path / "older"])


def test_an_unknown_reference_is_named_with_its_neighbour(job):
    with pytest.raises(ConfigError, match="reference 'bass' is not among the strategies: the nearest known is 'base'"):
        read_comparison([job], reference="bass")


def _edit(folder, sql):
    db = sqlite3.connect(folder / "history.db")
    with db:
        db.execute(sql)
    db.close()


def test_which_training_ends_first_changes_nothing(tmp_path):
    last_first = fake_runs.LuckyExecutor(order=lambda waiting: len(waiting) - 1)
    fake_runs.job(tmp_path / "one", strategies="base", num_seeds=1)
    fake_runs.job(tmp_path / "other", strategies="base", num_seeds=1, executor=last_first)
    assert read_comparison([tmp_path / "one"]).runs == read_comparison([tmp_path / "other"]).runs
