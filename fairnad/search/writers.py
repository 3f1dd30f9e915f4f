"""Who writes the drafts of a search: the rules, or a language model with its endpoint, journal and spend."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from fairnad.config import Config
from fairnad.generators.base import GENERATORS, Generator
from fairnad.generators.fit import Measure
from fairnad.history.store import History
from fairnad.knowledge.ideas import IdeaDatabase
from fairnad.plugins import load
from fairnad.records import DatasetInfo

__all__ = ["writer"]


@contextlib.contextmanager
def writer(
    config: Config,
    ideas: IdeaDatabase,
    dataset: DatasetInfo,
    measure: Measure,
    history: History,
    *,
    replayed: History | None = None,
) -> Iterator[Generator]:
    """Yield the generator that `config` names; where a search is `replayed`, its journal answers for the model.

    Raises:
        ConfigError: no endpoint is configured, or the prompts cannot be used.
        LLMError: the endpoint cannot be reached or used.
    """
    make = load(config.drafts.generator, GENERATORS, what="generator")
    yield make(ideas=ideas.ideas, measure=measure)
