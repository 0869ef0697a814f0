"""The few expressions that SQLite and PostgreSQL write differently."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Double, Select, String, case, cast, func, literal, select, type_coerce

from engine.store.tables import MICROSECOND, Instant


def chosen_first(ids: Select[tuple[int]], *, dialect: str) -> Select[tuple[int]]:
    """The same ids, all of them chosen before the first row that an INSERT makes of them is written.

    PostgreSQL writes while it still chooses. Where the choice looks into the table that is written to, and the planner takes that for
    empty, each row then reads through all the rows written before it: minutes for what takes seconds.
    """
    if dialect != "postgresql":
        return ids
    chosen = ids.cte("chosen").prefix_with("MATERIALIZED")
    return select(chosen.c.id).order_by(chosen.c.id)


def later(column: ColumnElement[datetime], span: timedelta, *, dialect: str) -> ColumnElement[datetime]:
    """The instant `span` after a column's."""
    if dialect == "postgresql":
        return column + literal(span)
    return type_coerce(type_coerce(column, BigInteger) + span // MICROSECOND, Instant)


def number_in(column: ColumnElement[Any], name: str, *, dialect: str) -> ColumnElement[float]:
    """A number inside a JSON column; NULL where it is missing or not a number."""
    if dialect == "postgresql":
        return case(
            (func.jsonb_typeof(column[name]) == "number", cast(func.jsonb_extract_path_text(column, name), Double))
        )
    path = '$."' + name + '"'
    return case((func.json_type(column, path).in_(("integer", "real")), func.json_extract(column, path, type_=Double)))


@dataclass(frozen=True, slots=True)
class Shown:
    """A value inside a JSON column, whatever it is: its type's name, and the value as text; both NULL where it is missing."""

    type: ColumnElement[str]
    text: ColumnElement[str]


def any_in_json(column: ColumnElement[Any], name: str, *, dialect: str) -> Shown:
    """The databases call the types by names of their own."""
    if dialect == "postgresql":
        return Shown(func.jsonb_typeof(column[name]), func.jsonb_extract_path_text(column, name))
    path = '$."' + name + '"'
    return Shown(func.json_type(column, path), func.json_extract(column, path, type_=String()))
