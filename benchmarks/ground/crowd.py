"""A made-up shop of any size: the same customers and events whenever it is made, on SQLite and on PostgreSQL.

Some customers buy much and most buy little; whoever comes late has less behind them. Events lie in the table in the order of
time, as a shop records them, so one customer's are scattered over the whole of it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

import sqlalchemy as sa

from engine.store import Database
from engine.store.tables import customers, events, microseconds

NOW = datetime(2026, 3, 1, tzinfo=UTC)
YEARS = 3
SPAN = timedelta(days=365 * YEARS)
COUNTRIES = ("FI", "SE", "NO", "DK", "DE", "FR", "NL", "IS", "GB", "EE")
CITIES = ("Helsinki", "Turku", "Oslo", "Hamburg", "Bergen", "Paris", "Haarlem", "London", "Tartu", "Aarhus")
KINDS = ("jazz", "rock", "classical", "folk")
CHUNK = 20_000

Row = tuple[int | str | None, ...]
"""One row as its table's columns stand; times in microseconds since 1970."""


def people(count: int) -> Iterator[Row]:
    chance = random.Random(f"people of {count}")
    began = microseconds(NOW - SPAN)
    step = (microseconds(NOW) - began) // count
    for number in range(1, count + 1):
        draw = chance.random
        known: dict[str, object] = {"first_name": f"N{number % 997}", "country": COUNTRIES[int(draw() ** 1.5 * 10)]}
        if draw() < 0.9:
            known["city"] = CITIES[int(draw() * 10)]
        if draw() < 0.7:
            known["birthday"] = f"{1940 + int(draw() * 68)}-{1 + int(draw() * 12):02}-{1 + int(draw() * 28):02}"
        if draw() < 0.8:
            known["points"] = int(draw() ** 3 * 10_000)
        known["vip"] = draw() < 0.05
        known["interests"] = [kind for kind in KINDS if draw() < 0.25]
        locale = ("fi", "sv", "en", "de", None)[int(draw() * 5)]
        yield (number, f"C{number:08}", json.dumps(known), locale, None, began + step * number, 0)


def happenings(count: int, customers_count: int) -> Iterator[Row]:
    chance = random.Random(f"{count} happenings")
    began, received = microseconds(NOW - SPAN), microseconds(NOW)
    step = (received - began) // count
    for number in range(1, count + 1):
        draw = chance.random
        # customers are numbered in the order of their coming: only those who are there already do something
        who = 1 + int((draw() ** 1.6) * customers_count * (0.2 + 0.8 * number / count))
        name, known = _happening(chance, draw())
        yield (
            number,
            f"event:{number:010}",
            min(who, customers_count),
            name,
            began + step * number,
            known,
            None,
            received,
        )


def _happening(chance: random.Random, which: float) -> tuple[str, str]:
    draw = chance.random
    if which < 0.40:
        amount, promo = round(5 + draw() ** 4 * 200, 2), "true" if draw() < 0.3 else "false"
        kind = KINDS[int(draw() * 4)]
        return (
            "purchase",
            f'{{"amount": {amount}, "cds": {1 + int(draw() ** 3 * 6)}, "category": "{kind}", "promo": {promo}}}',
        )
    if which < 0.95:
        return "visit", f'{{"page": "/{KINDS[int(draw() * 4)]}"}}'
    if which < 0.98:
        return "review", f'{{"stars": {1 + int(draw() ** 0.5 * 5)}}}'
    return "complaint", '{"topic": "late"}'


def fill(database: Database, customers_count: int, events_count: int) -> None:
    """Write the shop into the tables: rows in bulk, the index over events afterwards, then the planner's statistics."""
    indexes = {index.name: index for index in events.indexes}
    index = indexes["ix_events_customer_id_name_at" if database.dialect == "postgresql" else "ix_events_of_customer"]
    with database.writing() as connection:
        index.drop(connection)
        _bulk(connection, customers, people(customers_count))
        _bulk(connection, events, happenings(events_count, customers_count))
        index.create(connection)
    with database.pool.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE" if database.dialect == "postgresql" else "ANALYZE")


def _bulk(connection: sa.Connection, table: sa.Table, rows: Iterable[Row]) -> None:
    names = [column.name for column in table.columns]
    if connection.dialect.name == "postgresql":
        _copy(connection, table, names, rows)
        return
    marks = ", ".join("?" for _ in names)
    insert = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({marks})"
    waiting = iter(rows)
    while chunk := list(islice(waiting, CHUNK)):
        connection.exec_driver_sql(insert, chunk)


def _copy(connection: sa.Connection, table: sa.Table, names: list[str], rows: Iterable[Row]) -> None:
    times = [index for index, column in enumerate(table.columns) if type(column.type).__name__ == "Instant"]
    raw = connection.connection.cursor()
    with raw.copy(f"COPY {table.name} ({', '.join(names)}) FROM STDIN") as copy:
        for row in rows:
            values = list(row)
            for index in times:
                if isinstance(values[index], int):
                    values[index] = _written(values[index])
            copy.write_row(values)


def _written(at: int | str | None) -> str:
    assert isinstance(at, int)
    return (datetime.fromtimestamp(at // 1_000_000, UTC) + timedelta(microseconds=at % 1_000_000)).isoformat()
