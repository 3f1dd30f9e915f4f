"""Choosing parents from evaluated children: top-k, and the survivor selection of NSGA-II. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, islice

from fairnad.records import Child

__all__ = ["nsga2", "pareto_fronts", "top_k"]


def top_k(children: Sequence[Child], k: int) -> tuple[Child, ...]:
    """Return the k children of highest accuracy, best first; ties by smaller FLOPs, then id.

    With fewer than k children they are gone round again in the same order.
    """
    return tuple(islice(cycle(sorted(children, key=_by_accuracy)), k)) if children else ()


def nsga2(children: Sequence[Child], k: int) -> tuple[Child, ...]:
    """Return k children from the Pareto fronts of accuracy, params and FLOPs.

    Fronts fill in order; the front that does not fit whole is cut by crowding distance, larger first. With fewer than k
    children they are gone round again. Source: Deb et al. 2002, "A fast and elitist multiobjective genetic algorithm:
    NSGA-II".
    """
    chosen: list[Child] = []
    for front in pareto_fronts(children):
        chosen.extend(_by_crowding(front))
        if len(chosen) >= k:
            break
    return tuple(islice(cycle(chosen), k)) if chosen else ()


def pareto_fronts(children: Sequence[Child]) -> list[list[Child]]:
    """Return the children in non-dominated fronts, the best front first, each in id order."""
    rest = sorted(children, key=lambda child: child.id)
    fronts = []
    while rest:
        front = [child for child in rest if not any(_dominates(other, child) for other in rest)]
        fronts.append(front)
        rest = [child for child in rest if child not in front]
    return fronts


def _by_accuracy(child: Child) -> tuple[float, int, int]:
    return (-(child.accuracy or 0.0), child.costs.flops, child.id)


def _objectives(child: Child) -> tuple[float, ...]:
    """All to be minimised."""
    return (-(child.accuracy or 0.0), float(child.costs.params), float(child.costs.flops))


def _dominates(one: Child, other: Child) -> bool:
    pairs = list(zip(_objectives(one), _objectives(other), strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def _by_crowding(front: Sequence[Child]) -> list[Child]:
    distances = dict.fromkeys((child.id for child in front), 0.0)
    for objective in range(3):
        ranked = sorted(front, key=lambda child: (_objectives(child)[objective], child.id))
        low, high = (_objectives(end)[objective] for end in (ranked[0], ranked[-1]))
        distances[ranked[0].id] = distances[ranked[-1].id] = float("inf")
        if high > low:
            for before, child, after in zip(ranked, ranked[1:], ranked[2:], strict=False):
                gap = _objectives(after)[objective] - _objectives(before)[objective]
                distances[child.id] += gap / (high - low)
    return sorted(front, key=lambda child: (-distances[child.id], child.id))
