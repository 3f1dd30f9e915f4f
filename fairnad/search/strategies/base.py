"""No search at all: the base, trained as often as the others train their children."""

from __future__ import annotations

from fairnad.config import Config
from fairnad.records import Recheck

__all__ = ["base"]


def base(config: Config) -> Config:
    """Spend the whole budget on trainings of the base with fresh seeds."""
    return config.model_copy(update={"recheck": Recheck(networks=1, trainings=config.budget)})
