"""Two who bring the same thing at the same moment leave it once, and neither loses what the other said."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, column, func, select, table

from engine.intake import Fate, Taken, take_customers, take_events
from engine.store import Database
from tests.intake.shop import SETTINGS, customers_of, events_of

Take = Callable[[Connection, dict[str, Any]], list[Taken]]


def both(database: Database, take: Take, first: dict[str, Any], second: dict[str, Any]) -> Taken:
    """Take the first row; while its transaction is still open, the second in another one. Gives the second's end."""
    ends: list[Taken] = []

    def taking() -> None:
        with database.writing() as connection:
            ends.extend(take(connection, second))

    thread = threading.Thread(target=taking)
    with database.writing() as connection:
        take(connection, first)
        thread.start()
        if database.dialect == "postgresql":  # on SQLite the second has no connection before the first is done
            _until_one_waits(connection)
    thread.join(30)
    return ends[0]


def _until_one_waits(connection: Connection) -> None:
    waiting = select(func.count()).select_from(table("pg_locks")).where(column("granted").is_(False))
    until = time.monotonic() + 30
    while not connection.execute(waiting).scalar():
        assert time.monotonic() < until, "the second transaction does not wait for the first"


def test_a_new_customer_from_two_sides_has_what_both_said(database: Database, now: datetime) -> None:
    """The later one finds the customer there and adds what it knows, instead of failing or overwriting."""

    def take(connection: Connection, row: dict[str, Any]) -> list[Taken]:
        return take_customers(connection, database, SETTINGS, [row], now=now)

    end = both(database, take, {"id": "c1", "points": 1}, {"id": "c1", "first_name": "Ana", "email": "a@shop.example"})
    assert end.fate is Fate.CHANGED
    found = customers_of(database)
    assert list(found) == ["c1"]
    assert (found["c1"]["points"], found["c1"]["first_name"], found["c1"]["email"]) == (1, "Ana", "a@shop.example")


def test_a_known_customer_from_two_sides_has_what_both_said(database: Database, now: datetime) -> None:
    """The attributes of a customer are one value in the database; the later one must not write back what it read early."""

    def take(connection: Connection, row: dict[str, Any]) -> list[Taken]:
        return take_customers(connection, database, SETTINGS, [row], now=now)

    with database.writing() as connection:
        take(connection, {"id": "c1", "points": 0})
    both(database, take, {"id": "c1", "points": 1}, {"id": "c1", "first_name": "Ana"})
    found = customers_of(database)["c1"]
    assert (found["points"], found["first_name"]) == (1, "Ana")


def test_an_event_from_two_sides_is_there_once(database: Database, now: datetime) -> None:
    """An export and the shop's own call may bring the same purchase."""

    def take(connection: Connection, row: dict[str, Any]) -> list[Taken]:
        return take_events(connection, database, SETTINGS, [row], now=now)

    with database.writing() as connection:
        take_customers(connection, database, SETTINGS, [{"id": "c1"}], now=now)
    row = {"id": "1", "customer": "c1", "at": "2026-03-01", "name": "purchase"}
    assert both(database, take, row, row).fate in (Fate.ADDED, Fate.UNCHANGED)
    assert list(events_of(database)) == ["event:1"]
