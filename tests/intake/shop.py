"""A shop's settings and files, and what its database says, for the tests of intake."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import select

from engine.settings import Settings
from engine.store import Database
from engine.store.tables import consents, contact_points, customers, events

SETTINGS = Settings.model_validate(
    {
        "workspace": "shop",
        "time_zone": "Europe/Helsinki",
        "secret": "${env:REGULARS_SECRET}",
        "attributes": {
            "first_name": "text",
            "points": "number",
            "member": "boolean",
            "birthday": "date",
            "last_visit": "time",
            "likes": "list",
        },
        "events": {
            "purchase": {"amount": "number", "category": "text", "gift": "boolean"},
            "visit": {"page": "text", "amount": "number"},
        },
        "purposes": {"offers": {}, "news": {"consent": "opt_out"}, "service": {"consent": "none"}},
    }
)


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def read_rejects(path: Path | None) -> list[dict[str, str]]:
    assert path is not None
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def customers_of(database: Database) -> dict[str, dict[str, Any]]:
    """Each customer by external id: attributes, own columns, addresses, revision."""
    c, p = customers.c, contact_points.c
    with database.reading() as connection:
        found = {
            row.external_id: {**row.attributes, **{n: getattr(row, n) for n in ("locale", "time_zone", "created_at")}}
            for row in connection.execute(select(customers))
        }
        rows = select(c.external_id, p.channel, p.address, c.revision).join_from(customers, contact_points)
        for row in connection.execute(rows):
            found[row.external_id][row.channel] = row.address
    return found


def consents_of(database: Database) -> list[tuple[str, str, str, str, str, str]]:
    """Every consent ever written: customer, channel, purpose, status, source, proof."""
    c, p, s = customers.c, contact_points.c, consents.c
    query = (
        select(c.external_id, p.channel, s.purpose, s.status, s.source, s.proof)
        .join_from(consents, contact_points, s.contact_point_id == p.id)
        .join(customers, p.customer_id == c.id)
        .order_by(s.id)
    )
    with database.reading() as connection:
        return [tuple(row) for row in connection.execute(query)]


def events_of(database: Database) -> dict[str, tuple[Any, ...]]:
    """Each event by external id: customer, name, at, properties."""
    c, e = customers.c, events.c
    query = select(e.external_id, c.external_id.label("customer"), e.name, e.at, e.properties).join_from(
        events, customers, e.customer_id == c.id
    )
    with database.reading() as connection:
        return {row.external_id: (row.customer, row.name, row.at, row.properties) for row in connection.execute(query)}


def numbers(done: Any) -> Sequence[int]:
    """added, changed, unchanged, rejected."""
    return (done.added, done.changed, done.unchanged, done.rejected)
