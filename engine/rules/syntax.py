"""The syntax tree of a condition: what a rule says, read and checked, before it becomes SQL."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal

from engine.errors import Position
from engine.model import AttributeType

NOWHERE = Position(file="")


@dataclass(frozen=True, kw_only=True, slots=True)
class Ago:
    """`90 days ago`: counted back from the `now` of each evaluation. For a date, whole days back from today."""

    span: timedelta


Value = str | Decimal | bool | date | datetime | Ago
"""One value of a rule. A datetime is in UTC."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Test:
    """`{operator: values}`. One value, two (`between`) or many (`in`), as the operator takes."""

    operator: str
    values: tuple[Value, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class All:
    """Every one holds. All of nothing holds."""

    of: tuple[Condition, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class AnyOf:
    """At least one holds."""

    of: tuple[Condition, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Not:
    """It does not hold, or cannot be told because something is missing."""

    of: Condition


@dataclass(frozen=True, kw_only=True, slots=True)
class InSegment:
    """The customer is in another segment at this moment."""

    segment: str
    at: Position = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Attribute:
    """A customer's attribute passes every test. A missing one passes none but `present: false`."""

    name: str
    type: AttributeType
    tests: tuple[Test, ...]
    at: Position = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Property:
    """A property of an event passes every test."""

    name: str
    type: AttributeType
    tests: tuple[Test, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What is measured over the events that count, and the tests it must pass. `of` is the property measured."""

    measure: str
    of: str | None
    tests: tuple[Test, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Did:
    """The customer's events of one name, at most `within` old and passing `where`, satisfy the measure; without one, exist."""

    event: str
    within: timedelta | None = None
    where: tuple[Property, ...] = ()
    measured: Measured | None = None
    at: Position = field(default=NOWHERE, compare=False, repr=False)


Condition = All | AnyOf | Not | InSegment | Attribute | Did


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """A named condition."""

    name: str
    description: str
    who: Condition
    at: Position = field(default=NOWHERE, compare=False, repr=False)


def parts(condition: Condition) -> tuple[Condition, ...]:
    """The conditions directly inside a condition."""
    match condition:
        case All() | AnyOf():
            return condition.of
        case Not():
            return (condition.of,)
        case InSegment() | Attribute() | Did():
            return ()


def members(condition: Condition) -> tuple[InSegment, ...]:
    """Every mention of another segment, at any depth, in the order of the file."""
    if isinstance(condition, InSegment):
        return (condition,)
    return tuple(member for part in parts(condition) for member in members(part))
