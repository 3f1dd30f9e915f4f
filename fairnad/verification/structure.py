"""The judge of structure: really a new network, of several layers, the same each time it is built."""

from __future__ import annotations

from dataclasses import replace

from fairnad.architectures.graph import weighted_depth
from fairnad.records import Failure, Graph, Verdict
from fairnad.verification.base import Evidence, Objection

__all__ = ["MIN_WEIGHTED_LAYERS", "judge", "repeats", "too_shallow"]

MIN_WEIGHTED_LAYERS = 3
"""Weighted layers with a nonlinearity between them on the longest path to the logits, the classifier not counted."""

_KNOWN = "the built network is the same as an earlier one of this search; make a different change"


def judge(evidence: Evidence) -> Objection | None:
    """Return an objection if the graph is known, too shallow, or changes from one construction to the next.

    Where a language model judges the structure, whether it is too shallow is left to it.
    """
    shallow = too_shallow(evidence.report.eval_graph) if evidence.structure_judge == "graph" else None
    reason = _novelty(evidence) or shallow or _stability(evidence)
    return Objection(Failure.STRUCTURE, reason) if reason else None


def repeats(verdict: Verdict) -> Verdict:
    """Return the refusal of a network that was accepted, but is the same as one that was recorded meanwhile."""
    return replace(verdict, failure=Failure.STRUCTURE, reason=_KNOWN)


def too_shallow(graph: Graph | None) -> str | None:
    """Return why a network is none of several layers; None if it is one."""
    depth = weighted_depth(graph) if graph is not None else 0
    if depth >= MIN_WEIGHTED_LAYERS:
        return None
    return (
        f"the network has {depth} weighted layers with nonlinearities between them before its classifier; "
        f"at least {MIN_WEIGHTED_LAYERS} are needed"
    )


def _novelty(evidence: Evidence) -> str | None:
    if evidence.graph_hash == evidence.known.parent:
        return "the built network is the same as its parent's, whatever the code says; change what is executed"
    if evidence.novel_in == "history" and evidence.graph_hash in evidence.known.history:
        return _KNOWN
    return None


def _stability(evidence: Evidence) -> str | None:
    if evidence.report.is_stable:
        return None
    return (
        "three constructions gave different networks; what is executed must not be drawn at random, nor depend on the "
        "clock or on what is kept outside the module"
    )
