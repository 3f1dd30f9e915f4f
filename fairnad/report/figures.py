"""The figures of a comparison, as SVG text that depends on the runs alone. The one home of matplotlib."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fairnad.errors import ConfigError
from fairnad.report.comparison import Comparison
from fairnad.report.statistics import CONFIDENCE
from fairnad.report.table import compared, epochs_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "COLOURS",
    "Figures",
    "check_matplotlib",
    "draw",
    "figure_curves",
    "figure_differences",
    "figure_tests",
    "styled",
    "to_svg",
]

Figures = dict[str, str]
"""Caption -> SVG."""

COLOURS = ("#666666", "#e69f00", "#56b4e9", "#009e73", "#cc79a7", "#0072b2", "#d55e00", "#f0e442")
"""Okabe and Ito 2008, told apart by colour-blind readers too."""


def check_matplotlib() -> None:
    """Raise ConfigError where figures cannot be drawn: before hours of training, not after them."""
    if importlib.util.find_spec("matplotlib") is None:
        raise ConfigError('figures need matplotlib: pip install "fairnad[report]"')


def draw(comparison: Comparison) -> Figures:
    """Return all figures of a comparison."""
    count = len(comparison.seeds)
    told = f"{epochs_text(comparison)}, n = {count} searches"
    band = f" Bands: one standard deviation over the n = {count} searches." if count > 1 else ""
    found = {
        f"Test split, {told}: a dot is the mean of {comparison.num_finals} final trainings of one search's pick; the "
        "bar is the mean over searches.": figure_tests(comparison),
        f"Validation split, {told}: the highest accuracy that a search has seen, mean over searches. It rises by luck "
        f"alone, as the base trained again and again shows.{band}": figure_curves(comparison),
    }
    if len(comparison.strategies) > 1 and count > 1:
        caption = f"Test split, {told}: difference to {comparison.reference}, paired by seed, with the interval of "
        found[f"{caption}{100 * CONFIDENCE:.0f} % (of each alone)."] = figure_differences(comparison)
    return {caption: to_svg(figure) for caption, figure in found.items()}


def figure_tests(comparison: Comparison) -> Figure:
    """Return the test accuracies of all searches, a line a strategy."""
    figure, axes = _sheet(0.42 * len(comparison.strategies) + 0.9)
    for place, (name, colour) in enumerate(_coloured(comparison.strategies)):
        values = 100 * np.array([run.test for run in comparison.of(name)])
        shifts = np.linspace(-0.18, 0.18, len(values)) if len(values) > 1 else np.zeros(1)
        axes.plot(values, place + shifts, "o", color=colour, markersize=5, alpha=0.8, markeredgewidth=0)
        axes.plot([values.mean()] * 2, [place - 0.32, place + 0.32], color=colour, linewidth=2.5)
    _name_lines(axes, comparison.strategies)
    axes.set_xlabel("test accuracy, %")
    return figure


def figure_curves(comparison: Comparison) -> Figure:
    """Return the highest validation accuracy so far over the trainings of a search, with bands."""
    from matplotlib.ticker import MaxNLocator

    figure, axes = _sheet(4.4)
    for name, colour in _coloured(comparison.strategies):
        curves = 100 * _even([run.best_so_far for run in comparison.of(name)])
        numbers = np.arange(1, curves.shape[1] + 1)
        mean = curves.mean(axis=0)
        axes.plot(numbers, mean, color=colour, linewidth=1.8, marker="o", markersize=3, label=name)
        if len(curves) > 1:
            spread = curves.std(axis=0, ddof=1)
            axes.fill_between(numbers, mean - spread, mean + spread, color=colour, alpha=0.15, linewidth=0)
    axes.set_xlabel("trainings of the search, the base's first")
    axes.set_ylabel("highest validation accuracy so far, %")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(frameon=False, loc="outside upper left", ncols=3)
    return figure


def figure_differences(comparison: Comparison) -> Figure:
    """Return the paired differences to the reference with their intervals."""
    found = compared(comparison)
    colours = dict(_coloured(comparison.strategies))
    figure, axes = _sheet(0.42 * len(found) + 0.9)
    axes.axvline(0, color="#999999", linewidth=1)
    for place, (name, one) in enumerate(found.items()):
        if one.low is not None and one.high is not None:
            axes.plot([100 * one.low, 100 * one.high], [place, place], color=colours[name], linewidth=2)
        axes.plot([100 * one.mean], [place], "o", color=colours[name], markersize=7)
    _name_lines(axes, list(found))
    axes.set_xlabel(f"test accuracy minus that of {comparison.reference}, percentage points")
    return figure


def to_svg(figure: Figure) -> str:
    """Return `figure` as SVG without date or random names, so that equal runs give equal text."""
    from matplotlib import rc_context

    text = io.StringIO()
    with rc_context({"svg.hashsalt": "fairnad", "svg.fonttype": "none", "font.family": ["sans-serif"]}):
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    # Inside a page there is neither an XML declaration nor a document type.
    return text.getvalue()[text.getvalue().index("<svg") :]


def styled(axes: Axes) -> Axes:
    """Return `axes` in the look of all figures: a light grid behind the data, and no box around it."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="both", color="#e6e6e6", linewidth=0.7)
    axes.set_axisbelow(True)
    return axes


def _sheet(height: float) -> tuple[Figure, Axes]:
    # Without pyplot there is no window system and no state that one figure leaves to the next.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.6, height), layout="constrained")
    return figure, styled(figure.add_subplot())


def _coloured(names: Sequence[str]) -> list[tuple[str, str]]:
    return list(zip(names, cycle(COLOURS), strict=False))


def _name_lines(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)


def _even(curves: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """Return curves (seeds, trainings) of one length: the last value of a shorter one stays."""
    longest = max(map(len, curves))
    return np.array([[*curve, *[curve[-1]] * (longest - len(curve))] for curve in curves])
