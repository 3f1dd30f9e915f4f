"""Fairly drawn ideas without a search: every child is the base changed by one of them."""

from __future__ import annotations

from fairnad.config import Config

__all__ = ["best_of_n"]


def best_of_n(config: Config) -> Config:
    """Make all children independently of each other, from the base, with ideas drawn as the method draws them."""
    plan = config.plan.model_copy(
        update={
            "initial": max(1, config.num_children),
            # Children that fail are made up for by Stage I, which then asks for further children of the base.
            "fair": config.plan.initial,
            "pareto": 0,
            "iterative_parents": 0,
            "base_is_eligible": True,
            "mutations": {"I": "base-alone"},
        }
    )
    return config.model_copy(update={"plan": plan})
