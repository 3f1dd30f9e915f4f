"""A comparison as a table in Markdown: every number with its split, epochs, seeds and n. Neither date nor machine."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean, stdev

from fairnad import __version__
from fairnad.report.comparison import Comparison, StoredRun
from fairnad.report.statistics import CONFIDENCE, Difference, few_seeds, holm, paired_difference

__all__ = ["compared", "epochs_text", "head", "interval_text", "markdown", "notes", "rows", "title"]


def markdown(comparison: Comparison) -> str:
    """Return title, table and notes."""
    columns = head(comparison)
    lines = [columns, ("---",) * len(columns), *rows(comparison)]
    shown = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    told = "\n".join(f"- {line}" for line in notes(comparison))
    return f"### {title(comparison)}\n\n{shown}\n\n{told}\n"


def title(comparison: Comparison) -> str:
    """Return the title of the table; fewer than three seeds are told here."""
    return (
        f"{few_seeds(len(comparison.seeds))}{comparison.setting('dataset')}, budget {comparison.setting('budget')}: "
        f"test accuracy of each strategy's pick, {epochs_text(comparison)}, n = {len(comparison.seeds)} "
        f"({_seeds(comparison.seeds)})"
    )


def head(comparison: Comparison) -> tuple[str, ...]:
    """Return the columns of `rows`."""
    return (
        "strategy",
        "params of the pick",
        "FLOPs of the pick",
        "highest validation %",
        "test %, mean +- std",
        f"test minus {comparison.reference}, paired [{100 * CONFIDENCE:.0f} %]",
        "p, Holm",
    )


def rows(comparison: Comparison) -> list[tuple[str, ...]]:
    """Return one row a strategy; the reference has no difference to itself."""
    found = compared(comparison)
    told: list[tuple[str, ...]] = []
    for name in comparison.strategies:
        runs = comparison.of(name)
        difference = found.get(name)
        told.append(
            (
                name,
                f"{mean(run.pick.costs.params for run in runs) / 1e6:.3f} M",
                f"{mean(run.pick.costs.flops for run in runs) / 1e6:.2f} M",
                _spread([run.best_so_far[-1] for run in runs]),
                _spread([run.test for run in runs]),
                "" if difference is None else interval_text(difference),
                "" if difference is None or difference.p is None else f"{difference.p:.3f}",
            )
        )
    return told


def compared(comparison: Comparison) -> dict[str, Difference]:
    """Return each strategy's difference to the reference in test accuracy, paired by seed, p-values corrected."""
    others = [name for name in comparison.strategies if name != comparison.reference]
    tests = {name: [run.test for run in comparison.of(name)] for name in comparison.strategies}
    found = {name: paired_difference(tests[name], tests[comparison.reference]) for name in others}
    p_values = {name: one.p for name, one in found.items() if one.p is not None}
    corrected = dict(zip(p_values, holm(list(p_values.values())), strict=True))
    return {name: Difference(one.mean, one.low, one.high, corrected.get(name)) for name, one in found.items()}


def epochs_text(comparison: Comparison) -> str:
    """Return the length of every training."""
    return f"{comparison.epochs} epoch{'' if comparison.epochs == 1 else 's'}"


def interval_text(difference: Difference) -> str:
    """Return a difference with its interval in percentage points."""
    if difference.low is None or difference.high is None:
        return f"{100 * difference.mean:+.2f}"
    return f"{100 * difference.mean:+.2f} [{100 * difference.low:+.2f}, {100 * difference.high:+.2f}]"


def notes(comparison: Comparison) -> list[str]:
    """Return what must be known to read the table."""
    budget, count = comparison.setting("budget"), len(comparison.seeds)
    final = [seed for run in comparison.runs.values() for seed in run.finals]
    told = [
        f"Each of the n = {count} searches of a strategy spends {budget} trainings beside the base's, of "
        f"{epochs_text(comparison)}; its pick is the network of the highest validation accuracy.",
        f"Highest validation: of all trainings of a search, on the validation split, mean +- standard deviation of n = "
        f"{count}. The highest of many is partly luck: it says what a search saw, not what its pick is worth.",
        f"Test: the pick is trained {comparison.num_finals} times anew with seeds that no search used ({min(final)} to "
        f"{max(final)}, others for each seed of a search, the same for every strategy) and scored on the test split at "
        f"the last epoch; a search counts with its mean, and the standard deviation is over the n = {count} searches.",
    ]
    if len(comparison.strategies) > 1 and count > 1:
        told.append(
            f"Differences are paired by the seed of the search, with the interval and two-sided p-value of the paired "
            f"t-test, n = {count}; p is corrected for the number of strategies (Holm)."
        )
    recheck = comparison.setting("recheck")
    if recheck is not None:
        told.append(f"Recheck {recheck}: inside the budget, the best were trained again; the pick has the best mean.")
    version = comparison.setting("version of FairNAD")
    if version != __version__:
        told.append(f"The runs were made by FairNAD {version}; this table by {__version__}.")
    return [*told, *_shortcomings(comparison)]


def _shortcomings(comparison: Comparison) -> list[str]:
    """Return a line for each run that did not come to its full number of trainings."""
    budget = comparison.setting("budget")
    full = budget + 1 if isinstance(budget, int) else 0
    return [
        f"{_name(run)}: {len(run.best_so_far)} of {full} trainings of the search ended well."
        for run in comparison.runs.values()
        if len(run.best_so_far) < full
    ] + [
        f"{_name(run)}: {run.num_failed} of {comparison.num_finals} final trainings failed and are left out."
        for run in comparison.runs.values()
        if run.num_failed
    ]


def _name(run: StoredRun) -> str:
    return f"{run.strategy}, seed {run.seed}"


def _seeds(seeds: Sequence[int]) -> str:
    is_range = len(seeds) > 1 and list(seeds) == list(range(seeds[0], seeds[-1] + 1))
    listed = f"{seeds[0]} to {seeds[-1]}" if is_range else ", ".join(map(str, seeds))
    return f"seed {listed}" if len(seeds) == 1 else f"seeds {listed}"


def _spread(values: Sequence[float]) -> str:
    """Return mean and standard deviation of fractions, in percent; of one value only that."""
    deviation = f" +- {100 * stdev(values):.2f}" if len(values) > 1 else ""
    return f"{100 * mean(values):.2f}{deviation}"
