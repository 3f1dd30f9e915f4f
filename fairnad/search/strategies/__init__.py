"""Ways to spend a budget of trainings, each of them a change of the configuration of a search.

A strategy may set the plan, how ideas are drawn, the recheck and whether the base is widened; all else stays as given.
"""

from __future__ import annotations

from collections.abc import Callable

from fairnad.config import Config
from fairnad.plugins import load

__all__ = ["STRATEGIES", "Strategy", "apply"]

Strategy = Callable[[Config], Config]

STRATEGIES = {
    "base": "fairnad.search.strategies.base:base",
    "widen": "fairnad.search.strategies.widen:widen",
    "random-idea": "fairnad.search.strategies.random_idea:random_idea",
    "best-of-n": "fairnad.search.strategies.best_of_n:best_of_n",
    "regularised-evolution": "fairnad.search.strategies.regularised_evolution:regularised_evolution",
    "fairnad": "fairnad.search.strategies.method:method",
}
"""Known strategies, in the order of tables: name -> "module:attribute"; `my_package.mine:attribute` works too."""


def apply(config: Config) -> Config:
    """Return `config` as the strategy that it names sets it.

    Raises:
        ConfigError: the strategy is not known.
    """
    strategy: Strategy = load(config.strategy, STRATEGIES, what="strategy")
    return strategy(config)
