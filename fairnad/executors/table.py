"""A table of known results: a training is a look-up. Reads the file, and says what a search may see of it.

The truth of a cell is the mean accuracy over its seeds. Both columns of the file are test accuracies: what is found
here compares searches with each other, not with what was chosen on a validation split.
"""

from __future__ import annotations

import csv
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import product
from pathlib import Path

from fairnad.architectures.cells import EDGES, OPERATIONS, Cell, parse_cell
from fairnad.errors import ConfigError, nearest
from fairnad.executors.base import Finished, Started, Training
from fairnad.records import Trained

__all__ = ["CellTable", "Entry", "Lookups", "Signal", "Spent", "TableExecutor", "read_table"]

_NOISE = {"cifar10": 0.0016, "cifar100": 0.0046}
"""Standard deviation of one training's test accuracy over seeds."""

_MAX_REPEATS = 50
"""Look-ups for each one of the budget after which a search that only repeats itself is ended."""

_EPOCHS = 200


class Signal(str, Enum):
    """What a search sees of a cell."""

    CLEAN = "clean"
    """The truth."""
    ONE_SEED = "one-seed"
    """The one seed of the file: the same luck in every search."""
    FRESH = "fresh"
    """The truth and Gaussian noise, new for each search."""


class Spent(Exception):
    """The look-ups of a search are used up: no error, but how a search without an end of its own comes to one."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Test accuracies of one cell, as fractions: the mean over seeds, and that of one seed."""

    truth: float
    one_seed: float


@dataclass(frozen=True, slots=True)
class CellTable:
    """All cells of `operations` with their results on one data set."""

    dataset: str
    operations: tuple[str, ...]
    entries: Mapping[Cell, Entry]

    @property
    def best(self) -> float:
        """The highest truth of the table."""
        return max(entry.truth for entry in self.entries.values())

    def random_cell(self, rng: random.Random) -> Cell:
        """Return a cell drawn uniformly."""
        return Cell(tuple(rng.choice(self.operations) for _ in EDGES))


def read_table(path: Path, dataset: str) -> CellTable:
    """Return the results on `dataset` in the CSV file `path`: columns arch, `X_test` and `X_test_one_seed` in percent.

    The file may know some of the operations only, but then every cell of these.

    Raises:
        ConfigError: it cannot be read, a column or a cell is missing, or a line is not understood.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            _check_columns(path, rows.fieldnames or (), dataset)
            entries = _entries(path, rows, dataset)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(
            f"table {path} cannot be read: {why}; expected a CSV file with the columns {', '.join(_columns(dataset))} "
            "and a line for each of the 15,625 cells, made from the results file of NAS-Bench-201 "
            "(benchmarks/README.md says how)"
        ) from error
    operations = tuple(name for name in OPERATIONS if any(name in cell.operations for cell in entries))
    missing = len(operations) ** len(EDGES) - len(entries)
    if missing or len(operations) < 2:
        example = next((Cell(names) for names in product(operations, repeat=6) if Cell(names) not in entries), "")
        raise ConfigError(
            f"table {path} has {len(entries)} cells of the operations {', '.join(operations) or 'none'}; expected "
            f"every cell of at least two operations, {missing} are missing, such as {example}"
        )
    return CellTable(dataset, operations, entries)


class Lookups:
    """What one search has looked up: a cell has one signal a search, a repeat is free, `budget` cells may be seen."""

    def __init__(self, table: CellTable, signal: Signal, *, seed: int, budget: int) -> None:
        if signal is Signal.FRESH and table.dataset not in _NOISE:
            raise ConfigError(
                f"the noise of {table.dataset!r} is not known, only that of {', '.join(_NOISE)}; take another signal"
            )
        self.table = table
        self.budget = budget
        self.seed = seed
        self._signal = signal
        self._seen: dict[Cell, float] = {}
        self._num_asked = 0

    @property
    def seen(self) -> Mapping[Cell, float]:
        """The signals of the cells that were looked up, in order of the first time."""
        return self._seen

    def __call__(self, cell: Cell) -> float:
        """Return the signal of `cell`.

        Raises:
            Spent: the budget is used up and the cell is a new one, or the search did nothing but repeat itself.
        """
        self._num_asked += 1
        if self._num_asked > _MAX_REPEATS * self.budget:
            raise Spent
        if cell not in self._seen:
            if len(self._seen) == self.budget:
                raise Spent
            self._seen[cell] = self.train(cell, 0)
        return self._seen[cell]

    def train(self, cell: Cell, repeat: int) -> float:
        """Return the signal of the training number `repeat` of `cell`, 0 being that of the search; counts nothing."""
        entry = self.table.entries[cell]
        if self._signal is Signal.CLEAN:
            return entry.truth
        if self._signal is Signal.ONE_SEED:
            return entry.one_seed
        noise = random.Random(f"{self.seed}/{repeat}/{cell}").gauss(0.0, _NOISE[self.table.dataset])
        return entry.truth + noise


class TableExecutor:
    """Trains by look-up, in one slot and in no time; what it gives back is in the order of submission."""

    num_slots = 1

    def __init__(self, lookups: Lookups) -> None:
        self._lookups = lookups
        self._waiting: list[Training] = []

    def submit(self, training: Training) -> None:
        """Queue a look-up."""
        self._waiting.append(training)

    def messages(self, *, timeout_seconds: float | None) -> tuple[Started | Finished, ...]:
        """Return start and end of every look-up since the last call.

        Raises:
            Spent: as Lookups.
        """
        waiting, self._waiting = self._waiting, []
        return tuple(message for training in waiting for message in self._run(training))

    def close(self) -> None:
        """Nothing runs between calls."""

    def _run(self, training: Training) -> tuple[Started, Finished]:
        now = time.time()
        outcome = Trained(
            accuracy=self._lookups(parse_cell(training.source)),
            split="test",
            epochs=_EPOCHS,
            seed=training.seed,
            losses=(),
            seconds=0.0,
            images_per_second=0.0,
            peak_memory_bytes=0,
        )
        return Started(training, 0, now), Finished(training, 0, now, outcome)


def _columns(dataset: str) -> tuple[str, str, str]:
    return "arch", f"{dataset}_test", f"{dataset}_test_one_seed"


def _check_columns(path: Path, found: Sequence[str], dataset: str) -> None:
    missing = [name for name in _columns(dataset) if name not in found]
    if not missing:
        return
    known = [name.removesuffix("_test") for name in found if name.endswith("_test")]
    hint = f"; of the data sets in it {nearest(dataset, known)}" if known else ""
    raise ConfigError(f"table {path} has no column {', '.join(missing)}; it has {', '.join(found) or 'none'}{hint}")


def _entries(path: Path, rows: csv.DictReader[str], dataset: str) -> dict[Cell, Entry]:
    entries: dict[Cell, Entry] = {}
    for row in rows:
        where = f"table {path}, line {rows.line_num}"
        try:
            cell = parse_cell(row["arch"] or "")
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from error
        if cell in entries:
            raise ConfigError(f"{where}: cell {cell} is there twice")
        entries[cell] = Entry(*(_accuracy(row, f"{dataset}_{name}", where) for name in ("test", "test_one_seed")))
    return entries


def _accuracy(row: Mapping[str, str | None], column: str, where: str) -> float:
    try:
        percent = float(row[column] or "")
    except ValueError:
        percent = -1.0
    if not 0.0 <= percent <= 100.0:
        raise ConfigError(f"{where}: {column} is {row[column]!r}, expected an accuracy in percent")
    return percent / 100
