"""A small shop for the tests of the rules: its config.yaml, its customers and events, some of them awkward."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, insert

from engine import document
from engine.rules.read import Reading, read_segment
from engine.rules.syntax import Segment
from engine.rules.vocabulary import Vocabulary
from engine.rules.workspace import Workspace
from engine.settings import Settings
from engine.store import Database
from engine.store.tables import (
    consents,
    contact_points,
    customers,
    events,
    messages,
    runs,
    suppressions,
    template_versions,
)

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
            "purchase": {
                "amount": "number",
                "title": "text",
                "gift": "boolean",
                "shipped": "time",
                "genres": "list",
                "basket": "text",
            },
            "visit": {"page": "text", "basket": "text"},
        },
        "purposes": {"offers": {"consent": "opt_in"}, "news": {"consent": "opt_in"}},
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
YEARS = tuple(
    NOW - datetime.fromisoformat(written)
    for written in (
        "2025-03-02T12:00Z",
        "2025-03-01T22:00Z",  # midnight in Helsinki
        "2025-03-01T21:59:59.999999Z",
        "2025-03-02T22:00Z",
        "2024-02-29T10:15Z",
        "2024-02-28T23:30Z",  # the 29th in Helsinki
        "2023-12-31T23:59:59Z",
        "1905-03-01T22:30Z",  # when Helsinki was an hour and 40 minutes ahead
    )
)
"""Where times come round, or nearly so."""

CAMPAIGNS = ("welcome", "newsletter")
CHANNELS = ("email", "sms")
REACHED = ("accepted_at", "delivered_at", "opened_at", "clicked_at", "replied_at")
LISTS = {"vip.txt": ("customer 3", "customer 5", "nobody", "O'Hara"), "empty.txt": ()}

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


@dataclass(frozen=True, kw_only=True)
class Letter:
    """A message in the ledger: how far it came, and when, by the ledger's columns."""

    campaign: str
    channel: str
    reached: Mapping[str, datetime]


@dataclass(frozen=True, kw_only=True)
class Address:
    """A contact point, with what was said about it in the order of recording: (purpose, status, at)."""

    channel: str
    suppressed_at: datetime | None
    said: tuple[tuple[str, str, datetime], ...]


@dataclass(kw_only=True)
class Person:
    id: str
    locale: str | None
    created_at: datetime
    attributes: Mapping[str, Any]
    events: list[Happened] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)
    addresses: list[Address] = field(default_factory=list)
    row: int = 0  # the id in the table, once loaded


def workspace() -> Workspace:
    """The shop's settings and segments, without any file."""
    reading = Reading(vocabulary=Vocabulary.of(SETTINGS, frozenset(SEGMENTS)))
    at = document.Position(file="segments.yaml")
    read: dict[str, Segment] = {}
    for name, who in SEGMENTS.items():
        segment = read_segment(reading, document.Text(name, at), document.node({"who": who}, at))
        assert segment is not None, reading.problems
        read[name] = segment
    return Workspace(
        folder=None, settings=SETTINGS, segments=read, campaigns={}, fingerprint="", commit=None, lists=LISTS
    )  # type: ignore[arg-type]


def people(count: int, seed: int = 1) -> list[Person]:
    """Customers with their events. About every third value is missing; some are of another type than declared."""
    chance = random.Random(seed)
    everybody = [_person(chance, number) for number in range(count)]
    for one in everybody:
        one.letters = [_letter(chance) for _ in range(chance.choice((0, 0, 1, 2, 3)))]
        one.addresses = [_address(chance, channel) for channel in CHANNELS if chance.random() < 0.6]
    return everybody


def _moment(chance: random.Random) -> datetime:
    """Now and then a little after now: that never counts."""
    return NOW - chance.choice((*AGES, -timedelta(seconds=1)))


