"""What the figures show is what the runs hold, and equal runs give equal text."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from fairnad.report.comparison import read_comparison
from fairnad.report.figures import draw, figure_curves, figure_differences, figure_tests, to_svg
from fairnad.report.table import compared
from tests import fake_runs


@pytest.fixture(scope="module")
def comparison(job):
    return read_comparison([job])


def test_a_dot_a_search_and_a_bar_at_the_mean(comparison):
    (axes,) = figure_tests(comparison).axes
    for place, name in enumerate(comparison.strategies):
        dots, bar = axes.lines[2 * place : 2 * place + 2]
        values = [100 * run.test for run in comparison.of(name)]
        assert list(dots.get_xdata()) == values
        assert list(bar.get_xdata()) == pytest.approx([np.mean(values)] * 2)
    assert [label.get_text() for label in axes.get_yticklabels()] == list(comparison.strategies)


def test_curves_are_means_with_bands_of_one_standard_deviation(comparison):
    (axes,) = figure_curves(comparison).axes
    curves = 100 * np.array([run.best_so_far for run in comparison.of("fairnad")])
    line = axes.lines[list(comparison.strategies).index("fairnad")]
    assert list(line.get_xdata()) == list(range(1, 14))
    assert list(line.get_ydata()) == pytest.approx(curves.mean(axis=0))
    (band,) = axes.collections[2].get_paths()
    assert band.vertices[:, 1].max() == pytest.approx((curves.mean(axis=0) + curves.std(axis=0, ddof=1)).max())


def test_a_shorter_search_keeps_its_last_value(tmp_path):
    executor = fake_runs.LuckyExecutor(fails=lambda training: training.seed == 1_001_000)
    fake_runs.job(tmp_path, strategies="base", num_seeds=2, budget=3, executor=executor)
    (axes,) = figure_curves(read_comparison([tmp_path])).axes
    assert len(axes.lines[0].get_ydata()) == 4


def test_differences_are_drawn_with_their_intervals(comparison):
    (axes,) = figure_differences(comparison).axes
    found = compared(comparison)
    bars = [line.get_xdata() for line in axes.lines[1:][::2]]
    assert [list(bar) for bar in bars] == [[100 * one.low, 100 * one.high] for one in found.values()]


def test_captions_name_split_epochs_and_n(comparison):
    figures = draw(comparison)
    assert len(figures) == 3
    for caption, svg in figures.items():
        assert "2 epochs, n = 3" in caption
        assert ("Test split" in caption) != ("Validation split" in caption)
        assert ET.fromstring(svg).tag.endswith("svg")


def test_equal_runs_give_equal_text_without_a_date(comparison):
    first, again = (to_svg(figure_tests(comparison)) for _ in range(2))
    assert first == again
    assert "date" not in first


def test_one_seed_has_neither_bands_nor_differences(tmp_path):
    fake_runs.job(tmp_path, strategies="base,widen", num_seeds=1, budget=2)
    comparison = read_comparison([tmp_path])
    assert len(draw(comparison)) == 2
    assert not figure_curves(comparison).axes[0].collections
