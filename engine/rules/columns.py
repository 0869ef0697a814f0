"""Typed values out of the tables, on SQLite and PostgreSQL alike: built-in columns, JSON attributes, event properties.

A JSON value of another type than the declared one counts as missing: a number never compares as text, and one bad row
stops no campaign.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from types import MappingProxyType
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Column,
    ColumnElement,
    DateTime,
    Float,
    Integer,
    Numeric,
    String,
    case,
    cast,
    extract,
    func,
    literal,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import JSONB

from engine.model import AttributeType
from engine.rules.syntax import Value
from engine.store import tables

POSTGRESQL = "postgresql"
SECONDS_A_DAY = 86_400


@dataclass(frozen=True, kw_only=True, slots=True)
class Typed:
    """A value in SQL (NULL where it is missing), and how a rule's own value is bound to be compared with it.

    among: whether it is one of some bound values, where that can be told without a look at its type: false, too, where it is missing.
    """

    column: ColumnElement[Any]
    bind: Callable[[Value | datetime], ColumnElement[Any]]
    dialect: str
    among: Callable[[Sequence[ColumnElement[Any]]], ColumnElement[bool]] | None = None

    def is_among(self, values: Sequence[ColumnElement[Any]]) -> ColumnElement[bool]:
        return self.among(values) if self.among is not None else _one_of(self.column, values)


def _one_of(value: ColumnElement[Any], values: Sequence[ColumnElement[Any]]) -> ColumnElement[bool]:
    return value == values[0] if len(values) == 1 else value.in_(values)


BUILT_IN: Mapping[str, Column[Any]] = MappingProxyType(
    {
        "id": tables.customers.c.external_id,
        "locale": tables.customers.c.locale,
        "time_zone": tables.customers.c.time_zone,
        "created_at": tables.customers.c.created_at,
    }
)
"""The columns of `settings.BUILT_IN_ATTRIBUTES`."""


def attribute(name: str, kind: AttributeType, dialect: str) -> Typed:
    """A customer's attribute, built in or declared."""
    if name not in BUILT_IN:
        return in_json(tables.customers.c.attributes, name, kind, dialect)
    return instants(BUILT_IN[name], dialect) if kind is AttributeType.TIME else texts(BUILT_IN[name], dialect)


def texts(column: ColumnElement[Any], dialect: str) -> Typed:
    return Typed(column=column, bind=lambda value: literal(value, String()), dialect=dialect)


def instants(column: ColumnElement[Any], dialect: str) -> Typed:
    """A column of tables.Instant."""
    return Typed(column=column, bind=lambda value: literal(value, tables.Instant()), dialect=dialect)


def numbers(column: ColumnElement[Any], dialect: str) -> Typed:
    """Exact decimals on PostgreSQL, IEEE doubles on SQLite, which has no others."""
    if dialect == POSTGRESQL:
        return Typed(column=column, bind=lambda value: literal(value, Numeric()), dialect=dialect)
    return Typed(column=column, bind=lambda value: literal(float(str(value)), Float()), dialect=dialect)


def fraction(value: ColumnElement[Any], dialect: str) -> ColumnElement[Any]:
    """A whole number as one that divides without being cut off."""
    return cast(value, Numeric() if dialect == POSTGRESQL else Float())


def apart(
    later: ColumnElement[Any] | datetime, earlier: ColumnElement[Any] | datetime, dialect: str
) -> ColumnElement[Any]:
    """How far two instants are from each other, exactly: in microseconds on SQLite, in seconds on PostgreSQL. For ratios."""
    if dialect == POSTGRESQL:
        return cast(extract("epoch", _instant(later) - _instant(earlier)), Numeric())
    return _microseconds(later) - _microseconds(earlier)


def days_between(
    later: ColumnElement[Any] | datetime, earlier: ColumnElement[Any] | datetime, dialect: str
) -> ColumnElement[Any]:
    """How many days lie between two instants, with what is over of a day."""
    distance = apart(later, earlier, dialect)
    if dialect == POSTGRESQL:
        return distance / literal(SECONDS_A_DAY, Numeric())
    return fraction(distance, dialect) / literal(SECONDS_A_DAY * 1e6, Float())


def whole_days(days: ColumnElement[Any], dialect: str) -> ColumnElement[Any]:
    """Days without what is over; none are negative here."""
    return func.floor(days) if dialect == POSTGRESQL else cast(days, Integer())


def _instant(moment: ColumnElement[Any] | datetime) -> ColumnElement[Any]:
    return literal(moment, tables.Instant()) if isinstance(moment, datetime) else moment


def _microseconds(moment: ColumnElement[Any] | datetime) -> ColumnElement[Any]:
    """As SQLite keeps an instant."""
    if isinstance(moment, datetime):
        return literal(tables.microseconds(moment), BigInteger())
    return type_coerce(moment, BigInteger())


def in_json(container: Column[Any], name: str, kind: AttributeType, dialect: str) -> Typed:
    """A value inside a JSON column, by its declared type."""
    found: _Json = (_InPostgreSQL if dialect == POSTGRESQL else _InSQLite)(container, name)
    match kind:
        case AttributeType.NUMBER:
            return numbers(found.number(), dialect)
        case AttributeType.BOOLEAN:
            return Typed(
                column=found.boolean(),
                bind=lambda value: literal("true" if value else "false", String()),
                dialect=dialect,
                among=found.is_boolean,
            )
        case AttributeType.LIST:
            return texts(found.array(), dialect)
        case AttributeType.DATE:
            return Typed(column=_shaped(found.text(), "____-__-__"), bind=_bind_day, dialect=dialect)
        case AttributeType.TIME:
            to_the_second = func.substr(_shaped(found.text(), "____-__-__T__:__:__%"), 1, 19, type_=String())
            return Typed(column=to_the_second, bind=_bind_second, dialect=dialect)
        case AttributeType.TEXT:
            return replace(texts(found.text(), dialect), among=found.is_text)


