"""Regularised evolution: the oldest of the population dies, whatever its accuracy."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass

from fairnad.architectures.cells import Cell, neighbours
from fairnad.executors.table import Lookups
from fairnad.search.cell_strategies.base import NUM_START, start_cells

__all__ = [
    "POPULATION_10",
    "POPULATION_10_REPEATS",
    "POPULATION_50",
    "POPULATION_50_REPEATS",
    "RegularisedEvolution",
]


@dataclass(frozen=True, slots=True)
class RegularisedEvolution:
    """Source: Real et al. 2019, "Regularized evolution for image classifier architecture search", Algorithm 1.

    The parent is the best of `sample` members drawn with replacement, the child differs from it on one edge. Without
    `repeats` a child is new to the search: an uniformly drawn one of the neighbours that are.
    """

    population: int
    sample: int
    repeats: bool

    def __call__(self, lookups: Lookups) -> None:
        """Evolve from random cells; of more start cells than the population holds the best live."""
        rng = random.Random(f"{lookups.seed}/evolution")
        started = start_cells(lookups, max(NUM_START, self.population))
        alive = sorted(started, key=lookups, reverse=True)[: self.population]
        population = deque(cell for cell in started if cell in alive)
        while True:
            child = self._child(population, lookups, rng)
            lookups(child)
            population.append(child)
            population.popleft()

    def _child(self, population: deque[Cell], lookups: Lookups, rng: random.Random) -> Cell:
        parent = max((rng.choice(population) for _ in range(self.sample)), key=lookups.seen.__getitem__)
        found = neighbours(parent, lookups.table.operations)
        new = [cell for cell in found if cell not in lookups.seen]
        # A parent whose neighbours are all known has nothing new to give; its child is then a repeat, and free.
        return rng.choice(found if self.repeats or not new else new)


POPULATION_50 = RegularisedEvolution(population=50, sample=10, repeats=False)
POPULATION_50_REPEATS = RegularisedEvolution(population=50, sample=10, repeats=True)
POPULATION_10 = RegularisedEvolution(population=10, sample=10, repeats=False)
POPULATION_10_REPEATS = RegularisedEvolution(population=10, sample=10, repeats=True)
