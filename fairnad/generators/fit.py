"""The size of a network brought to its limits: widths and repeats of `Network`, searched on the counted cost.

Candidates are measured in batches: a ladder of sizes, a finer one, then single steps until none fits.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from enum import Enum

from fairnad.architectures.knobs import Knob, KnobKind, find, set_knobs
from fairnad.records import Costs, Limits

__all__ = ["Direction", "Measure", "fit", "step_up"]

Measure = Callable[[Sequence[str]], Sequence[Costs | None]]
"""Counts the costs of many sources at once; None for one that cannot be built."""

_Point = tuple[int, ...]
"""One value for each knob that may change."""

_MIN_WIDTH, _LEAST_WIDTH = 4, 2
"""Widths that are aimed at, and those that are taken, with no repeats at all, where nothing else fits."""
_MAX_REPEAT = 24
"""Deeper stages take longer to train than they are worth."""
_RUNGS_A_DOUBLING = 4
_NUM_RUNGS, _NUM_RUNGS_DOWN = 24, 12
"""The ladder goes from 1/8 of a network's widths or repeats to 64 times them."""
_RUNGS_AT_ONCE = 4
_NUM_FINE_RUNGS = 8
_MAX_ROUNDS = 6
_MAX_CHAIN = 8


class Direction(str, Enum):
    """Which numbers change, and how they change together."""

    WIDTHS = "widths"
    """All widths in ratio."""
    LATER_WIDTHS = "later_widths"
    """Widths, those of later stages more."""
    MIDDLE_REPEATS = "middle_repeats"
    """Repeats, those in the middle of the network more."""
    LATER_REPEATS = "later_repeats"
    """Repeats, those at the end of the network more."""
    ALL = "all"
    """Widths and repeats, each in ratio."""


_KINDS = {
    Direction.WIDTHS: {KnobKind.WIDTH},
    Direction.LATER_WIDTHS: {KnobKind.WIDTH},
    Direction.MIDDLE_REPEATS: {KnobKind.REPEAT},
    Direction.LATER_REPEATS: {KnobKind.REPEAT},
    Direction.ALL: {KnobKind.WIDTH, KnobKind.REPEAT},
}


def fit(source: str, limits: Limits, measure: Measure, *, direction: Direction) -> str | None:
    """Return `source` made as large or as small along `direction` as `limits` ask for.

    The result is within `limits`, and no single step up of one knob would be; the knobs are those of the kind that
    `direction` changes, and repeats end at 24. One that is so already comes back unchanged. None if nothing of the
    kind can be changed, if nothing that can be built is within the limits, or if there are no limits.
    """
    knobs = [knob for knob in find(source) if knob.kind in _KINDS[direction]]
    if not knobs or not limits.usage(Costs(0, 0)):
        return None
    best = _Search(source, knobs, limits, measure, direction).run()
    return None if best is None else _set(source, knobs, best)


