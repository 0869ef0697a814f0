"""A small shop for the tests of the rules: its config.yaml, its customers and events, some of them awkward."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert

from engine import document
from engine.rules.read import Reading, read_segment
from engine.rules.syntax import Segment
from engine.rules.vocabulary import Vocabulary
from engine.rules.workspace import Workspace
from engine.settings import Settings
from engine.store import Database
from engine.store.tables import customers, events

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)

SETTINGS = Settings.model_validate(
    {
        "workspace": "shop",
        "time_zone": "Europe/Helsinki",
        "secret": "${env:REGULARS_SECRET}",
        "attributes": {
            "country": "text",
            "age": "number",
            "vip": "boolean",
            "birthday": "date",
            "seen": "time",
            "tags": "list",
        },
        "events": {
            "purchase": {"amount": "number", "title": "text", "gift": "boolean", "shipped": "time", "genres": "list"},
            "visit": {"page": "text"},
        },
        "purposes": {"offers": {"consent": "opt_in"}},
    }
)

TEXTS = (
    "FI",
    "fi",
    "SE",
    "100%",
    "1_0",
    "100",
    "Åland",
    "日本",
    "O'Hara",
    "a\\b",
    'say "hi"',
    "",
    "no",
    "true",
    "3",
    "🎵",
)
NUMBERS = (0, 1, 2, 3, 0.1, 0.2, 0.3, 19.99, -5, 100, 1000000, 2.5)
DAYS = ("1990-02-28", "1996-02-29", "2025-12-02", "2026-02-28", "2026-03-01", "2026-03-02", "2026-03-03")
AGES = (
    timedelta(),
    timedelta(microseconds=1),
    timedelta(seconds=1),
    timedelta(days=1),
    timedelta(days=7),
    timedelta(days=90),
)

SEGMENTS: Mapping[str, Any] = {
    "finns": {"country": {"in": ["FI", "fi"]}},
    "buyers": {"any": [{"did": "purchase", "within": "90 days"}, {"segment": "finns"}]},
    "quiet": {"not": {"did": "visit", "within": "7 days"}},
}


@dataclass(frozen=True, kw_only=True)
class Happened:
    name: str
    at: datetime
    properties: Mapping[str, Any]


@dataclass(kw_only=True)
class Person:
    id: str
    locale: str | None
    created_at: datetime
    attributes: Mapping[str, Any]
    events: list[Happened] = field(default_factory=list)


def workspace() -> Workspace:
    """The shop's settings and segments, without any file."""
    reading = Reading(vocabulary=Vocabulary.of(SETTINGS, frozenset(SEGMENTS)))
    at = document.Position(file="segments.yaml")
    read: dict[str, Segment] = {}
    for name, who in SEGMENTS.items():
        segment = read_segment(reading, document.Text(name, at), document.node({"who": who}, at))
        assert segment is not None, reading.problems
        read[name] = segment
    return Workspace(folder=None, settings=SETTINGS, segments=read, campaigns={}, fingerprint="", commit=None)  # type: ignore[arg-type]


def people(count: int, seed: int = 1) -> list[Person]:
    """Customers with their events. About every third value is missing; some are of another type than declared."""
    chance = random.Random(seed)
    return [_person(chance, number) for number in range(count)]


def _person(chance: random.Random, number: int) -> Person:
    values: dict[str, Any] = {
        "country": chance.choice(TEXTS),
        "age": chance.choice(NUMBERS),
        "vip": chance.random() < 0.5,
        "birthday": chance.choice(DAYS),
        "seen": _stored(NOW - chance.choice(AGES) - timedelta(seconds=chance.choice((0, 1, 3600)))),
        "tags": chance.sample(TEXTS, k=chance.randrange(4)),
    }
    kept = {name: value for name, value in values.items() if chance.random() < 0.7}
    for name in values:
        if chance.random() < 0.08:
            kept[name] = chance.choice((None, "unknown", 7, True, ["FI"], {"FI": 1}))
    moments = [NOW - chance.choice(AGES) for _ in range(chance.choice((0, 0, 1, 2, 5, 9)))]
    moments += [NOW + timedelta(microseconds=1), NOW + timedelta(days=3)][: chance.randrange(3)]
    return Person(
        id=f"customer {number}",
        locale=chance.choice(("fi", "en", None)),
        created_at=NOW - chance.choice(AGES),
        attributes=kept,
        events=[_event(chance, at) for at in moments],
    )


def _event(chance: random.Random, at: datetime) -> Happened:
    properties: dict[str, Any] = {
        "amount": chance.choice(NUMBERS),
        "title": chance.choice(TEXTS),
        "gift": chance.random() < 0.5,
        "shipped": _stored(at + timedelta(hours=1)),
        "genres": chance.sample(TEXTS, k=2),
        "page": chance.choice(TEXTS),
    }
    kept = {name: value for name, value in properties.items() if chance.random() < 0.7}
    if chance.random() < 0.1:
        kept["amount"] = chance.choice((None, "19.99", True))
    return Happened(name=chance.choice(("purchase", "purchase", "visit")), at=at, properties=kept)


def _stored(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")


def load(database: Database, everybody: list[Person], *, seed: int | None = None) -> None:
    """Write the people down; with a seed, their events in another order."""
    with database.writing() as connection:
        rows = [
            {"external_id": one.id, "attributes": one.attributes, "locale": one.locale, "created_at": one.created_at}
            for one in everybody
        ]
        made = insert(customers).returning(customers.c.external_id, customers.c.id)
        ids = {row.external_id: row.id for row in connection.execute(made, rows)}
        happened = [(one, event) for one in everybody for event in one.events]
        if seed is not None:
            random.Random(seed).shuffle(happened)
        written = [
            {
                "external_id": f"event {number}",
                "customer_id": ids[one.id],
                "name": event.name,
                "at": event.at,
                "properties": event.properties,
                "received_at": NOW,
            }
            for number, (one, event) in enumerate(happened)
        ]
        if written:
            connection.execute(insert(events), written)
