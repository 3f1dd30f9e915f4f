"""The results of a bench as text: a title, a table in Markdown, and notes that name signal, seeds and split."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fairnad.executors.table import CellTable, Signal
from fairnad.report.statistics import few_seeds
from fairnad.search.bench import RESAMPLES, SHARE, BenchPlan, Outcome, Passing, passing
from fairnad.search.cell_strategies.base import NUM_START

__all__ = ["head", "markdown", "notes", "passing_text", "rows", "title"]

_SIGNALS = {
    Signal.CLEAN: "the mean over seeds itself",
    Signal.ONE_SEED: "the one seed of the file, the same luck in every search",
    Signal.FRESH: "the mean over seeds, and Gaussian noise as of one training, new for each search",
}


def markdown(table: CellTable, plan: BenchPlan, outcomes: Sequence[Outcome]) -> str:
    """Return title, table and notes."""
    columns = head(plan)
    lines = [columns, ("---",) * len(columns), *rows(table, plan, outcomes)]
    shown = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"### {title(table, plan)}\n\n{shown}\n\n{notes(table, plan, outcomes)}"


def title(table: CellTable, plan: BenchPlan) -> str:
    """Return the title of the table; fewer than three seeds are told here."""
    few = few_seeds(plan.num_seeds)
    return (
        f"{few}NAS-Bench-201, {table.dataset}, test accuracies, signal {plan.signal.value}, n = {plan.num_seeds} seeds"
    )


def head(plan: BenchPlan) -> tuple[str, ...]:
    """Return the columns of `rows`."""
    return ("strategy", *(f"truth at {number}" for number in plan.checkpoints), "passes at [5 to 95 %]", "s a search")


def rows(table: CellTable, plan: BenchPlan, outcomes: Sequence[Outcome]) -> list[tuple[str, ...]]:
    """Return one row a strategy, and one more with the recheck."""
    told = []
    for outcome in outcomes:
        values = [_spread(outcome.truth[:, number - 1]) for number in plan.checkpoints]
        passes = passing_text(passing(outcome.truth, SHARE * table.best), plan)
        told.append((outcome.strategy, *values, passes, f"{outcome.seconds:.2f}"))
        if plan.recheck is not None:
            picked = [outcome.rechecked.get(number) for number in plan.checkpoints]
            values = ["" if one is None else _spread(one) for one in picked]
            told.append((f"{outcome.strategy}, recheck {plan.recheck}", *values, "", ""))
    return told


def passing_text(found: Passing, plan: BenchPlan) -> str:
    """Return a passing as text, without an interval where there is one seed."""
    first, low, high = (f"> {plan.budget}" if one is None else str(one) for one in (found.first, found.low, found.high))
    return first if plan.num_seeds == 1 else f"{first} [{low}, {high}]"


def notes(table: CellTable, plan: BenchPlan, outcomes: Sequence[Outcome]) -> str:
    """Return what must be known to read the table."""
    best = 100 * table.best
    told = [
        "Both columns of the file are test accuracies: what a search sees is made from test accuracies, and the truth "
        "of a cell is their mean over seeds, in percent.",
        f"Signal {plan.signal.value}: {_SIGNALS[plan.signal]}. n = {plan.num_seeds}, seeds 0 to {plan.num_seeds - 1}. "
        f"Every search begins with {NUM_START} random cells or more; repeats are free, different cells count.",
        "Truth at N: that of the incumbent, the cell of the highest signal so far; mean +- standard deviation.",
        f"Passes at: the first N at which the mean over seeds reaches {SHARE} x the best truth of the table "
        f"({SHARE * best:.2f} of {best:.2f}); 5 to 95 % of {RESAMPLES} bootstraps over seeds.",
    ]
    if plan.recheck is not None:
        told.append(
            f"Recheck {plan.recheck}: inside the N, the {plan.recheck.networks} cells of the highest signals are "
            f"trained {plan.recheck.trainings} times more with fresh noise; the highest mean of all trainings is the "
            "pick."
        )
    told += [
        f"{outcome.strategy}: a search came to an end after {outcome.fewest_cells} cells; its last incumbent stays."
        for outcome in outcomes
        if outcome.fewest_cells < plan.budget
    ]
    return "\n".join(f"- {line}" for line in told)


def _spread(values: NDArray[np.float64]) -> str:
    """Return mean and standard deviation of fractions, in percent; of one value only that."""
    deviation = f" +- {100 * values.std(ddof=1):.2f}" if len(values) > 1 else ""
    return f"{100 * values.mean():.2f}{deviation}"
