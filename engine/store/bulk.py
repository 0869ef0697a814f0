"""Many events in one statement: each database's own quickest way, where SQLAlchemy's common one is slow."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ARRAY, Column, ColumnElement, Connection, any_, func, literal, select

from engine.model import Plain
from engine.store.tables import customers, events, messages, microseconds


class EventRow(NamedTuple):
    """One event. `customer` is the customer's external id, `at` in UTC. A tuple, because a million of them pass through."""

    external_id: str
    customer: str
    name: str
    at: datetime
    properties: dict[str, Plain]


def among(connection: Connection, column: Column[Any], values: Collection[Any]) -> ColumnElement[bool]:
    """The column is one of the values, which travel as one parameter, however many they are."""
    if connection.dialect.name == "sqlite":
        given = func.json_each(json.dumps(list(values))).table_valued("value")
        return column.in_(select(given.c.value))
    return column == any_(literal(list(values), ARRAY(column.type)))


def customer_ids(connection: Connection, external_ids: Collection[str]) -> dict[str, int]:
    """The ids of those customers that there are."""
    c = customers.c
    query = select(c.external_id, c.id).where(among(connection, c.external_id, external_ids))
    return dict(connection.execute(query).all())


def stored_events(connection: Connection, external_ids: Collection[str]) -> dict[str, EventRow]:
    """The events that there are already, by external id. The customer of one that nobody has any more is empty."""
    e, owner = events.c, func.coalesce(customers.c.external_id, "")
    query = (
        select(e.external_id, owner, e.name, e.at, e.properties)
        .join_from(events, customers, e.customer_id == customers.c.id, isouter=True)
        .where(among(connection, e.external_id, external_ids))
    )
    return {row[0]: EventRow(*row) for row in connection.execute(query)}


def insert_events(
    connection: Connection, rows: Collection[EventRow], owners: Mapping[str, int], *, received_at: datetime
) -> None:
    """Store new events of customers whose ids are in `owners`; one that was stored meanwhile stays as it was."""
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        at = microseconds(received_at)
        values = [
            (external_id, owners[customer], name, microseconds(moment), properties, at)
            for (external_id, customer, name, moment, _), properties in zip(rows, _json(rows), strict=True)
        ]
        connection.exec_driver_sql(
            "INSERT INTO events (external_id, customer_id, name, at, properties, received_at)"
            " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (external_id) DO NOTHING",
            values,
        )
        return
    connection.exec_driver_sql(
        "INSERT INTO events (received_at, external_id, customer_id, name, at, properties)"
        " SELECT %s, e, c, n, a, p::jsonb"
        " FROM unnest(%s::text[], %s::bigint[], %s::text[], %s::timestamptz[], %s::text[]) AS given (e, c, n, a, p)"
        " ON CONFLICT (external_id) DO NOTHING",
        (received_at, *_columns(rows, owners)),
    )


class ReportRow(NamedTuple):
    """One report of a vendor, or an open or click, with the ids of the customer and the message that it is about."""

    external_id: str
    customer_id: int | None
    name: str
    at: datetime
    properties: dict[str, Plain]
    message_id: int | None


def insert_reports(connection: Connection, rows: Collection[ReportRow], *, received_at: datetime) -> set[str]:
    """Store reports; the external ids of those that were not there before."""
    if not rows:
        return set()
    if connection.dialect.name == "sqlite":  # has one writer: what is not known now is new
        known = among(connection, events.c.external_id, [row.external_id for row in rows])
        old = set(connection.execute(select(events.c.external_id).where(known)).scalars())
        new, at = [row for row in rows if row.external_id not in old], microseconds(received_at)
        if new:
            connection.exec_driver_sql(
                "INSERT INTO events (external_id, customer_id, name, at, properties, message_id, received_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (row.external_id, row.customer_id, row.name, microseconds(row.at), properties, row.message_id, at)
                    for row, properties in zip(new, _json(new), strict=True)
                ],
            )
        return {row.external_id for row in new}
    given = [
        {"e": row.external_id, "c": row.customer_id, "n": row.name, "a": row.at.isoformat(), "p": row.properties,
         "m": row.message_id}
        for row in rows
    ]  # fmt: skip
    made = connection.exec_driver_sql(  # one text: psycopg takes longer for arrays than the server for the insert
        "INSERT INTO events (received_at, external_id, customer_id, name, at, properties, message_id)"
        " SELECT %s, e, c, n, a, p, m FROM jsonb_to_recordset(%s::jsonb)"
        " AS given (e text, c bigint, n text, a timestamptz, p jsonb, m bigint)"
        " ON CONFLICT (external_id) DO NOTHING RETURNING external_id",
        (received_at, json.dumps(given)),
    )
    return set(made.scalars())


def stamp_messages(connection: Connection, stamp: str, times: Mapping[int, datetime]) -> None:
    """Give messages a time, where they have none or a later one. `stamp` is a column's name."""
    column = messages.c[stamp].name
    if connection.dialect.name == "sqlite":
        rows = [(microseconds(at), number, microseconds(at)) for number, at in sorted(times.items())]
        connection.exec_driver_sql(
            f"UPDATE messages SET {column} = ? WHERE id = ? AND ({column} IS NULL OR {column} > ?)",  # noqa: S608
            rows,
        )
        return
    connection.exec_driver_sql(
        f"UPDATE messages SET {column} = a FROM (SELECT held.id, a"  # noqa: S608
        " FROM jsonb_to_recordset(%s::jsonb) AS given (m bigint, a timestamptz) JOIN messages AS held ON held.id = m"
        f" WHERE held.{column} IS NULL OR held.{column} > a"
        " ORDER BY held.id FOR UPDATE OF held) AS mine WHERE messages.id = mine.id",  # in one order: nobody waits in a circle
        (json.dumps([{"m": number, "a": at.isoformat()} for number, at in times.items()]),),
    )


def update_events(connection: Connection, rows: Collection[EventRow]) -> None:
    """Give stored events another time and other properties."""
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(
            "UPDATE events SET at = ?, properties = ? WHERE external_id = ?",
            [
                (microseconds(row.at), properties, row.external_id)
                for row, properties in zip(rows, _json(rows), strict=True)
            ],
        )
        return
    connection.exec_driver_sql(
        "UPDATE events SET at = a, properties = p::jsonb"
        " FROM unnest(%s::text[], %s::timestamptz[], %s::text[]) AS given (e, a, p) WHERE events.external_id = e",
        ([row.external_id for row in rows], [row.at for row in rows], _json(rows)),
    )


def _columns(rows: Collection[EventRow], owners: Mapping[str, int]) -> tuple[list[Any], ...]:
    """The rows turned by a quarter, as PostgreSQL's unnest takes them."""
    external_ids, them, names, times, _ = zip(*rows, strict=True)
    return list(external_ids), [owners[each] for each in them], list(names), list(times), _json(rows)


def _json(rows: Collection[EventRow] | Collection[ReportRow]) -> list[str]:
    """The properties of each row as JSON: all at once, then cut between the objects, which is three times as quick.

    Properties are flat, so only a text could hold what stands between two objects; then there are too many pieces.
    """
    between = "}, {"
    pieces = json.dumps([row.properties for row in rows])[2:-2].split(between)
    if len(pieces) != len(rows):
        return [json.dumps(row.properties) for row in rows]
    return [f"{{{piece}}}" for piece in pieces]
