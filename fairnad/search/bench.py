"""Strategies compared on a table of known results: truth of the incumbent by look-ups, with seeds and intervals.

The incumbent is the cell of the highest signal so far. Searches nothing itself and prints nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fairnad.errors import ConfigError
from fairnad.executors.table import CellTable, Lookups, Signal, Spent
from fairnad.plugins import load
from fairnad.search.cell_strategies.base import NUM_START, STRATEGIES, Strategy

__all__ = ["BenchPlan", "Outcome", "Passing", "Recheck", "head", "notes", "passing", "rows", "run_bench", "title"]

SHARE = 0.99
"""Of the best truth of the table: what the mean curve is to pass (the measure of the COLE paper)."""

_CHECKPOINTS = (50, 100, 200, 500)
_RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Recheck:
    """Before the best is named, the `cells` best are trained `trainings` times more, paid for inside the budget."""

    cells: int
    trainings: int

    @classmethod
    def parse(cls, text: str) -> Recheck:
        """Return the recheck that "10x2" stands for.

        Raises:
            ConfigError: `text` is none.
        """
        parts = text.lower().split("x")
        if len(parts) != 2 or not all(part.isdigit() and int(part) > 0 for part in parts):
            raise ConfigError(f"recheck {text!r}: expected CELLSxTRAININGS, such as 10x2")
        return cls(int(parts[0]), int(parts[1]))

    def __str__(self) -> str:
        return f"{self.cells}x{self.trainings}"


@dataclass(frozen=True, slots=True)
class BenchPlan:
    """What is compared. `budget` is in different cells; the seeds are 0, 1, ..."""

    strategies: tuple[str, ...] = tuple(STRATEGIES)
    budget: int = 500
    num_seeds: int = 30
    signal: Signal = Signal.FRESH
    recheck: Recheck | None = None

    @property
    def checkpoints(self) -> tuple[int, ...]:
        """The numbers of look-ups at which truth is reported."""
        return tuple(sorted({self.budget, *(number for number in _CHECKPOINTS if number <= self.budget)}))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one strategy.

    `truth` (seeds, budget) is the truth of the incumbent after each look-up, `rechecked` that of the pick with a recheck
    inside each checkpoint, one a seed. `fewest_cells` is less than the budget where a search ended on its own.
    """

    strategy: str
    truth: NDArray[np.float64]
    rechecked: Mapping[int, NDArray[np.float64]]
    fewest_cells: int
    seconds: float
    """Of one search, on average."""


@dataclass(frozen=True, slots=True)
class Passing:
    """The first look-up at which the mean curve passes, with a bootstrap interval over seeds; None: not within it."""

    first: int | None
    low: int | None
    high: int | None


def run_bench(
    table: CellTable, plan: BenchPlan, *, observer: Callable[[Outcome], None] = lambda outcome: None
) -> tuple[Outcome, ...]:
    """Return what came of each strategy of `plan`; `observer` sees it as soon as it is there.

    Raises:
        ConfigError: a strategy is not known, or the plan does not fit the table.
    """
    _check(table, plan)
    strategies = [(name, load(name, STRATEGIES, what="strategy")) for name in plan.strategies]
    outcomes = []
    for name, strategy in strategies:
        outcomes.append(_run(name, strategy, table, plan))
        observer(outcomes[-1])
    return tuple(outcomes)


def passing(truth: NDArray[np.float64], threshold: float) -> Passing:
    """Return when the mean over seeds of `truth` (seeds, budget) first reaches `threshold`, 5 to 95 % by bootstrap."""
    num_seeds, budget = truth.shape
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(num_seeds, np.full(num_seeds, 1 / num_seeds), size=_RESAMPLES) / num_seeds
    firsts = np.sort([_first(curve, threshold) for curve in drawn @ truth])
    # A budget that does not suffice counts as the largest; no interpolation, since it is no number.
    low, high = firsts[int(0.05 * _RESAMPLES)], firsts[int(0.95 * _RESAMPLES)]
    first = _first(truth.mean(axis=0), threshold)
    return Passing(*(int(found) if found <= budget else None for found in (first, low, high)))


def title(table: CellTable, plan: BenchPlan) -> str:
    """Return the title of the table of results; fewer than three seeds are told here."""
    few = {1: "ONE SEED, no spread: ", 2: "only 2 seeds: "}.get(plan.num_seeds, "")
    return f"{few}NAS-Bench-201, {table.dataset}, signal {plan.signal.value}, n = {plan.num_seeds} seeds"


def notes(table: CellTable, plan: BenchPlan, outcomes: Sequence[Outcome]) -> str:
    """Return what must be known to read the table of results."""
    told = [
        "Both columns of the file are test accuracies: what a search sees is made from test accuracies too, and the "
        "truth is their mean over seeds, in percent.",
        f"Signal {plan.signal.value}: {_SIGNALS[plan.signal]}. Seeds 0 to {plan.num_seeds - 1}, {NUM_START} random start "
        "cells, repeats are free, different cells count. Mean +- standard deviation over seeds of the truth of the "
        "incumbent, the cell of the highest signal.",
        f"Passing: the first look-up at which the mean curve reaches {SHARE} x the best of the table "
        f"({100 * SHARE * table.best:.2f} of {100 * table.best:.2f}), 5 to 95 % of {_RESAMPLES} bootstraps over seeds.",
    ]
    if plan.recheck is not None:
        told.append(
            f"Recheck {plan.recheck}: the {plan.recheck.cells} cells of the highest signals are trained "
            f"{plan.recheck.trainings} times more, inside the number of look-ups; the mean of all trainings picks."
        )
    told += [
        f"{outcome.strategy}: a search ended on its own after {outcome.fewest_cells} cells; its last incumbent stays."
        for outcome in outcomes
        if outcome.fewest_cells < plan.budget
    ]
    return "\n".join(told)


