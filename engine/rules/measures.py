"""The measures over a customer's events: one row each, with what it is taken of, its type, and the SQL it means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from sqlalchemy import ColumnElement, func, literal

from engine.model import AttributeType
from engine.rules.columns import Typed, instants, numbers
from engine.store import tables

PLACES = 6
"""Sums are compared to this many decimal places: adding the same amounts in another order must not change an audience."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """`says` completes "…, over the events that count". `of` is the type of the property measured, None where none is.

    `whole`: the values compared with are counts. `take` makes the aggregate from the property (None without one).
    """

    name: str
    says: str
    type: AttributeType
    of: AttributeType | None
    whole: bool
    take: Callable[[Typed | None, str], Typed]


def _times(_of: Typed | None, dialect: str) -> Typed:
    return numbers(func.count(), dialect)


def _sum(of: Typed | None, dialect: str) -> Typed:
    """The sum over no event, or over none that has the property, is 0: whoever bought nothing has spent nothing."""
    assert of is not None
    added: ColumnElement[Any] = func.coalesce(func.round(func.sum(of.column), literal(PLACES)), literal(0))
    return numbers(added, dialect)


def _last(_of: Typed | None, dialect: str) -> Typed:
    """The time of the newest event; missing where there is none, so that it passes no test."""
    return instants(func.max(tables.events.c.at), dialect)


_N, _T = AttributeType.NUMBER, AttributeType.TIME
_ROWS = (
    Measure(name="times", says="how many there are", type=_N, of=None, whole=True, take=_times),
    Measure(name="sum", says="what a property adds up to (0 without events)", type=_N, of=_N, whole=False, take=_sum),
    Measure(name="last", says="when the newest happened", type=_T, of=None, whole=False, take=_last),
)

MEASURES: Mapping[str, Measure] = MappingProxyType({row.name: row for row in _ROWS})

ALSO_CALLED: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("count", "number", "frequency", "how_many"), "times"),
        **dict.fromkeys(("total", "spent", "value", "amount"), "sum"),
        **dict.fromkeys(("latest", "newest", "most_recent", "recency"), "last"),
    }
)
