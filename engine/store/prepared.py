"""The few statements that run for every message or every group: SQLAlchemy writes each once, the driver gets it as it is.

At each execution SQLAlchemy converts and checks for longer than either database works. What runs seldom has no need of this.
"""

from __future__ import annotations

import json
from collections import namedtuple
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import repeat
from typing import Any

from sqlalchemy import (
    ARRAY,
    JSON,
    ColumnElement,
    Connection,
    Dialect,
    Table,
    Text,
    any_,
    bindparam,
    cast,
    column,
    func,
    insert,
    select,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import TypeEngine

SQLITE = "sqlite"
Convert = Callable[[Any], Any]
Values = Mapping[str, Any]


class Prepared:
    """A statement, as `write` gives it for a dialect ("sqlite", "postgresql"). Its parameters are `bindparam`s without values.

    `growing`: it looks for rows of a table that may be many times as large in a minute. PostgreSQL plans it each time, or it
    would read all of the large table as it did with the small one.
    """

    def __init__(self, write: Callable[[str], Any], *, growing: bool = False) -> None:
        self._write, self._growing = write, growing
        self._written: dict[str, _Written] = {}

    def rows(self, connection: Connection, **values: Any) -> list[Any]:
        """What it answers, as named tuples."""
        written = self._of(connection)
        with _cursor(connection, written) as cursor:
            self._execute(cursor, written, values)
            found = cursor.fetchall()
        return [written.read(row) for row in found] if written.given else list(map(written.record, found))

    def run(self, connection: Connection, **values: Any) -> int:
        """How many rows it changed."""
        written = self._of(connection)
        with _cursor(connection, written) as cursor:
            self._execute(cursor, written, values)
            return int(cursor.rowcount)

    def _execute(self, cursor: Any, written: _Written, values: Values) -> None:
        planned = {"prepare": False} if self._growing and not written.positional else {}
        cursor.execute(written.text, written.parameters(values), **planned)

    def run_each(self, connection: Connection, rows: Sequence[Values]) -> int:
        """Once for each of these; how many rows all changed together."""
        written = self._of(connection)
        with _cursor(connection, written) as cursor:
            cursor.executemany(written.text, written.many(rows))
            return int(cursor.rowcount)

    def _of(self, connection: Connection) -> _Written:
        name = connection.dialect.name
        if name not in self._written:
            self._written[name] = _in_words(self._write(name), connection.dialect)
        return self._written[name]


class PreparedMany:
    """A statement for many rows at once. `write` gets each row's values as columns: parameters in SQLite, which takes row after
    row quickest; on PostgreSQL those of one JSON text, else each row would be a statement, and arrays take the driver longer. What
    is the same in all rows is a parameter there, too: most of it is, and a text is written and read again for each row.
    `found_by`: a value's name and the column that it is looked up in. PostgreSQL is told it once more as a list, or, while a
    table grows faster than its statistics, it reads all of it. `held_against`: values that decide which row is meant. They stay
    with their rows: by a parameter, statistics of an hour ago tell PostgreSQL that next to no row is left.
    """

    def __init__(
        self,
        write: Callable[[Mapping[str, ColumnElement[Any]]], Any],
        columns: Mapping[str, TypeEngine[Any]],
        *,
        found_by: tuple[str, ColumnElement[Any]] | None = None,
        held_against: Collection[str] = (),
    ) -> None:
        self._columns, self._found_by = dict(columns), found_by
        # of JSON's values 1 and True are equal, and not the same
        mixed = [name for name, kind in columns.items() if isinstance(kind, JSON)]
        self._row_by_row = {*held_against, *mixed, *(found_by[:1] if found_by else list(columns)[:1])}
        self._each = Prepared(
            lambda _: write({name: bindparam(name, type_=kind) for name, kind in self._columns.items()})
        )
        self._write = write
        self._together: dict[tuple[str, ...], Prepared] = {}  # by what differs from row to row

    def run(self, connection: Connection, rows: Sequence[Values]) -> int:
        """How many rows it changed."""
        if connection.dialect.name == SQLITE:
            return self._each.run_each(connection, rows)
        keys = {"keys": [row[self._found_by[0]] for row in rows]} if self._found_by else {}
        differing = self._differing(rows)
        same = {name: rows[0][name] for name in self._columns if name not in differing}
        given = [{name: row[name] for name in differing} for row in rows]
        text = json.dumps(given, default=datetime.isoformat)
        return self._for(differing).run(connection, rows=text, **same, **keys)

    def _differing(self, rows: Sequence[Values]) -> tuple[str, ...]:
        """The columns that are given row by row."""
        first, *others = rows
        return tuple(
            name
            for name in self._columns
            if name in self._row_by_row
            or any(row[name] is not first[name] and row[name] != first[name] for row in others)
        )

    def _for(self, differing: tuple[str, ...]) -> Prepared:
        if differing not in self._together:
            self._together[differing] = Prepared(
                lambda dialect: self._found(self._write(self._given(differing)), dialect),
                growing=self._found_by is not None,
            )
        return self._together[differing]

    def _found(self, statement: Any, dialect: str) -> Any:
        return statement.where(among(dialect, self._found_by[1], "keys")) if self._found_by else statement

    def _given(self, differing: Collection[str]) -> Mapping[str, ColumnElement[Any]]:
        kinds = self._columns
        names = [column(name, kinds[name]) for name in differing]
        given = func.json_to_recordset(cast(bindparam("rows", type_=Text), JSON)).table_valued(*names, name="given")
        same = {name: bindparam(name, type_=kind) for name, kind in kinds.items() if name not in differing}
        return {**same, **given.render_derived(name="given", with_types=True).c}


def inserting(table: Table, names: Collection[str]) -> PreparedMany:
    """The INSERT of many rows with these columns."""

    return PreparedMany(
        lambda given: insert(table).from_select(list(names), select(*(given[name] for name in names))),
        {name: table.c[name].type for name in names},
    )


def among(dialect: str, wanted: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """The column is one of the values of this parameter, a list of any length."""
    if dialect == SQLITE:
        given = func.json_each(bindparam(name, type_=JSON)).table_valued("value")
        return wanted.in_(select(given.c.value))
    return wanted == any_(bindparam(name, type_=ARRAY(wanted.type)))


@contextmanager
def _cursor(connection: Connection, written: _Written) -> Iterator[Any]:
    """The driver's own, in SQLAlchemy's transaction, with SQLAlchemy's errors."""
    if not connection.in_transaction():
        connection.begin()
    dialect = connection.dialect
    assert dialect.dbapi is not None
    cursor = connection.connection.cursor()
    try:
        yield cursor
    except dialect.dbapi.Error as error:
        told = DBAPIError.instance(
            written.text, None, error, dialect.dbapi.Error, hide_parameters=True, dialect=dialect
        )
        raise told from error
    finally:
        cursor.close()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Written:
    """A statement in a dialect's words. `taken`: how each parameter is converted, in order; a fixed one has its value. `given`: how columns of
    the answer are converted, by their place.
    """

    text: str
    taken: Sequence[tuple[str, Convert | None]]
    fixed: Values
    positional: bool
    given: Sequence[tuple[int, Convert]]
    record: Convert

    def parameters(self, values: Values) -> Any:
        if self.positional:
            fixed = self.fixed
            return tuple(
                [
                    fixed[name] if name in fixed else values[name] if convert is None else convert(values[name])
                    for name, convert in self.taken
                ]
            )
        taken = {name: values[name] if convert is None else convert(values[name]) for name, convert in self.taken}
        return {**self.fixed, **taken}

    def many(self, rows: Sequence[Values]) -> list[Any]:
        """The parameters of each row. Column by column, because most columns have one and the same value in all rows."""
        columns = [
            repeat(self.fixed[name], len(rows)) if name in self.fixed else _column(rows, name, convert)
            for name, convert in self.taken
        ]
        return list(zip(*columns, strict=True))

    def read(self, row: Sequence[Any]) -> Any:
        values = list(row)
        for place, convert in self.given:
            if values[place] is not None:
                values[place] = convert(values[place])
        return self.record(values)


def _column(rows: Sequence[Values], name: str, convert: Convert | None) -> Iterable[Any]:
    values = [row[name] for row in rows]
    if convert is None:
        return values
    first = values[0]
    if all(value is first for value in values):
        return repeat(convert(first), len(values))
    return map(convert, values)


def _in_words(statement: Any, dialect: Dialect) -> _Written:
    compiled: Any = statement.compile(dialect=dialect)
    positional = compiled.positiontup is not None
    names = compiled.positiontup if positional else list(compiled.binds)
    converts = {name: compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect) for name in names}
    own = {name: compiled.binds[name].effective_value for name in names if not compiled.binds[name].required}
    fixed = {name: convert(value) if (convert := converts[name]) else value for name, value in own.items()}
    columns = list(statement.exported_columns)
    read = [one.type.dialect_impl(dialect).result_processor(dialect, None) for one in columns]
    record: Any = namedtuple("Record", [one.key for one in columns])  # type: ignore[misc]
    return _Written(
        text=compiled.string,
        taken=[(name, converts[name]) for name in names if positional or name not in fixed],
        fixed=fixed,
        positional=positional,
        given=[(place, convert) for place, convert in enumerate(read) if convert is not None],
        record=record._make,
    )
