"""A generator for the cells of a table: every draft changes one edge of its parent; its source is the cell's text."""

from __future__ import annotations

import random
from collections.abc import Callable, Container, Sequence
from dataclasses import replace

from fairnad.architectures.cells import EDGES, OPERATIONS, Cell, neighbours, parse_cell
from fairnad.generators.base import Refinement, Request
from fairnad.knowledge.ideas import IdeaDatabase
from fairnad.records import Draft, Failed, Failure, Idea, IdeaKind, Verdict

__all__ = ["CellGenerator", "cell_ideas"]

_WEIGHTS = {"none": 0, "skip_connect": 0, "avg_pool_3x3": 0, "nor_conv_1x1": 1, "nor_conv_3x3": 9}
"""Weights of an operation, relative to a 1x1 convolution."""

_MAX_STEPS = 10

_Rule = Callable[[int, str, str], bool]
"""Whether an edge may be changed from one operation to another."""


def cell_ideas(operations: Sequence[str] = OPERATIONS) -> IdeaDatabase:
    """Return one idea for each operation on each edge; its main category is the operation."""
    return IdeaDatabase(tuple(_idea(edge, operation) for operation in operations for edge in range(len(EDGES))))


class CellGenerator:
    """Draws among the cells that differ from the parent as the idea allows, by the stream of the request.

    `known` are the cells that the search has seen, and may grow. Where all that an idea allows are known, it is put on
    a neighbour of the parent instead, then on one of that: what is around the best of a small space is soon known.
    """

    name = "cells"

    def __init__(self, operations: Sequence[str] = OPERATIONS, *, known: Container[Cell] = ()) -> None:
        self._operations = tuple(operations)
        self._ideas = cell_ideas(operations).ideas
        self._known = known

    def draft(self, request: Request) -> Draft | Failed:
        """Return the parent with one edge changed: as the idea says, to more weights, or to like weights."""
        return self._write(request.parent.source, request.idea, request.seed, _rule(request.idea))

    def refine(self, refinement: Refinement) -> Draft | Failed:
        """Return the better one of the record, which is `edit`, changed by an idea that it was not changed by."""
        source = refinement.edit.source
        ideas = [idea for idea in self._ideas if idea.id not in refinement.used and _is_change(idea, source)]
        if not ideas:
            return Failed(Failure.NO_DRAFT, "every idea was tried on this cell")
        idea = random.Random(refinement.seed).choice(ideas)
        return self._write(source, idea, refinement.seed, _rule(idea))

    def repair(self, draft: Draft, verdict: Verdict, request: Request | Refinement) -> Draft | Failed:
        """Return nothing: what this generator writes is a cell."""
        return Failed(Failure.NO_DRAFT, "there is nothing to repair in a cell")

    def shrink(self, draft: Draft, verdict: Verdict, request: Request | Refinement) -> Draft | Failed:
        """Return `draft` with fewer weights on one edge."""
        if draft.idea is None:
            return Failed(Failure.NO_DRAFT, "a start cell is not shrunk")
        seed = f"{request.seed}/shrink/{draft.rewrites}"
        shrunk = self._write(draft.source, draft.idea, seed, lambda edge, old, new: _WEIGHTS[new] < _WEIGHTS[old])
        return shrunk if isinstance(shrunk, Failed) else replace(shrunk, rewrites=draft.rewrites + 1)

    def _write(self, source: str, idea: Idea, seed: str, rule: _Rule) -> Draft | Failed:
        rng, cell = random.Random(seed), parse_cell(source)
        for _ in range(_MAX_STEPS):
            allowed = [
                cell.changed(edge, new)
                for edge, old in enumerate(cell.operations)
                for new in self._operations
                if new != old and rule(edge, old, new)
            ]
            new_ones = [other for other in allowed if other not in self._known]
            if new_ones or not allowed:
                break
            cell = rng.choice(neighbours(cell, self._operations))
        if not new_ones:
            return Failed(Failure.NO_DRAFT, "the idea changes nothing here, or what it gives is known")
        return Draft(str(rng.choice(new_ones)), self.name, idea)


def _rule(idea: Idea) -> _Rule:
    if idea.kind is IdeaKind.SCALE_UP:
        return lambda edge, old, new: _WEIGHTS[new] > _WEIGHTS[old]
    if idea.kind is IdeaKind.HYPERPARAMETER:
        return lambda edge, old, new: bool(_WEIGHTS[new]) == bool(_WEIGHTS[old])
    change = _change(idea)
    return lambda edge, old, new: (edge, new) == change


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
