"""Stored runs of several strategies, read and checked for being comparable. Works on histories alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from fairnad.errors import ConfigError, HistoryError, nearest
from fairnad.history.store import History
from fairnad.records import Child, Trained
from fairnad.search.compare import differences, flat, read_plan, run_folders
from fairnad.search.retrain import finals
from fairnad.search.strategies import STRATEGIES

__all__ = ["Comparison", "StoredRun", "read_comparison"]


@dataclass(frozen=True, slots=True)
class StoredRun:
    """One finished search and the final trainings of its pick. Accuracies are fractions.

    `best_so_far` is the highest validation accuracy after each training of the search, in the order of the children,
    the base's first, those of a recheck last; `validation` is what the pick was picked by.
    """

    strategy: str
    seed: int
    settings: Mapping[str, object]
    pick: Child
    best_so_far: tuple[float, ...]
    validation: float
    finals: Mapping[int, float]
    num_failed: int
    epochs: int

    @property
    def test(self) -> float:
        """The mean test accuracy of the final trainings."""
        return sum(self.finals.values()) / len(self.finals)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Runs of each strategy on the same seeds, and of the same settings but for strategy and seed."""

    reference: str
    strategies: tuple[str, ...]
    seeds: tuple[int, ...]
    runs: Mapping[tuple[str, int], StoredRun]

    def of(self, strategy: str) -> tuple[StoredRun, ...]:
        """Return the runs of one strategy in the order of the seeds."""
        return tuple(self.runs[strategy, seed] for seed in self.seeds)

    def setting(self, key: str) -> object:
        """Return a setting that all runs share, by its dotted key; None if there is no such key."""
        return next(iter(self.runs.values())).settings.get(key)

    @property
    def epochs(self) -> int:
        """The epochs of every training."""
        return next(iter(self.runs.values())).epochs

    @property
    def num_finals(self) -> int:
        """The final trainings of each pick."""
        run = next(iter(self.runs.values()))
        return len(run.finals) + run.num_failed


def read_comparison(folders: Sequence[Path], *, reference: str | None = None) -> Comparison:
    """Return the comparison of the runs in `folders`: jobs, runs or folders of runs.

    The reference, where none is named, is that of the job; without a job "base", or the first strategy.

    Raises:
        HistoryError: a folder holds no run, or one that is not finished or of another version.
        ConfigError: the runs differ in more than strategy and seed, or do not pair up; the list says how.
    """
    runs = [_read(path) for folder in folders for path in run_folders(folder)]
    _check_settings(runs)
    table = {(run.strategy, run.seed): run for run in runs}
    names = [run.strategy for run in runs]
    strategies = tuple(dict.fromkeys([*(name for name in STRATEGIES if name in names), *names]))
    seeds = tuple(sorted({run.seed for run in runs}))
    _check_pairs(runs, strategies, seeds)
    planned = next((plan.reference for plan in map(read_plan, folders) if plan is not None), None)
    chosen = reference or planned or ("base" if "base" in strategies else strategies[0])
    if chosen not in strategies:
        raise ConfigError(f"reference {chosen!r} is not among the strategies: {nearest(chosen, strategies)}")
    return Comparison(chosen, strategies, seeds, table)


def _read(folder: Path) -> StoredRun:
    with History.open(folder) as history:
        best = history.best()
        if best is None or history.state != "finished":
            raise HistoryError(f"the search in {folder} is not finished ({history.state}); go on with it first")
        done = finals(history, best)
        tested = {seed: one for seed, one in sorted(done.items()) if isinstance(one, Trained)}
        if not tested:
            raise HistoryError(
                f"{folder}: child {best.id}, its pick, has no final training; `fairnad retrain` makes one"
            )
        return StoredRun(
            strategy=str(history.config.get("strategy", "fairnad")),
            seed=history.run.seed,
            settings={
                **flat(history.config),
                "version of FairNAD": history.run.fairnad_version,
                "version of torch": history.run.torch_version,
                "final trainings": len(done),
            },
            pick=best,
            best_so_far=tuple(accumulate(_validated(history), max)),
            validation=history.rechecked().get(best.id, best.accuracy or 0.0),
            finals={seed: one.accuracy for seed, one in tested.items()},
            num_failed=len(done) - len(tested),
            epochs=next(iter(tested.values())).epochs,
        )


def _validated(history: History) -> Iterable[float]:
    """Yield the validation accuracies of all trainings that ended well: the search's, then those of its recheck."""
    children = history.children()
    yield from (child.accuracy for child in children if child.accuracy is not None)
    again = [
        (one.seed, child.id, one.outcome)
        for child in children
        for one in history.evaluations(child.id)
        if one.purpose == "recheck"
    ]
    # By seed, not as recorded: which of several slots is done first is chance.
    for _, _, outcome in sorted(again, key=lambda found: found[:2]):
        if isinstance(outcome, Trained):
            yield outcome.accuracy


def _check_settings(runs: Sequence[StoredRun]) -> None:
    first = runs[0]
    told: dict[str, str] = {}
    for run in runs[1:]:
        for line in differences(first.settings, run.settings):
            told.setdefault(line, f"{first.strategy} seed {first.seed}, {run.strategy} seed {run.seed}")
    if told:
        listed = "; ".join(f"{line} ({where})" for line, where in told.items())
        raise ConfigError(f"the runs differ in more than strategy and seed: {listed}")


def _check_pairs(runs: Sequence[StoredRun], strategies: Sequence[str], seeds: Sequence[int]) -> None:
    counts = Counter((run.strategy, run.seed) for run in runs)
    wanted = [(name, seed) for name in strategies for seed in seeds]
    told = [f"{name} seed {seed}: {counts[name, seed]} runs" for name, seed in wanted if counts[name, seed] != 1]
    if told:
        raise ConfigError(f"every strategy needs one run of every seed: {'; '.join(told)}")
