"""Choosing parents from evaluated children: top-k, and the survivor selection of NSGA-II. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
    for front in _fronts(children):
        chosen.extend(_by_crowding(front))
        if len(chosen) >= k:
            break
    return tuple(islice(cycle(chosen), k)) if chosen else ()


def pareto_fronts(children: Sequence[Child]) -> list[list[Child]]:
    """Return the children in non-dominated fronts, the best front first, each in id order."""
    return list(_fronts(children))


def _fronts(children: Sequence[Child]) -> Iterator[list[Child]]:
    # In the order of the objectives a child comes after all that dominate it, and domination is transitive: comparing
    # it with the front so far is enough.
    rest = sorted(((_objectives(child), child) for child in children), key=lambda pair: (pair[0], pair[1].id))
    while rest:
        front: list[tuple[tuple[float, ...], Child]] = []
        others: list[tuple[tuple[float, ...], Child]] = []
        for pair in rest:
            is_dominated = any(_dominates(better, pair[0]) for better, _ in front)
            (others if is_dominated else front).append(pair)
        yield sorted((child for _, child in front), key=lambda child: child.id)
        rest = others


def _by_accuracy(child: Child) -> tuple[float, int, int]:
    return (-(child.accuracy or 0.0), child.costs.flops, child.id)


def _objectives(child: Child) -> tuple[float, ...]:
    """All to be minimised."""
    return (-(child.accuracy or 0.0), float(child.costs.params), float(child.costs.flops))


def _dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


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
