"""What an operator is, what it may touch, and what it hands back."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from fairnad.architectures.source import Source

__all__ = ["Operator", "Rewrite", "Scope"]


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A changed source, and in a few words what was done to what."""

    text: str
    note: str


@dataclass(frozen=True, slots=True)
class Scope:
    """The classes and functions that may be altered, in the order of the text, and the idea's words in lower case."""

    owners: tuple[str, ...]
    wish: str = ""

    @property
    def has_network(self) -> bool:
        """Whether `Network` itself may be altered."""
        return "Network" in self.owners


Apply = Callable[[Source, Scope, random.Random], Rewrite | None]


@dataclass(frozen=True, slots=True)
class Operator:
    """One transformation of a source; `apply` returns None where it does not apply.

    It realises ideas of the main categories `mains`, best those whose text has one of `keywords`. `prefix` begins the
    name of a block class that was copied and changed ("Silu" for `SiluResidualBlock`); "" for an operator that alters
    `Network` only.
    """

    name: str
    apply: Apply
    mains: tuple[str, ...]
    keywords: tuple[str, ...]
    prefix: str = ""
