"""What a configuration comes to on this machine, and what of it is looked at before anything is written."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from fairnad.config import Config
from fairnad.executors.base import EXECUTORS
from fairnad.executors.devices import Place, discover, places
from fairnad.generators.base import GENERATORS
from fairnad.knowledge.attributes import AttributeTree
from fairnad.knowledge.files import find_knowledge
from fairnad.knowledge.ideas import IdeaDatabase
from fairnad.mutations.base import MUTATIONS
from fairnad.plugins import load
from fairnad.resources import resource
from fairnad.search.strategies import apply

__all__ = ["Setting", "check_names", "settle"]


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
