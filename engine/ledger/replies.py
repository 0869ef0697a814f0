"""What people wrote: what may be a no is kept for a person to read, while nothing commercial goes to that address."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Row, Select, and_, exists, insert, select, update

from engine.ledger import consent
from engine.model import Channel, EventName, SuppressionReason
from engine.store import Database
from engine.store.tables import contact_points, customers, events, replies


class Reading(StrEnum):
    """What a person took a reply for: a no to everything on this channel, or something else."""

    OPT_OUT = "opt_out"
    NOTHING = "nothing"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """One reply. Times are UTC. customer: as the shop knows him, None where nobody has the address. `reading`, `by` and `why`:
    how it was settled; None while it waits.
    """

    id: int
    at: datetime
    channel: Channel
    customer: str | None
    text: str
    settled_at: datetime | None
    reading: Reading | None
    by: str | None
    why: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Settled:
    """What became of the wish to settle one reply: `refused` says why nothing was changed."""

    reply: int
    refused: str = ""


def keep(
    connection: Connection, channel: Channel, hashed: bytes, *, customer_id: int | None, text: str, at: datetime
) -> None:
    """Put a reply on the list; decisions about whoever has the address are made anew."""
    row = {"channel": channel.value, "address_hash": hashed, "customer_id": customer_id, "text": text, "at": at}
    connection.execute(insert(replies).values(row))
    consent.bump(connection, consent.customers_at(connection, channel, hashed))


def waiting(point: FromClause) -> ColumnElement[bool]:
    """Whether a reply from this contact point waits for a person."""
    r = replies.c
    return exists().where(r.channel == point.c.channel, r.address_hash == point.c.address_hash, r.settled_at.is_(None))


WRITTEN = (EventName.REPLIED, EventName.OPTED_OUT, EventName.OPTED_IN, EventName.OTHER)
"""What an inbound text is kept as, a STOP or HELP too."""


def wrote_after(database: Database, customer_id: int, channel: Channel, moment: datetime) -> bool:
    """Whether a customer wrote to us on a channel after a moment (UTC), whatever it was."""
    e = events.c
    words = (e.name.in_([name.value for name in WRITTEN]), e.properties["channel"].as_string() == channel.value)
    query = select(e.id).where(e.customer_id == customer_id, e.at > moment, *words).limit(1)
    with database.reading() as connection:
        return connection.execute(query).first() is not None


def unread(database: Database, *, limit: int | None = None) -> Sequence[Reply]:
    """Those that wait for a person, the oldest first."""
    return _read(database, _replies().where(replies.c.settled_at.is_(None)).order_by(replies.c.id).limit(limit))


def read(database: Database, *, limit: int) -> Sequence[Reply]:
    """Those that a person has settled, the newest first."""
    r = replies.c
    return _read(database, _replies().where(r.settled_at.is_not(None)).order_by(r.settled_at.desc()).limit(limit))


def settle(
    database: Database, ids: Sequence[int], reading: Reading, *, by: str, why: str, now: datetime
) -> Sequence[Settled]:
    """Settle replies that wait. A no counts from when it was written, and suppresses the address on its channel."""
    with database.writing() as connection:
        return [_settle(connection, database, number, reading, by, why, now) for number in sorted(set(ids))]


def _settle(
    connection: Connection, database: Database, number: int, reading: Reading, by: str, why: str, now: datetime
) -> Settled:
    r = replies.c
    values = {"settled_at": now, "reading": reading.value, "by": by, "why": why}
    row = connection.execute(
        update(replies).where(r.id == number, r.settled_at.is_(None)).values(values).returning(replies)
    ).first()
    if row is None:
        return Settled(reply=number, refused="no such reply waits")
    channel = Channel(row.channel)
    if reading is Reading.OPT_OUT:
        consent.suppress_hash(
            connection, database, channel, row.address_hash, SuppressionReason.OPTED_OUT, at=row.at, source="reply"
        )
    else:
        consent.bump(connection, consent.customers_at(connection, channel, row.address_hash))
    return Settled(reply=number)


def _replies() -> Select[Any]:
    r, point = replies.c, contact_points.c
    owner = (
        select(customers.c.external_id)
        .join(contact_points, point.customer_id == customers.c.id)
        .where(and_(point.channel == r.channel, point.address_hash == r.address_hash))
        .order_by(customers.c.id)
        .limit(1)
        .scalar_subquery()
    )
    return select(replies, owner.label("customer"))


def _read(database: Database, query: Select[Any]) -> Sequence[Reply]:
    with database.reading() as connection:
        return [_reply(row) for row in connection.execute(query)]


def _reply(row: Row[Any]) -> Reply:
    return Reply(
        id=row.id,
        at=row.at,
        channel=Channel(row.channel),
        customer=row.customer,
        text=row.text,
        settled_at=row.settled_at,
        reading=Reading(row.reading) if row.reading else None,
        by=row.by,
        why=row.why,
    )
