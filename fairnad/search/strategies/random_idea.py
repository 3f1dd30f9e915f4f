"""Ideas without fair drawing and without a search: the zero against which both are measured."""

from __future__ import annotations

from fairnad.config import Config
from fairnad.search.strategies.best_of_n import best_of_n

__all__ = ["random_idea"]


def random_idea(config: Config) -> Config:
    """Make all children independently, from the base, with ideas drawn uniformly from the whole database."""
    return best_of_n(config.model_copy(update={"ideas": config.ideas.model_copy(update={"level": "none"})}))
