"""Local search: the first better neighbour is the next cell; at a peak, begin again somewhere else."""

from __future__ import annotations

import random

from fairnad.architectures.cells import Cell, neighbours
from fairnad.executors.table import Lookups
from fairnad.search.cell_strategies.base import start_cells

__all__ = ["local_search"]


def local_search(lookups: Lookups) -> None:
    """Climb from the best start cell, later from random ones.

    Source: White et al. 2021, "Exploring the loss landscape in neural architecture search".
    """
    rng = random.Random(f"{lookups.seed}/local")
    cell = max(start_cells(lookups), key=lookups)
    while True:
        cell = _better(cell, lookups, rng) or lookups.table.random_cell(rng)
        lookups(cell)


def _better(cell: Cell, lookups: Lookups, rng: random.Random) -> Cell | None:
    """Return a neighbour of a higher signal than `cell`, asked for in random order, or None at a peak."""
    around = list(neighbours(cell, lookups.table.operations))
    rng.shuffle(around)
    return next((other for other in around if lookups(other) > lookups.seen[cell]), None)
