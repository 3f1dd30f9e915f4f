"""A job of several searches: kill -9 at any moment loses nothing, and what cannot be compared is refused."""

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from fairnad.errors import ConfigError, ExecutorError, HistoryError
from fairnad.history.lock import locked
from fairnad.search.compare import read_plan, run_compare, run_folders
from fairnad.search.strategies import STRATEGIES
from tests import fake_runs

ROOT = Path(__file__).resolve().parents[2]
SMALL = {"strategies": "base,best-of-n,fairnad", "num_seeds": 1}
A_RUN = 1 + 12 + 2
"""Trainings of a run: the base, the budget, and the final ones of the pick."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("jobs") / "whole"
    fake_runs.job(folder, **SMALL)
    return folder


def test_a_job_has_one_run_for_each_strategy_and_seed(tmp_path):
    fake_runs.job(tmp_path, num_seeds=2, budget=4)
    names = {f"{name}-seed-{seed}" for name in STRATEGIES for seed in (0, 1)}
    assert {path.name for path in run_folders(tmp_path)} == names
    assert len(fake_runs.evaluations(tmp_path)) == 12 * (1 + 4 + 2)


@pytest.mark.parametrize("die_after", [0, 7, 14, 20])
def test_a_killed_job_goes_on_without_loss(whole, tmp_path, die_after):
    code = (
        "from pathlib import Path; from tests import fake_runs;"
        f"fake_runs.job(Path({str(tmp_path / 'job')!r}), **{SMALL},"
        f" executor=fake_runs.LuckyExecutor(die_after={die_after}))"
    )
    killed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=120, check=False)
    assert killed.returncode == -signal.SIGKILL
    before = fake_runs.evaluations(tmp_path / "job")
    assert len(before) == die_after
    executor = fake_runs.LuckyExecutor()
    fake_runs.job(tmp_path / "job", **SMALL, executor=executor)
    assert fake_runs.evaluations(tmp_path / "job") == fake_runs.evaluations(whole)
    assert len(executor.submitted) == 3 * A_RUN - die_after


def test_a_finished_job_trains_nothing_more(whole):
    executor = fake_runs.LuckyExecutor()
    told = fake_runs.job(whole, **SMALL, executor=executor)
    assert executor.submitted == []
    assert told[0] == "1 of 3: base, seed 0: already done"


def test_a_start_that_recorded_nothing_is_begun_anew(tmp_path):
    fake_runs.job(tmp_path, strategies="base", num_seeds=1)
    for left in ("lock", "history.db"):
        place = tmp_path / "widen-seed-0"
        place.mkdir()
        (place / left).touch()
        fake_runs.job(tmp_path, strategies="base,widen", num_seeds=1)
        assert len(fake_runs.evaluations(tmp_path)) == 2 * A_RUN
        for path in place.iterdir():
            path.unlink()
        place.rmdir()


def test_a_job_may_grow_by_seeds_and_strategies(tmp_path):
    fake_runs.job(tmp_path / "job", strategies="base", num_seeds=1)
    executor = fake_runs.LuckyExecutor()
    fake_runs.job(tmp_path / "job", strategies="base,widen", num_seeds=2, executor=executor)
    assert len(executor.submitted) == 3 * A_RUN
    assert len(run_folders(tmp_path / "job")) == 4


def test_a_smaller_call_takes_nothing_from_a_job(tmp_path):
    fake_runs.job(tmp_path, strategies="base,best-of-n", num_seeds=2)
    executor = fake_runs.LuckyExecutor()
    fake_runs.job(tmp_path, strategies="best-of-n", num_seeds=1, executor=executor)
    assert executor.submitted == []
    fake_runs.job(tmp_path, strategies="fairnad", num_seeds=1, executor=executor)
    assert len(executor.submitted) == 2 * A_RUN
    plan = read_plan(tmp_path)
    assert (plan.strategies, plan.num_seeds, plan.reference) == (("base", "best-of-n", "fairnad"), 2, "base")


def test_the_reference_may_be_chosen_anew(tmp_path):
    fake_runs.job(tmp_path, strategies="base,best-of-n", num_seeds=1)
    fake_runs.job(tmp_path, strategies="best-of-n,base", num_seeds=1, reference="best-of-n")
    assert read_plan(tmp_path).reference == "best-of-n"


def test_final_trainings_that_failed_are_tried_again_once_a_call(tmp_path):
    for _ in range(2):
        executor = fake_runs.LuckyExecutor(fails=lambda training: training.split == "test")
        told = fake_runs.job(tmp_path, strategies="base", num_seeds=1, executor=executor)
        assert sum(training.split == "test" for training in executor.submitted) == 2
        assert told == ["1 of 1: base, seed 0: done"]
    fake_runs.job(tmp_path, strategies="base", num_seeds=1)
    assert fake_runs.job(tmp_path, strategies="base", num_seeds=1) == ["1 of 1: base, seed 0: already done"]
    final = [accuracy for key, accuracy in fake_runs.evaluations(tmp_path).items() if key[2] == "retrain"]
    assert len(final) == 2
    assert None not in final


def test_a_pick_without_a_final_training_keeps_no_other_run_waiting(tmp_path):
    def finish(folder, number):
        if folder.name == "base-seed-0":
            raise ExecutorError("no final training of child 0 came to its end")
        sound.finish(folder, number)

    sound, told = fake_runs.steps(), []
    plan = fake_runs.plan(strategies="base,best-of-n", num_seeds=1)
    with pytest.raises(ExecutorError, match=r"^base, seed 0: no final training of child 0 came to its end$"):
        run_compare(plan, tmp_path, steps=replace(sound, finish=finish), told=told.append)
    assert told == ["1 of 2: base, seed 0: no final training", "2 of 2: best-of-n, seed 0: done"]
    run_compare(plan, tmp_path, steps=sound, told=told.append)
    assert told[2:] == ["1 of 2: base, seed 0: done", "2 of 2: best-of-n, seed 0: already done"]


def test_final_trainings_differ_from_seed_to_seed_and_pair_up(tmp_path):
    fake_runs.job(tmp_path, strategies="base,fairnad", num_seeds=2, budget=4)
    final = [key for key in fake_runs.evaluations(tmp_path) if key[2] == "retrain"]
    assert len(final) == 8
    by_seed = {n: {seed for name, _, _, seed in final if name.endswith(f"-{n}")} for n in (0, 1)}
    assert by_seed == {0: {10_000, 10_001}, 1: {11_000, 11_001}}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"budget": 13}, "budget: 12 and 13"),
        ({"final_trainings": 3}, "final trainings: 2 and 3"),
        ({"seed": 1}, "first seed: 0 and 1"),
        ({"recipe": {"epochs": 3}, "dataset": "cifar10"}, "dataset: cluttered-digits and cifar10; recipe.epochs: 200"),
    ],
)
def test_a_job_does_not_go_on_with_other_settings(whole, changed, told):
    with pytest.raises(ConfigError, match=told):
        fake_runs.job(whole, **{**SMALL, **changed})


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(HistoryError, match=r"is not empty and holds no compare\.json"):
        run_compare(fake_runs.plan(), tmp_path, steps=fake_runs.steps())
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_one_process_at_a_time_runs_a_job(whole):
    with locked(whole), pytest.raises(HistoryError, match="in use"):
        fake_runs.job(whole, **SMALL)


@pytest.mark.parametrize("change", [{"format": 2}, {"more": 1}, {"config": {"unknown": 1}}])
def test_a_plan_of_another_version_is_refused_in_words(whole, tmp_path, change):
    plan = json.loads((whole / "compare.json").read_text()) | change
    (tmp_path / "compare.json").write_text(json.dumps(plan))
    with pytest.raises(HistoryError, match=r"written by another version of FairNAD \(this is"):
        read_plan(tmp_path)


def test_a_folder_without_runs_is_none(tmp_path):
    with pytest.raises(HistoryError, match="is no run and holds none"):
        run_folders(tmp_path)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"strategies": "base,fairnat"}, "strategy 'fairnat' is not known: the nearest known is 'fairnad'"),
        ({"strategies": ""}, "strategy '' is not known"),
        ({"strategies": "base,base"}, "each may be named once"),
        ({"strategies": "fairnad", "reference": "base"}, "reference 'base' is not among the strategies"),
        ({"limits": {}}, "'widen' needs limits"),
        ({"num_seeds": 0}, "0 seeds"),
        ({"final_trainings": 0}, "0 final trainings"),
    ],
)
def test_a_plan_that_cannot_be_run_is_refused(settings, match):
    with pytest.raises(ConfigError, match=match):
        fake_runs.plan(**settings)


def test_the_reference_is_the_base_or_else_the_first():
    assert fake_runs.plan().reference == "base"
    assert fake_runs.plan(strategies="fairnad, widen").reference == "fairnad"
