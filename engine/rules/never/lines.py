"""What a value on a line may still be: intervals of numbers, of days, of instants, and which of them can be at once.

An end of an interval is a cut between two points: (0, x, 0) lies just below x, (0, x, 1) just above it. Cuts compare as tuples do,
so open and closed ends need no cases of their own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

Cut = tuple[Any, ...]
Interval = tuple[Cut, Cut]
Intervals = tuple[Interval, ...]

LOW: Cut = (-1,)
HIGH: Cut = (1,)
EVERY: Intervals = ((LOW, HIGH),)
_SCALE = 10**6
"""A rule's numbers have at most six decimal places."""


def below(point: Any) -> Cut:
    return (0, point, 0)


def above(point: Any) -> Cut:
    return (0, point, 1)


def exactly(points: Sequence[Any]) -> Intervals:
    return tuple((below(point), above(point)) for point in sorted(set(points)))


def other_than(intervals: Intervals) -> Intervals:
    """Everything else on the line."""
    ends = [LOW, *(end for interval in intervals for end in interval), HIGH]
    return tuple((low, high) for low, high in zip(ends[::2], ends[1::2], strict=True) if low < high)


def common(some: Intervals, others: Intervals) -> Intervals:
    """What both have."""
    found, first, second = [], 0, 0
    while first < len(some) and second < len(others):
        low = max(some[first][0], others[second][0])
        high = min(some[first][1], others[second][1])
        if low < high:
            found.append((low, high))
        if some[first][1] < others[second][1]:
            first += 1
        else:
            second += 1
    return tuple(found)


def moved(intervals: Intervals, move: Callable[[Cut], Cut]) -> Intervals:
    """With other ends, in the same order; what then has nothing in it is left out."""
    ends = [(move(low), move(high)) for low, high in intervals]
    return tuple((low, high) for low, high in ends if low < high)


def whole(cut: Cut) -> Cut:
    """The same cut among whole numbers: more than 2.5 is 3 or more."""
    if len(cut) == 1:
        return cut
    _, point, side = cut
    return below(math.floor(point) + 1 if side else math.ceil(point))


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """What is left of a value, as seen from two sides that a file cannot compare: where it lies of itself (`fixed`), and where
    as counted from the moment of asking (`relative`). Of a date also in how many days it comes round (`ahead`).

    steps: it is a multiple of each of these.
    """

    fixed: Intervals = EVERY
    relative: Intervals = EVERY
    ahead: Intervals = EVERY
    steps: frozenset[Decimal] = field(default_factory=frozenset)

    def meet(self, other: Line) -> Line:
        return Line(
            fixed=common(self.fixed, other.fixed),
            relative=common(self.relative, other.relative),
            ahead=common(self.ahead, other.ahead),
            steps=self.steps | other.steps,
        )

    @property
    def empty(self) -> bool:
        return not (self.fixed and self.relative and self.ahead and self._multiple())

    def _multiple(self) -> bool:
        """Whether a multiple lies in what is left."""
        if not self.steps:
            return True
        step = Decimal(math.lcm(*(int(step * _SCALE) for step in self.steps))) / _SCALE
        return any(_holds_multiple(interval, step) for interval in self.fixed)

    def moved(self, move: Callable[[Cut], Cut]) -> Line:
        return replace(self, fixed=moved(self.fixed, move))


def _holds_multiple(interval: Interval, step: Decimal) -> bool:
    """Whether step, 2·step, 3·step… has one in the interval."""
    low, high = interval
    times = 1 if len(low) == 1 else max(1, math.ceil(low[1] / step))
    while below(times * step) < low:
        times += 1
    return below(times * step) < high
