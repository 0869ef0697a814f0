"""The expressions that SQLite and PostgreSQL write differently mean the same."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import insert, select

from engine.store import Database
from engine.store.expressions import later, number_in
from engine.store.tables import events


def test_a_number_in_a_json_column_and_a_later_instant(database: Database, now: datetime) -> None:
    """A number is found, anything else is none; an instant moves by a span. So the report's revenue is one on both."""
    values = (29.9, 3, "29.9", None, True)
    with database.writing() as connection:
        for number, value in enumerate(values):
            row = {"external_id": f"e{number}", "name": "purchase", "at": now, "properties": {"amount": value}}
            connection.execute(insert(events).values(**row, received_at=now))
    amount = number_in(events.c.properties, "amount", dialect=database.dialect)
    missing = number_in(events.c.properties, "cds", dialect=database.dialect)
    after = later(events.c.at, timedelta(days=14), dialect=database.dialect)
    with database.reading() as connection:
        rows = connection.execute(select(amount, missing, after).order_by(events.c.id)).all()
    assert [row[0] for row in rows] == [29.9, 3, None, None, None]
    assert {row[1] for row in rows} == {None}
    assert {row[2] for row in rows} == {now + timedelta(days=14)}
