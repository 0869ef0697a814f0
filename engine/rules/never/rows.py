"""Which of a customer's events or messages count, and which of two such choices lies within the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from engine.rules.measures import MEASURES
from engine.rules.never.allowed import allowed
from engine.rules.never.lines import HIGH, LOW, Cut, Interval, above, below
from engine.rules.never.values import Domain
from engine.rules.syntax import Ago, Did, Got, Moment, Property, Since, Then, Window

NOW = timedelta()
EVER: Interval = (LOW, HIGH)


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """When: counted from the moment of asking, by the calendar, and later than an edge of other events."""

    relative: Interval = (LOW, above(NOW))
    fixed: Interval = EVER
    edges: frozenset[Since] = frozenset()

    @property
    def empty(self) -> bool:
        return self.relative[0] >= self.relative[1] or self.fixed[0] >= self.fixed[1]

    def cut(self, relative: Interval = EVER, fixed: Interval = EVER) -> Span:
        """What of it lies between these, too."""
        return replace(self, relative=_both(self.relative, relative), fixed=_both(self.fixed, fixed))

    def within(self, other: Span) -> bool:
        """Whether whatever counts here counts there."""
        lines = ((self.relative, other.relative), (self.fixed, other.fixed))
        return all(low >= least and high <= most for (low, high), (least, most) in lines) and all(
            edge in self.edges or (edge.edge == "first" and replace(edge, edge="last") in self.edges)
            for edge in other.edges
        )


def _both(one: Interval, other: Interval) -> Interval:
    return max(one[0], other[0]), min(one[1], other[1])


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """The rows that count: of which events or messages (`of`), when, with which properties, followed by what."""

    of: tuple[str | None, ...]
    span: Span = Span()
    where: frozenset[Property] = frozenset()
    then: frozenset[Then] = frozenset()

    def within(self, other: Rows) -> bool:
        """Whether whatever counts here counts there."""
        same = len(self.of) == len(other.of) and all(there in (None, here) for here, there in zip(self.of, other.of, strict=True))  # fmt: skip
        return (
            same
            and self.span.within(other.span)
            and passes(self.where, other.where)
            and all(any(follows(one, wanted) for one in self.then) for wanted in other.then)
        )


def passes(where: frozenset[Property], wanted: frozenset[Property]) -> bool:
    """Whether what has these properties passes the tests of those."""
    return all(any(_implies(one, asked) for one in where) for asked in wanted)


def _implies(one: Property, asked: Property) -> bool:
    if one.name != asked.name:
        return False
    if set(asked.tests) <= set(one.tests):
        return True
    left = Domain(missing=True)
    for test in one.tests:
        left = left.meet(allowed(test, one.type) or Domain(missing=True))
    others = [allowed(test, asked.type, holds=False) for test in asked.tests]
    return all(other is not None and left.meet(other).empty for other in others)


def follows(one: Then, wanted: Then) -> bool:
    """Whether what was followed as in one was followed as in the other; of what must not have followed, the other way round."""
    if one.happened is not wanted.happened or one.event != wanted.event:
        return False
    if not one.happened:
        return one == wanted
    soon = wanted.within is None or (one.within is not None and one.within <= wanted.within)
    return soon and passes(frozenset(one.where), frozenset(wanted.where)) and set(wanted.same) <= set(one.same)


def contradict(one: Then, other: Then) -> bool:
    """Whether what must have followed is what must not."""
    return one.happened and not other.happened and follows(one, replace(other, happened=True))


def rows(condition: Did | Got) -> Rows:
    """The rows that a condition counts."""
    span = span_of(condition.window)
    if isinstance(condition, Got):
        channel = condition.channel.value if condition.channel else None
        return Rows(of=("got", condition.word, condition.campaign, channel), span=span)
    for then in condition.then:
        if not then.happened and then.within is not None:  # the time for it is over
            span = span.cut(relative=(LOW, above(-then.within)))
    compares = condition.measured is not None and MEASURES[condition.measured.measure].compares
    where = frozenset[Property]() if compares else frozenset(condition.where)
    return Rows(of=("did", condition.event), span=span, where=where, then=frozenset(condition.then))


def span_of(window: Window) -> Span:
    """A window's span, never later than now."""
    span = Span()
    if window.within is not None:
        span = span.cut(relative=(above(-window.within), HIGH))
    if isinstance(window.since, Since):
        span = replace(span, edges=frozenset({window.since}))
    elif window.since is not None:
        span = _after(span, window.since)
    if window.before is not None:
        span = _until(span, window.before, below)
    if window.between is not None:
        span = _until(_after(span, window.between[0]), window.between[1], above)
    return span


def _after(span: Span, moment: Moment) -> Span:
    if isinstance(moment, Ago):
        return span.cut(relative=(below(-moment.span), HIGH))
    return span.cut(fixed=(below(moment.instant), HIGH))


def _until(span: Span, moment: Moment, end: Callable[[Any], Cut]) -> Span:
    """`end`: just below the moment, which then does not count itself, or just above it."""
    if isinstance(moment, Ago):
        return span.cut(relative=(LOW, end(-moment.span)))
    return span.cut(fixed=(LOW, end(moment.instant)))


def impossible(condition: Did | Got) -> bool:
    """Whether nothing can count, whatever happened: its window is empty, or lies after the last of the same events."""
    counted = rows(condition)
    last = isinstance(condition, Did) and any(
        edge.edge == "last" and edge.event == condition.event for edge in counted.span.edges
    )
    return counted.span.empty or last
