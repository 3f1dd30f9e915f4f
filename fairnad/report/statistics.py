"""Paired differences with intervals, and p-values corrected for being several. Knows no strategies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["CONFIDENCE", "Difference", "few_seeds", "holm", "paired_difference"]

CONFIDENCE = 0.95

_SAME = 1e-9
"""Differences of accuracies that are this near to each other are equal but for rounding."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The mean of paired differences, its t-interval at `CONFIDENCE`, and the p-value of the paired t-test.

    Of one pair, or of differences without a spread, there is the mean alone.
    """

    mean: float
    low: float | None = None
    high: float | None = None
    p: float | None = None


def paired_difference(values: Sequence[float], reference: Sequence[float]) -> Difference:
    """Return `values` minus `reference`, paired by place; two-sided."""
    from scipy import stats

    differences = np.asarray(values) - np.asarray(reference)
    mean, count = float(differences.mean()), len(differences)
    if np.ptp(differences) < _SAME:
        return Difference(mean)
    error = float(differences.std(ddof=1)) / count**0.5
    half = error * float(stats.t.ppf(0.5 + CONFIDENCE / 2, count - 1))
    return Difference(mean, mean - half, mean + half, 2 * float(stats.t.sf(abs(mean) / error, count - 1)))


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Return p-values corrected for their number, in the same order.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure".
    """
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = largest
    return tuple(corrected)


def few_seeds(num_seeds: int) -> str:
    """Return the beginning of a title that warns of fewer than three seeds."""
    return {1: "ONE SEED, no spread: ", 2: "ONLY 2 SEEDS: "}.get(num_seeds, "")
