"""A made-up shop of any size: the same customers, events and messages whenever it is made, on SQLite and on PostgreSQL.

It has everything that the segments of rules/ and examples/ ask for. Some customers buy much and most buy little; whoever comes
late has less behind them. Events lie in the table in the order of time, as a shop records them, so one customer's are
scattered over the whole of it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

import sqlalchemy as sa

from engine.store import Database
from engine.store.tables import (
    consents,
    contact_points,
    customers,
    events,
    messages,
    microseconds,
    runs,
    suppressions,
    template_versions,
)

NOW = datetime(2026, 3, 1, tzinfo=UTC)
YEARS = 3
SPAN = timedelta(days=365 * YEARS)
COUNTRIES = ("FI", "SE", "NO", "DK", "DE", "FR", "NL", "IS", "GB", "EE")
CITIES = ("Helsinki", "Turku", "Oslo", "Hamburg", "Bergen", "Paris", "Haarlem", "London", "Tartu", "Aarhus")
KINDS = ("jazz", "rock", "classical", "folk")
PRODUCTS = ("CD", "Vinyl", "Poster", "Coffee", "Ticket", "Book", "Strings", "T-shirt")
NEWSLETTERS = (70, 30, 12)
"""How many days ago each was sent."""
CHUNK = 20_000
DAY = 86_400 * 1_000_000

Row = tuple[object, ...]
"""One row of a table, as the columns named beside it; times in microseconds since 1970, JSON as text, bytes as they are."""


def people(count: int) -> Iterator[Row]:
    chance = random.Random(f"people of {count}")
    draw = chance.random
    began = microseconds(NOW - SPAN)
    step = (microseconds(NOW) - began) // count
    for number in range(1, count + 1):
        known: dict[str, object] = {"first_name": f"N{number % 997}", "country": COUNTRIES[int(draw() ** 1.5 * 10)]}
        if draw() < 0.9:
            known["city"] = CITIES[int(draw() * 10)]
        if draw() < 0.7:
            known["birthday"] = f"{1940 + int(draw() * 68)}-{1 + int(draw() * 12):02}-{1 + int(draw() * 28):02}"
        if draw() < 0.8:
            known["points"] = int(draw() ** 3 * 10_000)
        if draw() < 0.2:
            known["member_until"] = f"2026-{1 + int(draw() * 12):02}-{1 + int(draw() * 28):02}"
        known["vip"] = draw() < 0.05
        known["interests"] = [kind for kind in (*KINDS, "vinyl") if draw() < 0.25]
        locale = ("fi", "sv", "en", "de", None)[int(draw() * 5)]
        yield number, f"C{number:08}", json.dumps(known), locale, None, began + step * number, 0


def happenings(count: int, customers_count: int) -> Iterator[Row]:
    chance = random.Random(f"{count} happenings")
    draw = chance.random
    began, received = microseconds(NOW - SPAN), microseconds(NOW)
    step = (received - began) // count
    for number in range(1, count + 1):
        # customers are numbered in the order of their coming: only those who are there already do something
        who = 1 + int((draw() ** 1.6) * customers_count * (0.2 + 0.8 * number / count))
        name, known = _happening(draw, draw())
        at = began + step * number
        yield number, f"event:{number:010}", min(who, customers_count), name, at, known, None, received


def _happening(draw: Callable[[], float], which: float) -> tuple[str, str]:
    if which < 0.40:
        return "purchase", _purchase(draw)
    if which < 0.88:
        return "visit", f'{{"page": "/{("product", "news", "search")[int(draw() * 3)]}/{KINDS[int(draw() * 4)]}"}}'
    if which < 0.92:
        return "cart_left", f'{{"basket": "b{int(draw() * 1_000_000)}"}}'
    if which < 0.945:
        return "review", f'{{"stars": {1 + int(draw() ** 0.5 * 5)}}}'
    if which < 0.96:
        return "complaint", '{"about": "delivery"}'
    if which < 0.98:
        name = "incident_opened" if draw() < 0.52 else "incident_closed"
        return name, f'{{"incident": "i{int(draw() * 3)}"}}'
    if which < 0.993:
        return "survey_answered", f'{{"score": {int(draw() ** 0.4 * 11)}}}'
    return "ticket_answered", '{"by": "Ada"}'


def _purchase(draw: Callable[[], float]) -> str:
    promo = draw() < 0.3
    discount = 1 + int(draw() * 30) if promo else 0
    code = f', "code": "SAVE{discount}"' if promo else ""
    return (
        f'{{"amount": {round(5 + draw() ** 4 * 200, 2)}, "cds": {1 + int(draw() ** 3 * 6)}, '
        f'"category": "{KINDS[int(draw() * 4)]}", "product": "{PRODUCTS[int(draw() * 8)]}", '
        f'"promo": {"true" if promo else "false"}, "discount": {discount}{code}, "basket": "b{int(draw() * 1_000_000)}"}}'
    )


# ---------------------------------------------------------------- where they are reached, and what they were sent


def addresses(count: int) -> Iterator[Row]:
    """Nine in ten have an email address and four in ten a number."""
    at = microseconds(NOW - SPAN)
    for who in range(1, count + 1):
        for number, channel, share, address in (
            (2 * who, "email", 9, f"c{who}@customers.example"),
            (2 * who + 1, "sms", 4, f"+{('35840', '46701', '4790')[who % 3]}{who:07}"),
        ):
            if who % 10 < share:
                yield number, who, channel, address, number.to_bytes(16, "big"), at


def words(count: int) -> Iterator[Row]:
    """Most of those who can be reached agreed to offers; one in eleven took it back."""
    at = microseconds(NOW) - 400 * DAY
    for number, who, *_ in addresses(count):
        if who % 7:  # type: ignore[operator]
            status = "opted_out" if who % 11 == 0 else "opted_in"  # type: ignore[operator]
            yield number, number, "offers", status, at, "import", ""


def closed(count: int) -> Iterator[Row]:
    """One address in fifty bounced."""
    at = microseconds(NOW) - 100 * DAY
    for number, who, channel, _, digest, _ in addresses(count):
        if who % 50 == 17:  # type: ignore[operator]
            yield number, channel, digest, "bounced", at, "webhook"


_CLOSED = ("id", "channel", "address_hash", "reason", "at", "source")


def letters(count: int) -> Iterator[Row]:
    """Each newsletter went to two thirds of those with an email address; a third of them opened it."""
    for run, days in enumerate(NEWSLETTERS, start=1):
        at = microseconds(NOW) - days * DAY
        for who in range(1, count + 1):
            if who % 10 < 9 and (who + run) % 3:
                opened = at + 3_600_000_000 if (who * 7 + run) % 10 < 3 else None
                yield (
                    (run - 1) * count + who, run, "newsletter", "main", who, "email", "commercial", "at_most_once", 1,
                    "accepted", at, at, at, 2 * who, at, at, at, opened,
                )  # fmt: skip


_LETTER = (
    "id", "run_id", "campaign", "step", "customer_id", "channel", "message_class", "delivery", "lane", "state", "owed_at",
    "due_at", "changed_at", "contact_point_id", "first_sent_at", "accepted_at", "delivered_at", "opened_at",
)  # fmt: skip


def fill(database: Database, customers_count: int, events_count: int) -> None:
    """Write the shop into the tables: rows in bulk, the index over events afterwards, then the planner's statistics."""
    kept = [
        index
        for index in events.indexes
        if not index.name.startswith("ix_events_message_id") and _is_ours(index, database)
    ]
    with database.writing() as connection:
        for index in kept:
            index.drop(connection)
        _bulk(connection, customers, _all(customers), people(customers_count))
        _bulk(connection, events, _all(events), happenings(events_count, customers_count))
        for index in kept:
            index.create(connection)
        _bulk(connection, contact_points, _all(contact_points), addresses(customers_count))
        _bulk(connection, consents, _all(consents), words(customers_count))
        _bulk(connection, suppressions, _CLOSED, closed(customers_count))
        _newsletters(connection)
        _bulk(connection, messages, _LETTER, letters(customers_count))
        if database.dialect == "postgresql":  # the ids were given, so the sequences know nothing of them
            for table in (customers, events, contact_points, consents, suppressions, runs, messages):
                last = f"(SELECT coalesce(max(id), 1) FROM {table.name})"
                connection.exec_driver_sql(f"SELECT setval(pg_get_serial_sequence('{table.name}', 'id'), {last})")
    tidy(database)