def _letter(chance: random.Random) -> Letter:
    reached = {name: _moment(chance) for name in REACHED[: chance.randrange(len(REACHED) + 1)]}
    return Letter(campaign=chance.choice(CAMPAIGNS), channel=chance.choice(CHANNELS), reached=reached)


def _address(chance: random.Random, channel: str) -> Address:
    said = [
        (chance.choice(("offers", "news")), chance.choice(("opted_in", "opted_out")), _moment(chance))
        for _ in range(chance.randrange(4))
    ]
    return Address(channel=channel, suppressed_at=_moment(chance) if chance.random() < 0.3 else None, said=tuple(said))


def _person(chance: random.Random, number: int) -> Person:
    values: dict[str, Any] = {
        "country": chance.choice(TEXTS),
        "age": chance.choice(NUMBERS),
        "vip": chance.random() < 0.5,
        "birthday": chance.choice(DAYS),
        "seen": _stored(NOW - chance.choice((*AGES, *YEARS)) - timedelta(seconds=chance.choice((0, 1, 3600)))),
        "tags": chance.sample(TEXTS, k=chance.randrange(4)),
    }
    kept = {name: value for name, value in values.items() if chance.random() < 0.7}
    for name in values:
        if chance.random() < 0.08:
            kept[name] = chance.choice((None, "unknown", 7, True, ["FI"], {"FI": 1}))
    moments = [NOW - chance.choice((*AGES, *AGES, *YEARS)) for _ in range(chance.choice((0, 0, 1, 2, 5, 9)))]
    moments += [NOW + timedelta(microseconds=1), NOW + timedelta(days=3)][: chance.randrange(3)]
    return Person(
        id=f"customer {number}",
        locale=chance.choice(("fi", "en", None)),
        created_at=NOW - chance.choice((*AGES, *YEARS)),
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
        "basket": chance.choice(("a", "b", "c")),
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
        for one in everybody:
            one.row = ids[one.id]
            _load_addresses(connection, one)
        _load_letters(connection, everybody)


def _load_addresses(connection: Connection, one: Person) -> None:
    for address in one.addresses:
        digest = f"{one.id} {address.channel}".encode()
        point = {
            "customer_id": one.row,
            "channel": address.channel,
            "address": one.id,
            "address_hash": digest,
            "created_at": NOW,
        }
        point_id = connection.execute(insert(contact_points).returning(contact_points.c.id), point).scalar_one()
        for purpose, status, at in address.said:
            said = {"purpose": purpose, "status": status, "at": at, "source": "import"}
            connection.execute(insert(consents).values(contact_point_id=point_id, **said))
        if address.suppressed_at:
            connection.execute(
                insert(suppressions).values(
                    channel=address.channel,
                    address_hash=digest,
                    reason="bounced",
                    at=address.suppressed_at,
                    source="test",
                )
            )


def _load_letters(connection: Connection, everybody: list[Person]) -> None:
    if not any(one.letters for one in everybody):
        return
    connection.execute(insert(template_versions).values(hash="t", name="t", sources={}, first_used_at=NOW))
    opened: dict[tuple[str, int], int] = {}
    for one in everybody:
        for number, letter in enumerate(one.letters):
            if (letter.campaign, number) not in opened:
                run = {"campaign": letter.campaign, "occurrence": str(number), "nominal_at": NOW, "launched_at": NOW}
                more = {"definition": {}, "definition_hash": "", "template_hash": "t", "channel": "email"}
                made = insert(runs).returning(runs.c.id)
                opened[letter.campaign, number] = connection.execute(made, {**run, **more}).scalar_one()
            row = {"run_id": opened[letter.campaign, number], "campaign": letter.campaign, "step": "main"}
            row |= {"customer_id": one.row, "channel": letter.channel, "message_class": "commercial"}
            row |= {"delivery": "at_most_once", "lane": 1, "state": "accepted"}
            row |= dict.fromkeys(("owed_at", "due_at", "changed_at"), NOW)
            connection.execute(insert(messages).values(**row, **letter.reached))
