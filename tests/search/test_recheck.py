"""The recheck: paid inside the budget, on fresh seeds, not repeated, and honoured by the choice of the best."""

import contextlib
import sqlite3

import pytest

from fairnad.config import Config, load_config
from fairnad.errors import ConfigError
from fairnad.executors.base import Training
from fairnad.history.store import History
from fairnad.records import Failed, Recheck, Stage
from fairnad.search.recheck import recheck, train_again
from fairnad.search.retrain import final_seeds
from tests import fake_runs
from tests.fakes import trained
from tests.history.samples import base_slot, child_slot


@pytest.fixture
def searched(tmp_path):
    """The folder of a search of 12 trainings, six of which the recheck took."""
    config = Config.model_validate({"budget": 12, "plan": fake_runs.PLAN, "recheck": "3x2", "seed": 4})
    fake_runs.start(config, tmp_path / "run", fake_runs.LuckyExecutor())
    return tmp_path / "run"


def rechecks(history):
    return {
        child.id: [one.seed for one in history.evaluations(child.id) if one.purpose == "recheck"]
        for child in history.children()
    }


def test_the_best_three_are_trained_twice_more_inside_the_budget(searched):
    with History.open(searched) as history:
        children, again = history.children(), rechecks(history)
        top = {child.id for child in history.ranked()[:3]}
    assert sum(child.key.stage is not Stage.BASE for child in children) == 6
    assert {child_id for child_id, seeds in again.items() if len(seeds) == 2} == top
    assert sum(map(len, again.values())) == 6


def test_each_training_has_its_attempt(searched):
    with contextlib.closing(sqlite3.connect(searched / "history.db")) as db:
        attempts = db.execute("SELECT child, state FROM attempts ORDER BY child").fetchall()
        evaluated = db.execute("SELECT child, 'finished' FROM evaluations ORDER BY child").fetchall()
    assert attempts == evaluated
    assert len(attempts) == 13


def test_the_best_is_that_of_the_best_mean_of_all_its_trainings(searched):
    with History.open(searched) as history:
        means, best = history.rechecked(), history.best()
        found = [one.outcome.accuracy for one in history.evaluations(best.id)]
    assert len(found) == 3
    assert means[best.id] == pytest.approx(sum(found) / 3) == max(means.values())


def test_a_lucky_first_training_does_not_win():
    with History.in_memory() as history:
        for slot in (base_slot(), child_slot(1), child_slot(2)):
            history.record_slot(slot)
        for child_id, accuracy in enumerate((0.6, 0.9, 0.8)):
            history.record_outcome(child_id, trained(accuracy))
        assert history.best().id == 1
        for seed in (100, 101):
            history.record_outcome(1, trained(0.5, seed=seed), purpose="recheck")
            history.record_outcome(2, trained(0.8, seed=seed), purpose="recheck")
        assert history.best().id == 2
        assert history.rechecked() == {1: pytest.approx(1.9 / 3), 2: pytest.approx(0.8)}


def test_a_finished_recheck_is_not_repeated(searched):
    executor = fake_runs.LuckyExecutor()
    before = fake_runs.evaluations(searched.parent)
    fake_runs.resume(searched, executor)
    assert executor.submitted == []
    assert fake_runs.evaluations(searched.parent) == before


def test_a_training_that_fails_again_is_left_out_of_the_mean_and_not_tried_for_ever(tmp_path):
    config = Config.model_validate({"budget": 12, "plan": fake_runs.PLAN, "recheck": "2x2"})
    executor = fake_runs.LuckyExecutor(fails=lambda training: training.is_again and training.seed % 2 == 0)
    fake_runs.start(config, tmp_path / "run", executor)
    with History.open(tmp_path / "run") as history:
        best = history.best()
        assert len(history.evaluations(best.id)) == 3
        assert history.rechecked().keys() >= {best.id}


@pytest.mark.parametrize("seed", [0, 3, 10_000])
def test_the_seeds_of_search_recheck_and_final_trainings_are_apart(seed):
    with History.in_memory(seed=seed) as history:
        history.record_slot(base_slot())
        history.record_outcome(0, trained(0.5, seed=seed))
        executor, told = fake_runs.LuckyExecutor(), []
        recheck(history, executor, Config(seed=seed, recheck="1x5"), 100, told=told.append)
    assert [line.rpartition(", ")[-1] for line in told] == [f"{done} of 5 are done" for done in range(6)]
    again = {training.seed for training in executor.submitted}
    assert len(again) == 5
    assert len({seed} | again | set(final_seeds(seed, 5))) == 11
    assert not set(final_seeds(seed, 5)) & set(final_seeds(seed + 1, 5))


def test_a_further_training_leaves_the_files_of_the_first_alone():
    first, again = Training(3, "", 0, 0.0), Training(3, "", 1_000_000, 0.0, is_again=True)
    final = Training(3, "", 10_000, 0.0, split="test")
    assert (first.folder, again.folder, final.folder) == ("3", "3-val-seed-1000000", "3-test-seed-10000")


def test_the_setting_reads_and_writes_itself():
    config = load_config("demo", ["recheck=9x2"])
    assert (config.recheck, config.num_children) == (Recheck(9, 2), 10)
    assert config.model_dump(mode="json")["recheck"] == "9x2"
    assert Config.model_validate(config.model_dump(mode="json")) == config
    assert load_config("demo").num_children == 28


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("10", "expected NETWORKSxTRAININGS"),
        ("0x2", "expected NETWORKS"),
        ("14x2", "leaves no child of a budget of 28"),
        ("10x2", "names 10 networks, and 9 are there to be rechecked, 8 children and the base; 9x2 fits"),
        ("27x1", "names 27 networks, and 2 are there to be rechecked, 1 child and the base; 14x1 fits"),
    ],
)
def test_a_recheck_that_cannot_be_is_refused(text, match):
    with pytest.raises(ConfigError, match=match):
        load_config("demo", [f"recheck={text}"])


@pytest.mark.parametrize("trainings", [1, 2, 5])
@pytest.mark.parametrize("budget", [6, 7, 28, 29])
def test_what_is_said_to_fit_is_the_most_that_does(budget, trainings):
    fitting, told = [], []
    for networks in range(1, budget):
        try:
            fitting.append(Config(budget=budget, recheck=f"{networks}x{trainings}").recheck)
        except ConfigError as error:
            told.append(str(error))
    assert [one.networks for one in fitting] == list(range(1, len(fitting) + 1))
    assert all(f"; {fitting[-1]} fits" in line for line in told if "leaves no child" not in line)


def test_a_final_training_that_failed_is_tried_again_when_it_is_asked_for_again():
    with History.in_memory() as history:
        history.record_slot(base_slot())
        history.record_outcome(0, trained(0.5))
        again = [Training(0, base_slot().drafts[0].draft.source, seed, 1.0, split="test") for seed in (70, 71)]
        train_again(history, fake_runs.LuckyExecutor(fails=lambda training: training.seed == 71), again)
        assert [isinstance(one.outcome, Failed) for one in history.evaluations(0)] == [False, False, True]
        executor = fake_runs.LuckyExecutor()
        train_again(history, executor, again)
        assert [training.seed for training in executor.submitted] == [71]
        assert {one.seed: one.outcome.split for one in history.evaluations(0)} == {0: "val", 70: "test", 71: "test"}
