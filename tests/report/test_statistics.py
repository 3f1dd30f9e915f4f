"""Intervals and corrected p-values against scipy, against hand-made numbers, and against chance."""

import numpy as np
import pytest
from scipy import stats

from fairnad.report.statistics import few_seeds, holm, paired_difference


@pytest.mark.parametrize("count", [2, 3, 5, 30])
def test_a_paired_difference_is_the_paired_t_test(count):
    rng = np.random.default_rng(count)
    values, reference = rng.normal(0.8, 0.1, count), rng.normal(0.7, 0.1, count)
    expected = stats.ttest_rel(values, reference)
    interval = expected.confidence_interval(0.95)
    found = paired_difference(list(values), list(reference))
    assert found.mean == pytest.approx((values - reference).mean())
    assert (found.low, found.high, found.p) == pytest.approx((interval.low, interval.high, expected.pvalue))


def test_the_interval_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    draws = rng.normal(0.02, 0.05, (2000, 2, 5)) + rng.normal(0, 0.3, (2000, 1, 5))
    found = [paired_difference(list(one), list(other)) for one, other in draws]
    held = np.mean([one.low <= 0.0 <= one.high for one in found])
    assert held == pytest.approx(0.95, abs=0.02)
    assert np.mean([one.p < 0.05 for one in found]) == pytest.approx(1 - held)


def test_one_pair_has_no_interval():
    found = paired_difference([0.9], [0.8])
    assert found.mean == pytest.approx(0.1)
    assert (found.low, found.high, found.p) == (None, None, None)


@pytest.mark.parametrize(
    ("values", "reference", "mean"),
    [
        ([0.5, 0.75], [0.5, 0.75], 0.0),
        ([0.625, 0.875], [0.5, 0.75], 0.125),
        ([0.3, 0.9], [0.2, 0.8], 0.1),  # equal but for rounding
    ],
)
def test_differences_without_spread_have_no_interval(values, reference, mean):
    found = paired_difference(values, reference)
    assert found.mean == pytest.approx(mean)
    assert (found.low, found.high, found.p) == (None, None, None)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert holm([0.5, 0.9]) == (1.0, 1.0)
    assert holm([0.02]) == (0.02,)
    assert holm([]) == ()


def test_holm_keeps_the_chance_of_any_false_alarm():
    rng = np.random.default_rng(1)
    alarms = [min(holm(list(rng.uniform(size=5)))) < 0.05 for _ in range(4000)]
    assert np.mean(alarms) == pytest.approx(0.05, abs=0.012)


def test_few_seeds_are_told():
    assert [few_seeds(count) for count in (1, 2, 3)] == ["ONE SEED, no spread: ", "ONLY 2 SEEDS: ", ""]
