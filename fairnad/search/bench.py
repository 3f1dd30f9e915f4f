"""Strategies compared on a table of known results: truth of the incumbent by look-ups, with seeds and intervals.

The incumbent is the cell of the highest signal so far. Searches nothing itself and prints nothing.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fairnad.errors import ConfigError, nearest
from fairnad.executors.table import CellTable, Lookups, Signal, Spent
from fairnad.plugins import load
from fairnad.records import Recheck
from fairnad.search.cell_strategies.base import NUM_START, STRATEGIES, Strategy

__all__ = ["RESAMPLES", "SHARE", "BenchPlan", "Outcome", "Passing", "bench_plan", "passing", "run_bench"]

SHARE = 0.99
"""Of the best truth of the table: what the mean curve is to pass (the measure of the COLE paper)."""

_CHECKPOINTS = (50, 100, 200, 500)

RESAMPLES = 1000
"""Bootstraps over seeds behind an interval."""


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

    `truth` (seeds, budget) is the truth of the incumbent after each look-up; `rechecked` that of the pick of each seed
    with a recheck inside each checkpoint. `fewest_cells` is less than the budget where a search ended on its own.
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


def bench_plan(
    strategies: str | None = None, *, budget: int, num_seeds: int, signal: str, recheck: str | None = None
) -> BenchPlan:
    """Return the plan that a command line asks for; `strategies` are names with commas between, None is all.

    Raises:
        ConfigError: the signal or the recheck cannot be understood.
    """
    names = tuple(STRATEGIES) if strategies is None else tuple(name.strip() for name in strategies.split(","))
    known = [one.value for one in Signal]
    if signal not in known:
        raise ConfigError(f"signal {signal!r} is not known: {nearest(signal, known)}")
    return BenchPlan(names, budget, num_seeds, Signal(signal), None if recheck is None else Recheck.parse(recheck))


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
    drawn = rng.multinomial(num_seeds, np.full(num_seeds, 1 / num_seeds), size=RESAMPLES) / num_seeds
    firsts = np.sort([_first(curve, threshold) for curve in drawn @ truth])
    # A budget that does not suffice counts as the largest; no interpolation, since it is no number.
    low, high = firsts[int(0.05 * RESAMPLES)], firsts[int(0.95 * RESAMPLES)]
    first = _first(truth.mean(axis=0), threshold)
    return Passing(*(int(found) if found <= budget else None for found in (first, low, high)))


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
        with contextlib.suppress(Spent):
            strategy(lookups)
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
    return {
        number: np.array([_pick(lookups, number - recheck.cost, recheck) for lookups in searches])
        for number in plan.checkpoints
        if number > recheck.cost
    }


def _pick(lookups: Lookups, num_searched: int, recheck: Recheck) -> float:
    """Return the truth of the cell that the recheck picks after `num_searched` look-ups."""
    searched = sorted(list(lookups.seen.items())[:num_searched], key=lambda item: -item[1])
    again = range(1, recheck.trainings + 1)
    means = {
        cell: signal + sum(lookups.train(cell, repeat) for repeat in again)
        for cell, signal in searched[: recheck.networks]
    }
    return lookups.table.entries[max(means, key=lambda cell: means[cell])].truth


def _first(curve: NDArray[np.float64], threshold: float) -> int:
    """Return the number, from 1, of the first value of at least `threshold`; one beyond the last if there is none."""
    reached = curve >= threshold
    return int(reached.argmax()) + 1 if reached.any() else len(curve) + 1