def head(plan: BenchPlan) -> tuple[str, ...]:
    """Return the columns of `rows`."""
    return ("strategy", *(f"truth at {number}" for number in plan.checkpoints), "passes at [5 to 95 %]", "s a search")


def rows(table: CellTable, plan: BenchPlan, outcomes: Sequence[Outcome]) -> list[tuple[str, ...]]:
    """Return one row of text a strategy, and one more with the recheck."""
    told = []
    for outcome in outcomes:
        values = [spread(outcome.truth[:, number - 1]) for number in plan.checkpoints]
        passes = passing_text(passing(outcome.truth, SHARE * table.best), plan)
        told.append((outcome.strategy, *values, passes, f"{outcome.seconds:.2f}"))
        if plan.recheck is not None:
            picked = [outcome.rechecked.get(number) for number in plan.checkpoints]
            values = ["" if one is None else spread(one) for one in picked]
            told.append((f"{outcome.strategy}, recheck {plan.recheck}", *values, "", ""))
    return told


def spread(values: NDArray[np.float64]) -> str:
    """Return mean and standard deviation of fractions, in percent; of one value only that."""
    deviation = f" +- {100 * values.std(ddof=1):.2f}" if len(values) > 1 else ""
    return f"{100 * values.mean():.2f}{deviation}"


def passing_text(found: Passing, plan: BenchPlan) -> str:
    """Return a passing as text; without an interval where one seed gives none."""
    first, low, high = (f"> {plan.budget}" if one is None else str(one) for one in (found.first, found.low, found.high))
    return first if plan.num_seeds == 1 else f"{first} [{low}, {high}]"


_SIGNALS = {
    Signal.CLEAN: "the mean over seeds itself",
    Signal.ONE_SEED: "the one seed of the file, the same in every search",
    Signal.FRESH: "the mean over seeds and Gaussian noise as of one training, new for each search",
}


def _check(table: CellTable, plan: BenchPlan) -> None:
    if plan.num_seeds < 1 or not plan.strategies:
        raise ConfigError(
            f"{plan.num_seeds} seeds of {len(plan.strategies)} strategies: at least one of each is needed"
        )
    if not NUM_START <= plan.budget <= len(table.entries):
        raise ConfigError(
            f"budget {plan.budget}: expected at least {NUM_START}, the random start cells, and at most "
            f"{len(table.entries)}, the cells of the table"
        )
    if plan.recheck is not None and plan.signal is not Signal.FRESH:
        raise ConfigError(f"a recheck needs the signal fresh: {plan.signal.value} has no second training of a cell")


def _run(name: str, strategy: Strategy, table: CellTable, plan: BenchPlan) -> Outcome:
    searches = []
    began = time.monotonic()
    for seed in range(plan.num_seeds):
        lookups = Lookups(table, plan.signal, seed=seed, budget=plan.budget)
        try:
            strategy(lookups)
        except Spent:
            pass
        searches.append(lookups)
    seconds = (time.monotonic() - began) / plan.num_seeds
    return Outcome(
        strategy=name,
        truth=np.array([_curve(lookups) for lookups in searches]),
        rechecked=_rechecked(searches, plan),
        fewest_cells=min(len(lookups.seen) for lookups in searches),
        seconds=seconds,
    )


def _curve(lookups: Lookups) -> list[float]:
    """Return the truth of the incumbent after each look-up, the last one repeated up to the budget."""
    curve: list[float] = []
    best = -np.inf
    for cell, signal in lookups.seen.items():
        truth = lookups.table.entries[cell].truth if signal > best else curve[-1]
        best = max(best, signal)
        curve.append(truth)
    return curve + curve[-1:] * (lookups.budget - len(curve))


def _rechecked(searches: Sequence[Lookups], plan: BenchPlan) -> dict[int, NDArray[np.float64]]:
    recheck = plan.recheck
    if recheck is None:
        return {}
    paid = recheck.cells * recheck.trainings
    return {
        number: np.array([_pick(lookups, number - paid, recheck) for lookups in searches])
        for number in plan.checkpoints
        if number > paid
    }


def _pick(lookups: Lookups, num_searched: int, recheck: Recheck) -> float:
    """Return the truth of the cell that the recheck picks after `num_searched` look-ups."""
    searched = sorted(list(lookups.seen.items())[:num_searched], key=lambda item: -item[1])
    again = range(1, recheck.trainings + 1)
    means = {
        cell: signal + sum(lookups.train(cell, repeat) for repeat in again)
        for cell, signal in searched[: recheck.cells]
    }
    return lookups.table.entries[max(means, key=lambda cell: means[cell])].truth


def _first(curve: NDArray[np.float64], threshold: float) -> int:
    """Return the number, from 1, of the first value of at least `threshold`; one beyond the last if there is none."""
    reached = curve >= threshold
    return int(reached.argmax()) + 1 if reached.any() else len(curve) + 1
