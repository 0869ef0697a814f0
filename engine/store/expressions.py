"""The few expressions that SQLite and PostgreSQL write differently."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Double, case, cast, func, literal, type_coerce

from engine.store.tables import MICROSECOND, Instant


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
