"""The usual search over the same drafts: tournaments, and the oldest dies."""

from __future__ import annotations

from fairnad.config import Config

__all__ = ["regularised_evolution"]

_SHARE = 3
"""A third of the budget is the first population; on demo and paper budgets that leaves many tournaments ..."""
_SMALLEST, _LARGEST = 4, 50
"""... within these bounds."""


def regularised_evolution(config: Config) -> Config:
    """Begin with a population of children of the base, then go on by tournaments, as many at a time as Stage I makes.

    Source: Real et al. 2019, "Regularized evolution for image classifier architecture search".
    """
    population = min(_LARGEST, max(_SMALLEST, config.num_children // _SHARE))
    plan = config.plan.model_copy(
        update={
            "initial": population,
            "fair": max(1, config.plan.fair),
            "pareto": 0,
            "iterative_parents": 0,
            "mutations": {"I": "tournament"},
        }
    )
    return config.model_copy(update={"plan": plan})