def step_up(knob: Knob, value: int) -> int:
    """Return the next larger value for `knob`: widths in multiples of 2, of 4 from 16 on, of 8 from 64 on."""
    if knob.kind is KnobKind.REPEAT:
        return value + 1
    return (value // _multiple(value) + 1) * _multiple(value)


class _Search:
    """The search for one source; remembers what was measured."""

    def __init__(self, source: str, knobs: list[Knob], limits: Limits, measure: Measure, direction: Direction) -> None:
        self._source = source
        self._knobs = knobs
        self._limits = limits
        self._measure = measure
        self._powers = _powers(knobs, direction)
        self._costs: dict[_Point, Costs | None] = {}

    def run(self) -> _Point | None:
        best = self._climb_ladder()
        for _ in range(_MAX_ROUNDS):
            if best is None:
                return None
            self._count(self._steps(best).values())
            chain = self._chain(best)
            if not chain:
                return best
            self._count([*chain, *self._steps(chain[-1]).values()])
            best = [point for point in chain if self._fits(point)][-1]
        return best

    def _climb_ladder(self) -> _Point | None:
        """Return the largest fitting point on the line of `direction`."""
        top = self._top_rung()
        if top is None:
            return self._unrounded()
        finer = [self._scaled(_factor(top + part / _NUM_FINE_RUNGS)) for part in range(_NUM_FINE_RUNGS)]
        self._count(finer)
        return self._largest(finer)

    def _top_rung(self) -> int | None:
        """Return the highest rung that fits, if any; rung 0 is the network as it is.

        A few rungs are measured at once, from the network as it is on: large networks take long to measure.
        """
        top = None
        for low in range(0, _NUM_RUNGS, _RUNGS_AT_ONCE):
            fitting = self._fitting(range(low, low + _RUNGS_AT_ONCE))
            top = fitting[-1] if fitting else top
            if top != low + _RUNGS_AT_ONCE - 1:
                break
        if top is not None:
            return top
        for low in range(-_RUNGS_AT_ONCE, -_NUM_RUNGS_DOWN - 1, -_RUNGS_AT_ONCE):
            fitting = self._fitting(range(low, low + _RUNGS_AT_ONCE))
            if fitting:
                return fitting[-1]
        return None

    def _fitting(self, rungs: range) -> list[int]:
        points = {rung: self._scaled(_factor(rung)) for rung in rungs}
        self._count(points.values())
        return [rung for rung, point in points.items() if self._fits(point)]

    def _unrounded(self) -> _Point | None:
        """Return the largest fitting point at sixteenths of the widths: where sums must stay sums, or 4 is too wide."""
        points = [self._scaled(rung / 16, multiple=1) for rung in range(1, 33)]
        self._count(points)
        return self._largest(points)

    def _scaled(self, factor: float, *, multiple: int | None = None) -> _Point:
        pairs = zip(self._knobs, self._powers, strict=True)
        # The direction is one of growth; what is too large shrinks in ratio.
        return tuple(_scaled(knob, factor ** (power if factor > 1 else 1.0), multiple) for knob, power in pairs)

    def _steps(self, point: _Point) -> dict[int, _Point]:
        """Return every point that is one step of one knob above `point`, by the knob's place."""
        ups = [step_up(knob, value) for knob, value in zip(self._knobs, point, strict=True)]
        allowed = [
            (place, up)
            for place, (knob, up) in enumerate(zip(self._knobs, ups, strict=True))
            if knob.kind is KnobKind.WIDTH or up <= _MAX_REPEAT
        ]
        return {place: (*point[:place], up, *point[place + 1 :]) for place, up in allowed}

    def _chain(self, point: _Point) -> list[_Point]:
        """Return ever larger points above `point`, the first of them known to fit, the others expected to.

        The expectation takes the gain of a step for what it was at `point`.
        """
        start = self._costs[point]
        assert start is not None
        fitting = {place: step for place, step in self._steps(point).items() if self._fits(step)}
        order = sorted(fitting.items(), key=self._preference, reverse=True)
        chain: list[_Point] = []
        expected, place_of_next = start, itertools.cycle(place for place, _ in order)
        misses = 0
        while misses < len(order) and len(chain) < _MAX_CHAIN:
            place = next(place_of_next)
            larger = self._steps(chain[-1] if chain else point).get(place)
            total = _extrapolated(expected, start, self._costs[fitting[place]])
            if larger is None or not self._limits.allow(total):
                misses += 1
                continue
            misses, expected = 0, total
            chain.append(larger)
        return chain

    def _preference(self, step: tuple[int, _Point]) -> tuple[float, float]:
        """Return what a step is chosen by: how much its knob grows along the direction, then its cost."""
        place, point = step
        costs = self._costs[point]
        return self._powers[place], self._usage(costs) if costs is not None else 0.0

    def _count(self, points: Iterable[_Point]) -> None:
        new = [point for point in dict.fromkeys(points) if point not in self._costs]
        if new:
            sources = [_set(self._source, self._knobs, point) for point in new]
            self._costs.update(zip(new, self._measure(sources), strict=True))

    def _fits(self, point: _Point) -> bool:
        costs = self._costs[point]
        return costs is not None and self._limits.allow(costs)

    def _largest(self, points: Iterable[_Point]) -> _Point | None:
        usages = {point: self._usage(costs) for point in points if (costs := self._costs[point]) and self._fits(point)}
        return max(usages, key=usages.__getitem__, default=None)

    def _usage(self, costs: Costs) -> float:
        return sum(self._limits.usage(costs).values())


def _factor(rung: float) -> float:
    return float(2 ** (rung / _RUNGS_A_DOUBLING))


def _extrapolated(total: Costs, start: Costs, step: Costs | None) -> Costs:
    """Return `total` and what a step from `start` to `step` adds."""
    assert step is not None
    return Costs(total.params + step.params - start.params, total.flops + step.flops - start.flops)


def _set(source: str, knobs: Sequence[Knob], point: _Point) -> str:
    return set_knobs(source, knobs, {knob.name: value for knob, value in zip(knobs, point, strict=True)})


def _powers(knobs: list[Knob], direction: Direction) -> list[float]:
    """Return for each knob the power of the common factor that it grows by."""
    last = max(1, len(knobs) - 1)
    if direction in {Direction.LATER_WIDTHS, Direction.LATER_REPEATS}:
        return [0.25 + 1.5 * place / last for place in range(len(knobs))]
    if direction is Direction.MIDDLE_REPEATS:
        return [1.75 - 3 * abs(place / last - 0.5) for place in range(len(knobs))]
    return [1.0] * len(knobs)


def _scaled(knob: Knob, factor: float, multiple: int | None) -> int:
    value = knob.value * factor
    if knob.kind is KnobKind.REPEAT:
        return min(_MAX_REPEAT, max(1 if multiple is None else 0, round(value)))
    if math.isclose(factor, 1.0):
        return knob.value
    if multiple is not None:
        return max(_LEAST_WIDTH, multiple * round(value / multiple))
    multiple = _multiple(value)
    return max(_MIN_WIDTH, multiple * round(value / multiple))


def _multiple(value: float) -> int:
    return 2 if value < 16 else 4 if value < 64 else 8
