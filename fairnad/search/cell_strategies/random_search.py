"""Random search: the yardstick's zero."""

from __future__ import annotations

import random

from fairnad.executors.table import Lookups

__all__ = ["random_search"]


def random_search(lookups: Lookups) -> None:
    """Look up cells drawn uniformly."""
    rng = random.Random(f"{lookups.seed}/random")
    while True:
        lookups(lookups.table.random_cell(rng))
