"""A shop whose customers differ in everything that a gate or a template looks at, drawn at random."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from engine.clock import SteppedClock
from engine.intake import take_customers
from engine.ledger import replies
from engine.model import Channel
from engine.rules.workspace import load_workspace
from engine.store import Database
from engine.store.tables import suppressions
from tests.sending.shop import CONFIG, Shop

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
ZONES = ("Europe/Helsinki", "America/New_York", "Asia/Tokyo", "Pacific/Auckland", "")
RULES = """
quiet_hours: {email: {from: "21:00", to: "08:00"}}
pressure: [{at_most: 1, within: 20 hours}, {at_most: 2, within: 7 days}]
prices: {email: 0.001, sms: {FI: 0.05, default: 0.08}}
"""


def rows(chance: random.Random, count: int, prefix: str = "r") -> list[dict[str, Any]]:
    """Some have no address, no name, no consent, or said no."""
    made = []
    for number in range(count):
        row = {"id": f"{prefix}{number}", "time_zone": chance.choice(ZONES)}
        if chance.random() < 0.85:
            row["email"] = f"{prefix}{number}@customers.example"
            row["consent.email.offers"] = chance.choice(("yes", "yes", "yes", "no", ""))
        if chance.random() < 0.8:
            row["first_name"] = chance.choice(("Ana", "Väinö", "Maximilian", "O'Hara & <Sons>"))
        made.append({name: value for name, value in row.items() if value})
    return made


def shop(
    folder: Path, database: Database, people: list[dict[str, Any]], *, now: datetime = NOW, rules: str = RULES
) -> Shop:
    made = Shop(folder, database, SteppedClock(now), rows=people)
    rewrite(made, "config.yaml", CONFIG + rules)
    return made


def rewrite(made: Shop, name: str, text: str) -> None:
    """Write a file of the workspace, and read it anew."""
    path = made.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    made.workspace = load_workspace(made.folder)


def add(made: Shop, people: list[dict[str, Any]]) -> None:
    with made.database.writing() as connection:
        take_customers(
            connection, made.database, made.workspace.settings, people, now=made.clock.now(), proof="asked at the till"
        )


def reply(made: Shop, addresses: list[str]) -> None:
    """They wrote something that may be a no."""
    with made.database.writing() as connection:
        for address in addresses:
            hashed = made.database.address_hash(address)
            replies.keep(connection, Channel.EMAIL, hashed, customer_id=None, text="no?", at=made.clock.now())


def suppress(made: Shop, addresses: list[str]) -> None:
    at = made.clock.now()
    values = [
        {
            "channel": Channel.EMAIL.value,
            "address_hash": made.database.address_hash(address),
            "reason": "bounced",
            "at": at,
            "source": "webhook",
        }
        for address in addresses
    ]
    with made.database.writing() as connection:
        connection.execute(insert(suppressions), values)
