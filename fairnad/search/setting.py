"""What a configuration comes to on this machine, and what of it is looked at before anything is written."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairnad.config import Config
from fairnad.errors import ConfigError
from fairnad.executors.base import EXECUTORS
from fairnad.executors.devices import Place, discover, places
from fairnad.generators.base import GENERATORS
from fairnad.history.store import History
from fairnad.knowledge.attributes import AttributeTree
from fairnad.knowledge.files import find_knowledge
from fairnad.knowledge.ideas import IdeaDatabase
from fairnad.mutations.base import MUTATIONS
from fairnad.plugins import load
from fairnad.resources import resource
from fairnad.search.strategies import apply

__all__ = ["Setting", "check_names", "settle", "take_changes"]

_MAY_CHANGE = ("budget", "llm", "executor", "data_root", "split_dir")
"""What may be edited in the config.yaml of a run: what was trained before compares with what is trained then."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A configuration, and what of it can be wrong and is looked at before anything is written."""

    config: Config
    tree: AttributeTree
    ideas: IdeaDatabase
    places: tuple[Place, ...]


def settle(config: Config) -> Setting:
    """Return `config`, as its strategy sets it, with its ideas and places; say now what of it cannot be used.

    Raises:
        ConfigError: a strategy that is not known, a device that is not there.
        KnowledgeError: ideas that cannot be read.
    """
    config = apply(config)
    files = find_knowledge(Path(config.ideas.path) if config.ideas.path else resource("knowledge"))
    tree = AttributeTree.load(files.tree)
    ideas = IdeaDatabase.load(files.ideas, tree)
    where = places(discover(config.executor), config.executor, num_cores=len(os.sched_getaffinity(0)))
    return Setting(config, tree, ideas, where)


def check_names(config: Config) -> None:
    """Find all that a search by `config` will call by name; what only looks at a run may do without some of it.

    Raises:
        ConfigError: a generator, an executor or a mutation is not known, or cannot be imported.
    """
    load(config.drafts.generator, GENERATORS, what="generator")
    load(config.executor.name, EXECUTORS, what="executor")
    for name in config.plan.mutations.values():
        load(name, MUTATIONS, what="mutation")


def take_changes(history: History, config: Config) -> bool:
    """Record what was edited in the configuration of the run of `history`; return whether anything was.

    Raises:
        ConfigError: what was edited would make it another search.
    """
    now = config.model_dump(mode="json")
    changed = list(_differences("", history.config, now))
    for name, then, given in changed:
        if name.partition(".")[0] not in _MAY_CHANGE:
            raise ConfigError(
                f"config.yaml: {name} is {given}, but the run began with {then}, and its trainings would not compare: "
                "put it back, or begin another search"
            )
    if changed:
        history.set_config(now)
    return bool(changed)


def _differences(prefix: str, then: Mapping[str, object], now: Mapping[str, object]) -> Iterator[tuple[str, Any, Any]]:
    """Yield (name, value then, value now) of what both have, which a run of another version may not."""
    for key in then.keys() & now.keys():
        before, after = then[key], now[key]
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from _differences(f"{prefix}{key}.", before, after)
        elif before != after:
            yield f"{prefix}{key}", before, after