def tidy(database: Database) -> None:
    """The planner's statistics, as a daemon at work keeps them."""
    with database.pool.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE" if database.dialect == "postgresql" else "ANALYZE")


def _newsletters(connection: sa.Connection) -> None:
    connection.execute(template_versions.insert().values(hash="letter", name="letter", sources={}, first_used_at=NOW))
    for number, days in enumerate(NEWSLETTERS, start=1):
        at = NOW - timedelta(days=days)
        connection.execute(
            runs.insert().values(
                id=number, campaign="newsletter", occurrence=f"{number}", nominal_at=at, launched_at=at, definition={},
                definition_hash="", template_hash="letter", channel="email",
            )
        )  # fmt: skip


def _is_ours(index: sa.Index, database: Database) -> bool:
    return index._ddl_if is None or index._ddl_if.dialect == database.dialect


def _all(table: sa.Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.columns)


def _bulk(connection: sa.Connection, table: sa.Table, names: tuple[str, ...], rows: Iterable[Row]) -> None:
    if connection.dialect.name == "postgresql":
        _copy(connection, table, names, rows)
        return
    marks = ", ".join("?" for _ in names)
    insert = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({marks})"
    waiting = iter(rows)
    while chunk := list(islice(waiting, CHUNK)):
        connection.exec_driver_sql(insert, chunk)


def _copy(connection: sa.Connection, table: sa.Table, names: tuple[str, ...], rows: Iterable[Row]) -> None:
    """COPY of text in blocks: three times as fast as row by row. No value here holds a tab or a backslash."""
    written = [_written if type(table.c[name].type).__name__ == "Instant" else _plain for name in names]
    raw = connection.connection.cursor()
    waiting = iter(rows)
    with raw.copy(f"COPY {table.name} ({', '.join(names)}) FROM STDIN") as copy:
        while chunk := list(islice(waiting, CHUNK)):
            lines = ("\t".join([form(value) for form, value in zip(written, row, strict=True)]) for row in chunk)
            copy.write("\n".join(lines) + "\n")


def _plain(value: object) -> str:
    if value is None:
        return "\\N"
    return f"\\\\x{value.hex()}" if isinstance(value, bytes) else str(value)


def _written(at: object) -> str:
    if at is None:
        return "\\N"
    assert isinstance(at, int)
    return f"{datetime.fromtimestamp(at // 1_000_000, UTC):%Y-%m-%d %H:%M:%S}.{at % 1_000_000:06}+00"
