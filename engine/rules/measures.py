"""The measures over a customer's events: one row each, with what it is taken of, its type, and the SQL it means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from sqlalchemy import ColumnElement, case, func, literal

from engine.model import AttributeType
from engine.rules.columns import Typed, apart, days_between, fraction, instants, numbers, whole_days
from engine.store import tables

DISTINCT = "distinct"
PLACES = 6
"""Sums are compared to this many decimal places: adding the same amounts in another order must not change an audience."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """What a measure is taken over, in SQL: when the events happened, the property measured (None without one), how many
    there are. Of events that do not count, `at` and `of` are NULL.

    passing: `where`, for a measure that compares those which pass with all. middle: halfway of `within`. now: UTC.
    """

    at: ColumnElement[Any]
    of: Typed | None
    count: ColumnElement[int]
    passing: ColumnElement[bool] | None
    middle: datetime | None
    now: datetime
    dialect: str

    @property
    def values(self) -> ColumnElement[Any]:
        assert self.of is not None
        return self.of.column


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """`says` completes "…, over the events that count"; `reads` a sentence, between "whose" and "is".

    `of`: the types of the property measured, empty where none is. `whole`: the values compared with are counts.
    `needs`: a part of the condition that it cannot be without. `take` makes the aggregate. `zero`: what it is over no
    events; without, it is missing.
    """

    name: str
    says: str
    reads: str
    type: AttributeType
    take: Callable[[Sample], Typed]
    of: frozenset[AttributeType] = frozenset()
    whole: bool = False
    needs: str = ""
    zero: bool = False

    @property
    def compares(self) -> bool:
        """Whether `where` chooses no events, but those to be compared with all."""
        return self.needs == "where"


def _times(sample: Sample) -> Typed:
    return numbers(sample.count, sample.dialect)


def _rounded(value: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.round(value, literal(PLACES))


def _sum(sample: Sample) -> Typed:
    """The sum over no event, or over none that has the property, is 0: whoever bought nothing has spent nothing."""
    return numbers(func.coalesce(_rounded(func.sum(sample.values)), literal(0)), sample.dialect)


def _of_property(aggregate: Callable[[ColumnElement[Any]], ColumnElement[Any]]) -> Callable[[Sample], Typed]:
    return lambda sample: numbers(_rounded(aggregate(sample.values)), sample.dialect)


def _distinct(sample: Sample) -> Typed:
    return numbers(func.count(sample.values.distinct()), sample.dialect)


def _first(sample: Sample) -> Typed:
    return instants(func.min(sample.at), sample.dialect)


def _last(sample: Sample) -> Typed:
    """The time of the newest event; missing where there is none, so that it passes no test."""
    return instants(func.max(sample.at), sample.dialect)


def _days_since(edge: Callable[..., ColumnElement[Any]]) -> Callable[[Sample], Typed]:
    def take(sample: Sample) -> Typed:
        days = days_between(sample.now, edge(sample.at), sample.dialect)
        return numbers(whole_days(days, sample.dialect), sample.dialect)

    return take


def _span(sample: Sample) -> ColumnElement[Any]:
    return days_between(func.max(sample.at), func.min(sample.at), sample.dialect)


def _gap(sample: Sample) -> Typed:
    gaps = fraction(func.nullif(sample.count - 1, 0), sample.dialect)
    return numbers(_rounded(case((sample.count > 1, _span(sample) / gaps))), sample.dialect)


def _overdue(sample: Sample) -> Typed:
    """The time since the newest, over the time that lay between two until then. A day's fraction would be cut off: events may lie
    a microsecond apart.
    """
    newest, oldest = func.max(sample.at), func.min(sample.at)
    since = fraction(apart(sample.now, newest, sample.dialect) * (sample.count - 1), sample.dialect)
    return numbers(_rounded(since / func.nullif(apart(newest, oldest, sample.dialect), 0)), sample.dialect)


def _share(sample: Sample) -> Typed:
    assert sample.passing is not None
    passing = func.sum(case((sample.passing, literal(100)), else_=literal(0)))
    return numbers(_rounded(fraction(passing, sample.dialect) / func.nullif(sample.count, 0)), sample.dialect)


def _trend(sample: Sample) -> Typed:
    assert sample.middle is not None
    middle = literal(sample.middle, tables.Instant())
    newer = _rounded(func.sum(case((sample.at > middle, sample.values), else_=literal(0))))
    older = _rounded(func.sum(case((sample.at <= middle, sample.values), else_=literal(0))))
    return numbers(_rounded(case((older > 0, newer * literal(100) / older))), sample.dialect)


_N, _T = AttributeType.NUMBER, AttributeType.TIME
_ONE = frozenset({_N})
_SINGLE = frozenset(AttributeType) - {AttributeType.LIST}
_ROWS = (
    Measure(name="times", says="how many there are", reads="number of {events}", type=_N, whole=True, take=_times, zero=True),
    Measure(name="sum", says="what a property adds up to (0 without events)", reads="sum of {of} over {events}", type=_N, of=_ONE, take=_sum, zero=True),
    Measure(name="avg", says="a property's average", reads="average {of} over {events}", type=_N, of=_ONE, take=_of_property(func.avg)),
    Measure(name="min", says="a property's smallest value", reads="smallest {of} among {events}", type=_N, of=_ONE, take=_of_property(func.min)),
    Measure(name="max", says="a property's largest value", reads="largest {of} among {events}", type=_N, of=_ONE, take=_of_property(func.max)),
    Measure(name=DISTINCT, says="how many different values a property has", reads="number of different values of {of} among {events}", type=_N, of=_SINGLE, whole=True, take=_distinct, zero=True),
    Measure(name="first", says="when the oldest happened", reads="first {one}", type=_T, take=_first),
    Measure(name="last", says="when the newest happened", reads="last {one}", type=_T, take=_last),
    Measure(name="days_since_first", says="how many whole days have passed since the oldest", reads="number of days since the first {one}", type=_N, whole=True, take=_days_since(func.min)),
    Measure(name="days_since_last", says="how many whole days have passed since the newest", reads="number of days since the last {one}", type=_N, whole=True, take=_days_since(func.max)),
    Measure(name="gap", says="how many days lie between two of them, on average", reads="average number of days between {events}", type=_N, take=_gap),
    Measure(name="overdue", says="the time since the newest, measured in such gaps: 2 is twice as long as usual", reads="time since the last {one}, in usual gaps,", type=_N, take=_overdue),
    Measure(name="share", says="how many percent of them pass `where`", reads="share of {events} {where}, in percent of all,", type=_N, take=_share, needs="where"),
    Measure(name="trend", says="what a property adds up to in the newer half of `within`, in percent of the older half", reads="sum of {of} over the newer half of {events}, in percent of the older half,", type=_N, of=_ONE, take=_trend, needs="within"),
)  # fmt: skip

MEASURES: Mapping[str, Measure] = MappingProxyType({row.name: row for row in _ROWS})

ALSO_CALLED: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("count", "number", "frequency", "how_many"), "times"),
        **dict.fromkeys(("total", "spent", "value", "amount"), "sum"),
        **dict.fromkeys(("average", "mean"), "avg"),
        **dict.fromkeys(("minimum", "smallest", "lowest"), "min"),
        **dict.fromkeys(("maximum", "largest", "highest"), "max"),
        **dict.fromkeys(("different", "unique", "nunique"), "distinct"),
        **dict.fromkeys(("oldest", "earliest"), "first"),
        **dict.fromkeys(("latest", "newest", "most_recent"), "last"),
        **dict.fromkeys(("recency", "days_since", "days_ago"), "days_since_last"),
        **dict.fromkeys(("tenure", "age"), "days_since_first"),
        **dict.fromkeys(("interval", "purchase_gap", "rhythm"), "gap"),
        **dict.fromkeys(("late", "delay"), "overdue"),
        **dict.fromkeys(("percent", "percentage", "part", "ratio"), "share"),
        **dict.fromkeys(("growth", "change"), "trend"),
    }
)
