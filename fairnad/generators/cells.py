"""A generator for the cells of a table: every draft changes one edge of its parent; its source is the cell's text."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from fairnad.architectures.cells import EDGES, OPERATIONS, parse_cell
from fairnad.generators.base import Refinement, Request
from fairnad.knowledge.ideas import IdeaDatabase
from fairnad.records import Draft, Failed, Failure, Idea, IdeaKind, Verdict

__all__ = ["CellGenerator", "cell_ideas"]

_WEIGHT = {"none": 0, "skip_connect": 0, "avg_pool_3x3": 0, "nor_conv_1x1": 1, "nor_conv_3x3": 9}
"""Weights of an operation, relative to a 1x1 convolution."""


def cell_ideas(operations: Sequence[str] = OPERATIONS) -> IdeaDatabase:
    """Return one idea for each operation on each edge; its main category is the operation."""
    return IdeaDatabase(tuple(_idea(edge, operation) for operation in operations for edge in range(len(EDGES))))


class CellGenerator:
    """Puts an idea's operation on its edge, or draws an edge and an operation that the request allows."""

    name = "cells"

    def __init__(self, operations: Sequence[str] = OPERATIONS) -> None:
        self._operations = tuple(operations)
        self._ideas = cell_ideas(operations).ideas

    def draft(self, request: Request) -> Draft | Failed:
        """Return the parent changed by the idea: on its edge, to an operation of more weights, or of like weights."""
        idea, source = request.idea, request.parent.source
        if idea.kind is IdeaKind.SCALE_UP:
            return self._draw(source, idea, request.seed, lambda old, new: _WEIGHT[new] > _WEIGHT[old])
        if idea.kind is IdeaKind.HYPERPARAMETER:
            return self._draw(source, idea, request.seed, lambda old, new: bool(_WEIGHT[new]) == bool(_WEIGHT[old]))
        return self._apply(idea, source)

    def refine(self, refinement: Refinement) -> Draft | Failed:
        """Return the better one of the record, which is `edit`, changed by an idea that it was not changed by."""
        source = refinement.edit.source
        ideas = [idea for idea in self._ideas if idea.id not in refinement.used and _is_change(idea, source)]
        if not ideas:
            return Failed(Failure.NO_DRAFT, "every idea was tried on this cell")
        return self._apply(random.Random(refinement.seed).choice(ideas), source)

    def repair(self, draft: Draft, verdict: Verdict, request: Request | Refinement) -> Draft | Failed:
        """Return nothing: what this generator writes is a cell."""
        return Failed(Failure.NO_DRAFT, "there is nothing to repair in a cell")

    def shrink(self, draft: Draft, verdict: Verdict, request: Request | Refinement) -> Draft | Failed:
        """Return `draft` with an operation of fewer weights on one edge."""
        seed = f"{request.seed}/shrink/{draft.rewrites}"
        shrunk = self._draw(draft.source, draft.idea, seed, lambda old, new: _WEIGHT[new] < _WEIGHT[old])
        return shrunk if isinstance(shrunk, Failed) else replace(shrunk, rewrites=draft.rewrites + 1)

    def _apply(self, idea: Idea, source: str) -> Draft | Failed:
        if not _is_change(idea, source):
            return Failed(Failure.NO_DRAFT, "the idea's operation is on its edge already")
        return Draft(str(parse_cell(source).changed(*_change(idea))), self.name, idea)

    def _draw(
        self, source: str, idea: Idea | None, seed: str, is_allowed: Callable[[str, str], bool]
    ) -> Draft | Failed:
        cell = parse_cell(source)
        allowed = [
            cell.changed(edge, new)
            for edge, old in enumerate(cell.operations)
            for new in self._operations
            if new != old and is_allowed(old, new)
        ]
        if not allowed:
            return Failed(Failure.NO_DRAFT, "no edge can be changed so")
        return Draft(str(random.Random(seed).choice(allowed)), self.name, idea)


def _idea(edge: int, operation: str) -> Idea:
    source, target = EDGES[edge]
    return Idea(
        id=f"{edge}/{operation}",
        text=f"Make the edge from node {source} to node {target} {operation}.",
        target="performance",
        granularity="operation",
        main=operation,
    )


def _change(idea: Idea) -> tuple[int, str]:
    """Return the edge and the operation of an idea of `cell_ideas`."""
    edge, _, operation = idea.id.partition("/")
    return int(edge), operation


def _is_change(idea: Idea, source: str) -> bool:
    edge, operation = _change(idea)
    return parse_cell(source).operations[edge] != operation
