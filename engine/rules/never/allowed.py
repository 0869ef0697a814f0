"""Which values a test allows, and which it does not: one row for each operator of a type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from engine.model import AttributeType
from engine.rules.never.lines import HIGH, LOW, Intervals, Line, above, below, exactly, moved, other_than, whole
from engine.rules.never.values import SHAPES, Body, Domain, Items, Words
from engine.rules.syntax import Ago, At, Test, Value

_T = AttributeType


def allowed(test: Test, kind: AttributeType, *, holds: bool = True) -> Domain | None:
    """The values that pass a test, or with `holds` false those that do not. None where a file cannot tell."""
    if test.operator == "present":
        there = test.values == (holds,)
        return Domain(missing=not there, known=there)
    body = _BODIES[kind](test, holds)
    return None if body is None else Domain(missing=not holds, body=body)


_INTERVALS: Mapping[str, Callable[[Any], Intervals]] = MappingProxyType(
    {
        "is": exactly,
        "in": exactly,
        "is_not": lambda points: other_than(exactly(points)),
        "not_in": lambda points: other_than(exactly(points)),
        "at_least": lambda points: ((below(points[0]), HIGH),),
        "more_than": lambda points: ((above(points[0]), HIGH),),
        "after": lambda points: ((above(points[0]), HIGH),),
        "at_most": lambda points: ((LOW, above(points[0])),),
        "less_than": lambda points: ((LOW, below(points[0])),),
        "before": lambda points: ((LOW, below(points[0])),),
        "between": lambda points: ((below(points[0]), above(points[1])),),
        "anniversary_in": exactly,
        "anniversary_within": lambda points: ((below(0), above(points[0])),),
    }
)


def _number(test: Test, holds: bool) -> Body | None:
    if test.operator == "multiple_of":
        (step,) = test.values
        assert isinstance(step, Decimal)
        return Line(fixed=((above(Decimal(0)), HIGH),), steps=frozenset({step})) if holds else None
    intervals = _INTERVALS[test.operator](test.values)
    return Line(fixed=intervals if holds else other_than(intervals))


def _moment(kind: AttributeType) -> Callable[[Test, bool], Body | None]:
    return lambda test, holds: (
        _anniversary(test, holds, kind) if "anniversary" in test.operator else _on_lines(test, holds, kind)
    )


_YEAR = 365
"""Days from a day to its first return, or one more."""


def _anniversary(test: Test, holds: bool, kind: AttributeType) -> Body:
    """In how many days the day comes round; a day has one such number, however far ahead. What does lies a year back at least."""
    ahead = [value.days for value in test.values if isinstance(value, timedelta)]
    intervals = _INTERVALS[test.operator](ahead)
    if not holds:
        return Line(ahead=moved(other_than(intervals), whole))
    latest = ahead[0] - _YEAR
    # of an instant two days more: today may have begun long ago, and the day that it was on lasts
    edge = above(latest if kind is _T.DATE else timedelta(days=latest + 2))
    return Line(
        ahead=moved(intervals, whole), relative=moved(((LOW, edge),), whole) if kind is _T.DATE else ((LOW, edge),)
    )


def _on_lines(test: Test, holds: bool, kind: AttributeType) -> Body | None:
    """Of `between` from a fixed moment to one that is counted from now, either end lies on another line."""
    places = [_place(value, kind) for value in test.values]
    points = [point for _, point in places]
    if None in points:
        return None
    lines = {line for line, _ in places}
    if len(lines) > 1:
        return _mixed(test, kind) if test.operator == "between" and holds else None
    intervals = _INTERVALS[test.operator](points)
    intervals = intervals if holds else other_than(intervals)
    intervals = moved(intervals, whole) if kind is AttributeType.DATE else intervals
    return Line(relative=intervals) if lines == {_RELATIVE} else Line(fixed=intervals)


def _mixed(test: Test, kind: AttributeType) -> Line:
    first, last = (_place(value, kind) for value in test.values)
    from_first, to_last = ((below(first[1]), HIGH),), ((LOW, above(last[1])),)
    if first[0] == _RELATIVE:
        return Line(relative=from_first, fixed=to_last)
    return Line(fixed=from_first, relative=to_last)


_RELATIVE, _FIXED = "relative", "fixed"


def _place(value: Value, kind: AttributeType) -> tuple[str, Any]:
    """On which line a moment lies, and where there; dates by whole days. None for an instant finer than what is compared."""
    match value:
        case Ago():
            return _RELATIVE, -value.span.days if kind is AttributeType.DATE else -value.span
        case At():
            return _FIXED, value.instant if value.ends or not value.instant.microsecond else None
        case date():
            return _FIXED, value.toordinal()
    raise TypeError(f"no moment: {value!r}")


def _text(test: Test, holds: bool) -> Body | None:
    named = frozenset(test.values)
    one_of = (test.operator in ("is", "in")) is holds
    if test.operator in ("is", "in", "is_not", "not_in"):
        return Words(among=named) if one_of else Words(without=named)
    shape = frozenset({(test.operator, str(test.values[0]))})
    assert test.operator in SHAPES
    return Words(shapes=shape) if holds else Words(unlike=shape)


def _boolean(test: Test, holds: bool) -> Body | None:
    return Words(among=frozenset({(test.values == (True,)) is holds}))


def _list(test: Test, holds: bool) -> Body | None:
    items = frozenset(str(value) for value in test.values)
    if test.operator == "contains_all" and not holds and len(items) > 1:
        return None
    if not holds:
        return Items(without=items)
    each = test.operator != "contains_any"
    return Items(some=frozenset(frozenset({item}) for item in items) if each else frozenset({items}))


_BODIES: Mapping[AttributeType, Callable[[Test, bool], Body | None]] = MappingProxyType(
    {
        _T.NUMBER: _number,
        _T.DATE: _moment(_T.DATE),
        _T.TIME: _moment(_T.TIME),
        _T.TEXT: _text,
        _T.BOOLEAN: _boolean,
        _T.LIST: _list,
    }
)
