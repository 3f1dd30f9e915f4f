"""What anybody would try first: the base as wide as the limits allow, trained as often as others train children."""

from __future__ import annotations

from fairnad.config import Config
from fairnad.errors import ConfigError
from fairnad.records import Limits
from fairnad.search.strategies.base import base

__all__ = ["widen"]


def widen(config: Config) -> Config:
    """Spend the whole budget on trainings of the widened base with fresh seeds.

    Raises:
        ConfigError: there are no limits.
    """
    if config.limits == Limits():
        raise ConfigError("strategy 'widen' needs limits to widen the base to: set limits.params or limits.flops")
    return base(config.model_copy(update={"base": config.base.model_copy(update={"widened": True})}))
