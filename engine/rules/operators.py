"""The operators: one row each, with the types it takes, how many values, and the SQL it means."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, String, and_, cast, exists, func, literal, or_, select, true
from sqlalchemy.dialects.postgresql import JSONB

from engine.model import AttributeType
from engine.rules.columns import POSTGRESQL, Typed

Bound = Sequence[ColumnElement[Any]]

EXACT = 2**53
"""Below this a double counts every whole number."""


class Takes(StrEnum):
    """How many values an operator takes."""

    ONE = "one value"
    TWO = "two values, [from, to]"
    MANY = "a list of values"
    YES_NO = "true or false"
    DAYS = "a number of days, like `7 days`"
    STEP = "a whole number of at least 1"


@dataclass(frozen=True, kw_only=True, slots=True)
class Operator:
    """`says` completes "the value …", and `reads` a sentence, with the values at {}. `test` gives SQL that is true, false, or
    NULL where the value is missing. What takes DAYS is given the days themselves: a month and day, and its year, by turns.
    """

    name: str
    says: str
    reads: str
    types: frozenset[AttributeType]
    takes: Takes
    test: Callable[[Typed, Bound], ColumnElement[bool]]


def _among(typed: Typed, values: Bound) -> ColumnElement[bool]:
    return typed.is_among(values)


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


def _has_any(typed: Typed, values: Bound) -> ColumnElement[bool]:
    return or_(*(_has(typed, (value,)) for value in values))


def _has_all(typed: Typed, values: Bound) -> ColumnElement[bool]:
    return and_(*(_has(typed, (value,)) for value in values))


def _present(typed: Typed, values: Bound) -> ColumnElement[bool]:
    return typed.column.is_not(None)


def _folded(value: ColumnElement[Any], dialect: str) -> ColumnElement[Any]:
    """Without capital letters, by Unicode's rules on both databases: ICU's collation here, Python's own function there."""
    if dialect == POSTGRESQL:
        return func.lower(value.collate("und-x-icu")).collate("C")
    return func.unicode_lower(value)


def _like(typed: Typed, values: Bound) -> ColumnElement[bool]:
    return _folded(typed.column, typed.dialect) == _folded(values[0], typed.dialect)


def _contains_like(typed: Typed, values: Bound) -> ColumnElement[bool]:
    folded = Typed(column=_folded(typed.column, typed.dialect), bind=typed.bind, dialect=typed.dialect)
    return _contains(folded, [_folded(values[0], typed.dialect)])


def _multiple(typed: Typed, values: Bound) -> ColumnElement[bool]:
    """Above nothing, and whole times the value, which is whole. SQLite's remainder knows whole numbers only."""
    column, step = typed.column, values[0]
    if typed.dialect == POSTGRESQL:
        return and_(column > 0, column % step == 0)
    return and_(column > 0, column == func.round(column), column < EXACT, column % step == 0)


def _comes_round(typed: Typed, values: Bound) -> ColumnElement[bool]:
    """The day of a year returns on one of these days, of a later year. Each year's days at once: to tell what day it was may be dear."""
    month_and_day, year = func.substr(typed.column, 6, 5), func.substr(typed.column, 1, 4)
    days: dict[str, list[ColumnElement[Any]]] = {}
    for day, of in zip(values[::2], values[1::2], strict=True):
        assert isinstance(of, BindParameter)
        days.setdefault(str(of.value), []).append(day)
    return or_(*(and_(month_and_day.in_(some), year < literal(of, String())) for of, some in days.items()))


