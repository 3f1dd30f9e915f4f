"""What a judge is, and the table of the known ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from fairnad.records import Failure, Limits, Verdict
from fairnad.sandbox.wire import VerifyReport

__all__ = ["VERIFIERS", "Evidence", "Judge", "Known", "Objection", "SourceVerifier"]

VERIFIERS = {
    "limits": "fairnad.verification.limits:judge",
    "structure": "fairnad.verification.structure:judge",
    "integrity": "fairnad.verification.integrity:judge",
}
"""Judges in the order in which they are asked: name -> "module:function"."""


@dataclass(frozen=True, slots=True)
class Known:
    """The graphs that a new one is compared with: hashes of the history, and of the parent."""

    history: frozenset[str] = frozenset()
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a judge sees: an executed network, and the rules it is held to."""

    report: VerifyReport
    graph_hash: str
    known: Known
    limits: Limits
    integrity: Literal["enforce", "warn", "off"] = "enforce"
    novel_in: Literal["history", "parent"] = "history"
    structure_judge: Literal["graph", "llm"] = "graph"


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a judge refuses; `reason` is an instruction to whoever mends the source. A mere warning refuses nothing."""

    failure: Failure
    reason: str
    is_warning: bool = False


Judge = Callable[[Evidence], Objection | None]


class SourceVerifier(Protocol):
    """Whoever gives the verdict on a whole source."""

    def judge(self, source: str, known: Known) -> Verdict:
        """Return the verdict on `source`, compared with the graphs that are `known`."""