class _Json(Protocol):
    """One JSON value seen as each type; NULL where it is of another. is_text, is_boolean: whether it is one of these."""

    def text(self) -> ColumnElement[Any]: ...
    def number(self) -> ColumnElement[Any]: ...
    def array(self) -> ColumnElement[Any]: ...

    def boolean(self) -> ColumnElement[Any]:
        """The texts true and false: the one spelling both databases give."""

    def is_text(self, values: Sequence[ColumnElement[Any]]) -> ColumnElement[bool]: ...
    def is_boolean(self, values: Sequence[ColumnElement[Any]]) -> ColumnElement[bool]: ...


class _InSQLite:
    def __init__(self, container: Column[Any], name: str) -> None:
        path = literal(f'$."{name}"', String())
        self._kind, self._value = func.json_type(container, path), func.json_extract(container, path)

    def text(self) -> ColumnElement[Any]:
        return type_coerce(case((self._kind == "text", self._value)), String())

    def number(self) -> ColumnElement[Any]:
        return type_coerce(case((self._kind.in_(("integer", "real")), self._value)), Float())

    def boolean(self) -> ColumnElement[Any]:
        return type_coerce(case((self._kind.in_(("true", "false")), self._kind)), String())

    def array(self) -> ColumnElement[Any]:
        return type_coerce(case((self._kind == "array", self._value)), String())

    def is_text(self, values: Sequence[ColumnElement[Any]]) -> ColumnElement[bool]:
        """A text never equals a number; but an array comes as a text, too."""
        mistakable = any(
            not isinstance(each, BindParameter) or str(each.value).startswith(("[", "{")) for each in values
        )
        return _one_of(self.text() if mistakable else type_coerce(self._value, String()), values)

    def is_boolean(self, values: Sequence[ColumnElement[Any]]) -> ColumnElement[bool]:
        return _one_of(type_coerce(self._kind, String()), values)


class _InPostgreSQL:
    def __init__(self, container: Column[Any], name: str) -> None:
        self._container, self._key = container, literal(name, String())

    def _as(self, kind: str, value: ColumnElement[Any]) -> ColumnElement[Any]:
        return case((func.jsonb_typeof(self._container.op("->")(self._key)) == kind, value))

    def _written(self) -> ColumnElement[Any]:
        return self._container.op("->>")(self._key)

    def text(self) -> ColumnElement[Any]:
        return type_coerce(self._as("string", self._written()), String()).collate("C")

    def number(self) -> ColumnElement[Any]:
        return self._as("number", cast(self._written(), Numeric()))

    def boolean(self) -> ColumnElement[Any]:
        return type_coerce(self._as("boolean", self._written()), String())

    def array(self) -> ColumnElement[Any]:
        return self._as("array", self._container.op("->")(self._key))

    def is_text(self, values: Sequence[ColumnElement[Any]]) -> ColumnElement[bool]:
        return self._is_one(values, str)

    def is_boolean(self, values: Sequence[ColumnElement[Any]]) -> ColumnElement[bool]:
        return self._is_one(values, lambda word: word == "true")

    def _is_one(self, values: Sequence[ColumnElement[Any]], form: Callable[[Any], object]) -> ColumnElement[bool]:
        """As JSON: then the type needs no look of its own."""
        words = [json.dumps(form(each.value)) for each in values if isinstance(each, BindParameter)]
        own = [cast(literal(word, String()), JSONB()) for word in words]
        return _one_of(self._container.op("->", return_type=JSONB())(self._key), own)


def local_day(typed: Typed, zone: ZoneInfo) -> Typed:
    """The day that a time is on in a zone, as in_json has a date; NULL where a text of its shape is no time."""
    return Typed(column=_day_of(typed, literal(zone.key, String())), bind=_bind_day, dialect=typed.dialect)


def _day_of(typed: Typed, zone: ColumnElement[Any]) -> ColumnElement[Any]:
    at = typed.column
    if typed.dialect != POSTGRESQL:
        return func.local_day(at, zone, type_=String())
    if isinstance(at.type, String):
        at = cast(case((at.regexp_match(_IS_SECOND), at + literal("Z", String()))), DateTime(timezone=True))
    return func.to_char(func.timezone(zone, at), "YYYY-MM-DD", type_=String())


_LEAP = "([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)"
_MONTH = "(0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8])"
_IS_SECOND = f"^(?!000[01])([0-9]{{4}}-({_MONTH})|{_LEAP}-02-29)T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]$"
"""What PostgreSQL reads as a time without an error, which would end the whole question. Year 1 is what others write for none."""


def _shaped(column: ColumnElement[Any], pattern: str) -> ColumnElement[Any]:
    """The text where it has the shape of a date or time; else NULL. `_` in the pattern stands for one character."""
    return case((column.like(pattern), column))


def _bind_day(value: Value | datetime) -> ColumnElement[Any]:
    assert isinstance(value, date)
    return literal(value.isoformat(), String())


def _bind_second(value: Value | datetime) -> ColumnElement[Any]:
    assert isinstance(value, datetime)
    return literal(value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S"), String())