_T = AttributeType
_TEXT, _NUMBER, _TIMES = (_T.TEXT,), (_T.NUMBER,), (_T.DATE, _T.TIME)
_LISTED = (_T.TEXT, _T.NUMBER, _T.DATE)
_ROWS: tuple[tuple[str, str, str, tuple[AttributeType, ...], Takes, Callable[[Typed, Bound], ColumnElement[bool]]], ...] = (
    ("is", "is exactly this", "is {}", (_T.TEXT, _T.NUMBER, _T.BOOLEAN, _T.DATE), Takes.ONE, _among),
    ("is_not", "is there, and is not this", "is something other than {}", _LISTED, Takes.ONE, lambda t, v: t.column != v[0]),
    ("is_like", "is this, in capital letters or small ones", "is {} (in capital letters or small ones)", _TEXT, Takes.ONE, _like),
    ("in", "is one of these", "is one of {}", _LISTED, Takes.MANY, _among),
    ("not_in", "is there, and is none of these", "is something other than {}", _LISTED, Takes.MANY, lambda t, v: t.column.not_in(v)),
    ("at_least", "is this or more", "is at least {}", _NUMBER, Takes.ONE, lambda t, v: t.column >= v[0]),
    ("at_most", "is this or less", "is at most {}", _NUMBER, Takes.ONE, lambda t, v: t.column <= v[0]),
    ("more_than", "is more than this", "is more than {}", _NUMBER, Takes.ONE, lambda t, v: t.column > v[0]),
    ("less_than", "is less than this", "is less than {}", _NUMBER, Takes.ONE, lambda t, v: t.column < v[0]),
    ("multiple_of", "is once, twice, three times… this, a whole number of at least 1", "is a multiple of {}", _NUMBER, Takes.STEP, _multiple),
    ("before", "is earlier than this", "is before {}", _TIMES, Takes.ONE, lambda t, v: t.column < v[0]),
    ("after", "is later than this", "is after {}", _TIMES, Takes.ONE, lambda t, v: t.column > v[0]),
    ("between", "lies between these two, both included", "lies between {} and {}", (_T.NUMBER, *_TIMES), Takes.TWO, lambda t, v: t.column.between(v[0], v[1])),
    ("anniversary_in", "comes round in exactly so many days (29 February on the 28th where there is none)", "comes round in exactly {}", _TIMES, Takes.DAYS, _comes_round),
    ("anniversary_within", "comes round today or within so many days", "comes round today or within {}", _TIMES, Takes.DAYS, _comes_round),
    ("contains", "has this text in it", "contains {}", _TEXT, Takes.ONE, _contains),
    ("contains_like", "has this text in it, in capital letters or small ones", "contains {} (in capital letters or small ones)", _TEXT, Takes.ONE, _contains_like),
    ("starts_with", "begins with this text", "begins with {}", _TEXT, Takes.ONE, _starts),
    ("ends_with", "ends with this text", "ends with {}", _TEXT, Takes.ONE, _ends),
    ("contains", "has this among its items", "contain {}", (_T.LIST,), Takes.ONE, _has),
    ("contains_any", "has one of these among its items, or more", "contain at least one of {}", (_T.LIST,), Takes.MANY, _has_any),
    ("contains_all", "has each of these among its items", "contain all of {}", (_T.LIST,), Takes.MANY, _has_all),
    ("present", "is there (true), or is missing (false)", "is known", tuple(_T), Takes.YES_NO, _present),
)  # fmt: skip

OPERATORS: Mapping[tuple[str, AttributeType], Operator] = MappingProxyType(
    {
        (name, kind): Operator(name=name, says=says, reads=reads, types=frozenset(types), takes=takes, test=test)
        for name, says, reads, types, takes, test in _ROWS
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
        **dict.fromkeys(("includes", "has", "matches"), "contains"),
        **dict.fromkeys(("like", "ilike", "iequals", "same_as"), "is_like"),
        **dict.fromkeys(("icontains", "includes_like"), "contains_like"),
        **dict.fromkeys(("has_any", "includes_any", "overlaps"), "contains_any"),
        **dict.fromkeys(("has_all", "includes_all"), "contains_all"),
        **dict.fromkeys(("every", "divisible_by", "each"), "multiple_of"),
        **dict.fromkeys(("anniversary", "birthday_in", "in_days"), "anniversary_in"),
        **dict.fromkeys(("begins_with", "prefix"), "starts_with"),
        **dict.fromkeys(("suffix",), "ends_with"),
        **dict.fromkeys(("exists", "is_set", "known", "missing", "empty", "is_null"), "present"),
    }
)
"""What people coming from elsewhere write, and what it is here."""


def of_type(kind: AttributeType) -> tuple[str, ...]:
    """The operators a type takes, in the order of the table."""
    return tuple(name for name, taken in OPERATORS if taken is kind)
