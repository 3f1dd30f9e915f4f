"""Which of several places an operator takes: at random, led by what the idea's text says."""

from __future__ import annotations

import random
import re

from fairnad.architectures.source import Source
from fairnad.generators.operators.base import Scope
from fairnad.generators.operators.sites import Site, exposed_attributes, is_part

__all__ = ["choose_sites", "main_sites", "outside", "replaceable"]

_ORDINALS = {"first": 0, "second": 1, "last": -1}
_ALL = re.compile(r"\b(every|each|both|all|any) (\w+ )?(conv|relu|3x3|activation|norm|batch)")


def main_sites(source: Source, sites: list[Site]) -> list[Site]:
    """Return the sites off shortcuts and gates and in classes of the network's own, if there are any."""
    own = [site for site in sites if not is_part(source, site.owner)] or sites
    return [site for site in own if not site.is_on_side] or own


def outside(source: Source, owners: tuple[str, ...], part: str) -> list[str]:
    """Return `owners` without those that any version of the class `part` is made of: no class may hold itself."""
    versions = [name for name in source.classes if name.rstrip("0123456789") == part]
    inner = {name for version in versions for name in source.reached_from(version)}
    return [owner for owner in owners if owner not in inner]


def replaceable(source: Source, sites: list[Site]) -> list[Site]:
    """Return the sites whose layer no other code reads into."""
    exposed = exposed_attributes(source)
    return [site for site in sites if site.attribute not in exposed]


def choose_sites(source: Source, sites: list[Site], scope: Scope, rng: random.Random) -> list[Site]:
    """Return the sites to change: one, or all of one class; none if there are none."""
    sites = main_sites(source, sites)
    if not sites:
        return []
    owner = rng.choice(list(dict.fromkeys(site.owner for site in sites)))
    group = [site for site in sites if site.owner == owner]
    for word, index in _ORDINALS.items():
        if re.search(rf"\b{word} (\w+ )?conv", scope.wish) and len(group) > 1:
            return [group[index]]
    if _ALL.search(scope.wish) or rng.random() < 0.4:
        return group
    return [rng.choice(group)]
