"""The operators: one row each, with the types it takes, how many values, and the SQL it means."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from sqlalchemy import ColumnElement, String, cast, exists, func, select, true
from sqlalchemy.dialects.postgresql import JSONB

from engine.model import AttributeType
from engine.rules.columns import POSTGRESQL, Typed

Bound = Sequence[ColumnElement[Any]]


class Takes(StrEnum):
    """How many values an operator takes."""

    ONE = "one value"
    TWO = "two values, [from, to]"
    MANY = "a list of values"
    YES_NO = "true or false"


@dataclass(frozen=True, kw_only=True, slots=True)
class Operator:
    """`says` completes "the value …". `test` gives SQL that is true, false, or NULL where the value is missing."""

    name: str
    says: str
    types: frozenset[AttributeType]
    takes: Takes
    test: Callable[[Typed, Bound], ColumnElement[bool]]


def _contains(typed: Typed, values: Bound) -> ColumnElement[bool]:
    position = func.strpos if typed.dialect == POSTGRESQL else func.instr
    return position(typed.column, values[0]) > 0


def _starts(typed: Typed, values: Bound) -> ColumnElement[bool]:
    return func.substr(typed.column, 1, func.length(values[0])) == values[0]


def _ends(typed: Typed, values: Bound) -> ColumnElement[bool]:
    if typed.dialect == POSTGRESQL:
        return func.right(typed.column, func.length(values[0])) == values[0]
    return func.substr(typed.column, -func.length(values[0])) == values[0]


def _has(typed: Typed, values: Bound) -> ColumnElement[bool]:
    if typed.dialect == POSTGRESQL:
        wanted = func.jsonb_build_array(cast(values[0], String()), type_=JSONB())
        return typed.column.op("@>", return_type=true().type)(wanted)
    items = func.json_each(typed.column).table_valued("value")
    return exists(select(1).select_from(items).where(items.c.value == values[0]))


def _present(typed: Typed, values: Bound) -> ColumnElement[bool]:
    return typed.column.is_not(None)


_T = AttributeType
_ROWS: tuple[tuple[str, str, tuple[AttributeType, ...], Takes, Callable[[Typed, Bound], ColumnElement[bool]]], ...] = (
    ("is", "is exactly this", (_T.TEXT, _T.NUMBER, _T.BOOLEAN, _T.DATE), Takes.ONE, lambda t, v: t.column == v[0]),
    ("is_not", "is there, and is not this", (_T.TEXT, _T.NUMBER, _T.DATE), Takes.ONE, lambda t, v: t.column != v[0]),
    ("in", "is one of these", (_T.TEXT, _T.NUMBER, _T.DATE), Takes.MANY, lambda t, v: t.column.in_(v)),
    ("not_in", "is there, and is none of these", (_T.TEXT, _T.NUMBER, _T.DATE), Takes.MANY, lambda t, v: t.column.not_in(v)),
    ("at_least", "is this or more", (_T.NUMBER,), Takes.ONE, lambda t, v: t.column >= v[0]),
    ("at_most", "is this or less", (_T.NUMBER,), Takes.ONE, lambda t, v: t.column <= v[0]),
    ("more_than", "is more than this", (_T.NUMBER,), Takes.ONE, lambda t, v: t.column > v[0]),
    ("less_than", "is less than this", (_T.NUMBER,), Takes.ONE, lambda t, v: t.column < v[0]),
    ("before", "is earlier than this", (_T.DATE, _T.TIME), Takes.ONE, lambda t, v: t.column < v[0]),
    ("after", "is later than this", (_T.DATE, _T.TIME), Takes.ONE, lambda t, v: t.column > v[0]),
    ("between", "lies between these two, both included", (_T.NUMBER, _T.DATE, _T.TIME), Takes.TWO, lambda t, v: t.column.between(v[0], v[1])),
    ("contains", "has this text in it", (_T.TEXT,), Takes.ONE, _contains),
    ("starts_with", "begins with this text", (_T.TEXT,), Takes.ONE, _starts),
    ("ends_with", "ends with this text", (_T.TEXT,), Takes.ONE, _ends),
    ("contains", "has this among its items", (_T.LIST,), Takes.ONE, _has),
    ("present", "is there (true), or is missing (false)", tuple(_T), Takes.YES_NO, _present),
)  # fmt: skip

OPERATORS: Mapping[tuple[str, AttributeType], Operator] = MappingProxyType(
    {
        (name, kind): Operator(name=name, says=says, types=frozenset(types), takes=takes, test=test)
        for name, says, types, takes, test in _ROWS
        for kind in types
    }
)
"""By name and type of the value."""

NAMES = tuple(dict.fromkeys(name for name, _ in OPERATORS))

ALSO_CALLED: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("equals", "equal", "eq", "=", "=="), "is"),
        **dict.fromkeys(("not", "isnt", "not_equals", "ne", "!=", "<>"), "is_not"),
        **dict.fromkeys(("one_of", "any_of", "any"), "in"),
        **dict.fromkeys(("none_of", "none", "nin"), "not_in"),
        **dict.fromkeys(("gte", "ge", ">=", "min", "minimum", "from"), "at_least"),
        **dict.fromkeys(("lte", "le", "<=", "max", "maximum", "to"), "at_most"),
        **dict.fromkeys(("gt", ">", "greater_than", "more", "over", "above"), "more_than"),
        **dict.fromkeys(("lt", "<", "fewer_than", "less", "under", "below"), "less_than"),
        **dict.fromkeys(("until", "earlier_than", "older_than"), "before"),
        **dict.fromkeys(("since", "later_than", "newer_than"), "after"),
        **dict.fromkeys(("range", "within"), "between"),
        **dict.fromkeys(("like", "includes", "has", "matches"), "contains"),
        **dict.fromkeys(("begins_with", "prefix"), "starts_with"),
        **dict.fromkeys(("suffix",), "ends_with"),
        **dict.fromkeys(("exists", "is_set", "known", "missing", "empty", "is_null"), "present"),
    }
)
"""What people coming from elsewhere write, and what it is here."""


def of_type(kind: AttributeType) -> tuple[str, ...]:
    """The operators a type takes, in the order of the table."""
    return tuple(name for name, taken in OPERATORS if taken is kind)
