"""The table: right numbers, and every one of them with split, epochs, seeds and n."""

import sqlite3

import numpy as np
import pytest
from scipy import stats

from fairnad.executors.base import Training
from fairnad.report.comparison import read_comparison
from fairnad.report.table import compared, markdown, notes, rows, title
from tests import fake_runs


def test_numbers_are_those_of_the_runs(job):
    comparison = read_comparison([job])
    tests = {name: np.array([run.test for run in comparison.of(name)]) for name in comparison.strategies}
    lines = {line[0]: line for line in rows(comparison)}
    assert list(lines) == ["base", "random-idea", "fairnad"]
    for name, values in tests.items():
        assert lines[name][4] == f"{100 * values.mean():.2f} +- {100 * values.std(ddof=1):.2f}"
    raw = {name: stats.ttest_rel(tests[name], tests["base"]).pvalue for name in ("random-idea", "fairnad")}
    low, high = sorted(raw.values())
    found = compared(comparison)
    assert sorted(one.p for one in found.values()) == pytest.approx([min(1, 2 * low), max(min(1, 2 * low), high)])
    assert lines["base"][5:] == ("", "")
    assert lines["fairnad"][5].startswith(f"{100 * (tests['fairnad'] - tests['base']).mean():+.2f} [")


def test_the_highest_validation_flatters_and_the_test_does_not(tmp_path):
    # The base is one network: whatever its best training promises beyond its mean is luck.
    fake_runs.job(tmp_path, strategies="base", num_seeds=8)
    runs = read_comparison([tmp_path]).of("base")
    first = np.mean([run.best_so_far[0] for run in runs])
    assert np.mean([run.best_so_far[-1] for run in runs]) > first + 0.05
    expected = np.mean([fake_runs.accuracy(Training(0, "# base", seed, 0.0, "test")) for seed in range(500)])
    assert np.mean([run.test for run in runs]) == pytest.approx(expected, abs=0.04)


def test_every_number_has_its_split_epochs_seeds_and_n(job):
    text = markdown(read_comparison([job]))
    assert text.startswith(
        "### cluttered-digits, budget 12: test accuracy of each strategy's pick, 2 epochs, n = 3 (seeds 0 to 2)"
    )
    for told in ("validation split", "test split", "n = 3", "10000 to 12001", "Holm", "paired t-test", "12 trainings"):
        assert told in text
    assert "Recheck" not in text


@pytest.mark.parametrize(("num_seeds", "warning"), [(1, "### ONE SEED, no spread: "), (2, "### ONLY 2 SEEDS: ")])
def test_few_seeds_are_told_in_the_title(num_seeds, warning, tmp_path):
    fake_runs.job(tmp_path, strategies="base,widen", num_seeds=num_seeds, budget=2)
    text = markdown(read_comparison([tmp_path]))
    assert text.startswith(warning)
    assert ("+-" in "".join("".join(line) for line in rows(read_comparison([tmp_path])))) == (num_seeds == 2)


def test_a_recheck_and_an_older_version_are_told(tmp_path):
    fake_runs.job(tmp_path, strategies="fairnad", num_seeds=1, recheck="2x2")
    db = sqlite3.connect(tmp_path / "fairnad-seed-0" / "history.db")
    with db:
        db.execute("UPDATE runs SET fairnad_version = '0.0.1'")
    db.close()
    told = "\n".join(notes(read_comparison([tmp_path])))
    assert "Recheck 2x2: inside the budget" in told
    assert "made by FairNAD 0.0.1; this table by" in told


def test_what_failed_is_told(tmp_path):
    executor = fake_runs.LuckyExecutor(fails=lambda training: training.is_again and training.seed % 6 == 0)
    fake_runs.job(tmp_path / "a", strategies="base", num_seeds=3, executor=executor)
    told = "\n".join(notes(read_comparison([tmp_path / "a"])))
    assert "base, seed 0: 11 of 13 trainings of the search ended well." in told
    executor = fake_runs.LuckyExecutor(fails=lambda training: training.seed == 11_001)
    fake_runs.job(tmp_path / "b", strategies="base", num_seeds=3, executor=executor)
    comparison = read_comparison([tmp_path / "b"])
    assert "base, seed 1: 1 of 2 final trainings failed and are left out." in notes(comparison)
    assert len(comparison.runs["base", 1].finals) == 1


def test_the_title_says_one_epoch_and_scattered_seeds(job):
    folders = [job / f"{name}-seed-{seed}" for name in ("base", "fairnad") for seed in (0, 2)]
    assert title(read_comparison(folders)).endswith("2 epochs, n = 2 (seeds 0, 2)")
