"""What a strategy on a table is, and the table of the known ones."""

from __future__ import annotations

import random
from collections.abc import Callable

from fairnad.architectures.cells import Cell
from fairnad.executors.table import Lookups

__all__ = ["NUM_START", "STRATEGIES", "Strategy", "start_cells"]

Strategy = Callable[[Lookups], None]
"""Asks for one cell after the other until `Spent` is raised; everything it draws is drawn from `lookups.seed`."""

STRATEGIES = {
    "random": "fairnad.search.cell_strategies.random_search:random_search",
    "evolution-50-repeats": "fairnad.search.cell_strategies.evolution:POPULATION_50_REPEATS",
    "evolution-50": "fairnad.search.cell_strategies.evolution:POPULATION_50",
    "evolution-10-repeats": "fairnad.search.cell_strategies.evolution:POPULATION_10_REPEATS",
    "evolution-10": "fairnad.search.cell_strategies.evolution:POPULATION_10",
    "local-search": "fairnad.search.cell_strategies.local_search:local_search",
    "fairnad": "fairnad.search.cell_strategies.stages:STAGES",
    "fairnad-repeats": "fairnad.search.cell_strategies.stages:STAGES_REPEATS",
    "fairnad-half": "fairnad.search.cell_strategies.stages:STAGES_HALF",
}
"""Known strategies: name -> "module:attribute". `my_package.mine:attribute` works too."""

NUM_START = 20
"""Random cells that every search begins with."""


def start_cells(lookups: Lookups, count: int = NUM_START) -> list[Cell]:
    """Return `count` random cells, all different; the same for every strategy of one seed, as far as they go."""
    rng = random.Random(f"{lookups.seed}/start")
    cells: dict[Cell, None] = {}
    while len(cells) < count:
        cells[lookups.table.random_cell(rng)] = None
    return list(cells)
