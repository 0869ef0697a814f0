"""What a question goes back to several times, laid aside for the length of a transaction.

Temporary tables of the connection's own: nobody else sees them, and nothing of the database is changed.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import CompoundSelect, Connection, Select


def lay_aside(connection: Connection, name: str, rows: Select[Any] | CompoundSelect[Any]) -> None:
    """The rows as a table of this name, by their first column, a customer's id; what was in it before is gone."""
    told = rows.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True})
    forget(connection, name)
    if connection.dialect.name == "postgresql":  # by INSERT it would not use its other processes
        connection.exec_driver_sql(f"CREATE TEMPORARY TABLE {name} AS {told}")
        connection.exec_driver_sql(f"ANALYZE {name}")  # without, it takes every temporary table for a small one
        return
    first, *others = (column.name for column in rows.selected_columns)
    columns = ", ".join((f"{first} INTEGER PRIMARY KEY", *others))
    connection.exec_driver_sql(f"CREATE TEMPORARY TABLE {name} ({columns})")
    connection.exec_driver_sql(f"INSERT INTO {name} {told}")


def forget(connection: Connection, name: str) -> None:
    connection.exec_driver_sql(
        f"DROP TABLE IF EXISTS {'' if connection.dialect.name == 'postgresql' else 'temp.'}{name}"
    )
