"""Opt-outs, opt-ins and suppressions: written at once, and every open decision about the customer made void."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, insert, select, update

from engine.model import Channel, ConsentStatus, SuppressionReason
from engine.store import Database
from engine.store.tables import consents, contact_points, customers, messages, runs, suppressions

ASKED_FOR = frozenset({SuppressionReason.OPTED_OUT, SuppressionReason.COMPLAINED})
"""What a person said. STOP is a withdrawal of consent (GDPR, Article 7(3); 47 CFR 64.1200(a)(10)), and a complaint is no less."""


def bump(connection: Connection, customer_ids: list[int]) -> None:
    """Make decisions about these customers void: a message decided before is decided again before it leaves."""
    if customer_ids:
        connection.execute(
            update(customers).where(customers.c.id.in_(customer_ids)).values(revision=customers.c.revision + 1)
        )


def newest(connection: Connection, contact_point_id: int, purpose: str) -> tuple[ConsentStatus, datetime] | None:
    """What a contact point said last for a purpose, and when; None where nothing was ever said."""
    last = (
        select(consents.c.status, consents.c.at)
        .where(consents.c.contact_point_id == contact_point_id, consents.c.purpose == purpose)
        .order_by(consents.c.at.desc(), consents.c.id.desc())
        .limit(1)
    )
    row = connection.execute(last).first()
    return (ConsentStatus(row.status), row.at) if row else None


def give(
    connection: Connection,
    contact_point_id: int,
    purpose: str,
    status: ConsentStatus,
    *,
    at: datetime,
    source: str,
    proof: str,
) -> bool:
    """Append a consent; False, with nothing written, where the same is in force already.

    A no stands even where its report comes late: it counts from the newest word on record, not before it.
    """
    last = newest(connection, contact_point_id, purpose)
    if last and last[0] is status:
        return False
    if last and status is ConsentStatus.OPTED_OUT:
        at = max(at, last[1])
    row = {
        "contact_point_id": contact_point_id,
        "purpose": purpose,
        "status": status.value,
        "at": at,
        "source": source,
        "proof": proof,
    }
    connection.execute(insert(consents).values(row))
    owner = connection.execute(
        select(contact_points.c.customer_id).where(contact_points.c.id == contact_point_id)
    ).scalar_one()
    bump(connection, [owner])
    return True


def opt_out(database: Database, message_id: int, *, at: datetime, source: str, proof: str) -> bool:
    """The customer of this message wants no more of its purpose on its channel. False where that was so already."""
    with database.writing() as connection:
        return opt_out_of(connection, message_id, at=at, source=source, proof=proof)


def opt_out_of(connection: Connection, message_id: int, *, at: datetime, source: str, proof: str) -> bool:
    """As `opt_out`, inside an open transaction."""
    sent = (
        select(messages.c.contact_point_id, messages.c.opted_out_at, runs.c.definition)
        .join(runs, runs.c.id == messages.c.run_id)
        .where(messages.c.id == message_id)
    )
    row = connection.execute(sent).first()
    if row is None or row.contact_point_id is None:
        return False
    purpose = str(row.definition["purpose"])
    if row.opted_out_at is None:
        connection.execute(update(messages).where(messages.c.id == message_id).values(opted_out_at=at))
    return give(connection, row.contact_point_id, purpose, ConsentStatus.OPTED_OUT, at=at, source=source, proof=proof)


def suppress_contact_point(
    connection: Connection,
    database: Database,
    channel: Channel,
    address: str,
    reason: SuppressionReason,
    *,
    at: datetime,
    source: str,
) -> bool:
    """Never write to this address again, whoever's it is. False where it was suppressed already for this reason."""
    return suppress_hash(connection, database, channel, database.address_hash(address), reason, at=at, source=source)


def suppress_hash(
    connection: Connection,
    database: Database,
    channel: Channel,
    hashed: bytes,
    reason: SuppressionReason,
    *,
    at: datetime,
    source: str,
) -> bool:
    """As `suppress_contact_point`, by the keyed hash of the address."""
    row = {"channel": channel.value, "address_hash": hashed, "reason": reason.value, "at": at, "source": source}
    added = database.inserted(connection, database.insert(suppressions).values(row).on_conflict_do_nothing())
    if not added:  # the newest report counts: a START or a yes has to be newer than that
        there = (*standing(channel, hashed), suppressions.c.reason == reason.value, suppressions.c.at < at)
        connection.execute(update(suppressions).where(*there).values(at=at, source=source))
    bump(connection, customers_at(connection, channel, hashed))
    return added == 1


def follow(
    connection: Connection, database: Database, channel: Channel, moves: Mapping[bytes, Collection[bytes]]
) -> None:
    """People have new addresses, by the hashes of their former ones: what was said of those holds for these, too. That an address
    is dead is its own matter, and stays with it.
    """
    s = suppressions.c
    asked_for = (s.lifted_at.is_(None), s.reason.in_([reason.value for reason in ASKED_FOR]))
    said = select(suppressions).where(s.channel == channel.value, s.address_hash.in_(sorted(moves)), *asked_for)
    for row in connection.execute(said.order_by(s.id)).all():
        for hashed in sorted(moves[row.address_hash]):
            reason = SuppressionReason(row.reason)
            suppress_hash(connection, database, channel, hashed, reason, at=row.at, source=row.source)


def standing(channel: Channel, hashed: bytes) -> tuple[ColumnElement[bool], ...]:
    """What makes a suppression one of this address that was not lifted. There is one for each reason."""
    s = suppressions.c
    return s.channel == channel.value, s.address_hash == hashed, s.lifted_at.is_(None)


def lift_opt_out(connection: Connection, database: Database, channel: Channel, address: str, *, at: datetime) -> bool:
    """The person wrote START at this time: an earlier opt-out ends. Bounces and complaints stay, and so does a later STOP.

    True where something was lifted.
    """
    hashed = database.address_hash(address)
    s = suppressions.c
    opted_out = (*standing(channel, hashed), s.reason == SuppressionReason.OPTED_OUT.value, s.at <= at)
    values = {"lifted_at": at, "lifted_by": "the customer", "lifted_why": "START"}
    lifted = connection.execute(update(suppressions).where(*opted_out).values(values)).rowcount
    bump(connection, customers_at(connection, channel, hashed))
    return lifted == 1


def customers_at(connection: Connection, channel: Channel, hashed: bytes) -> list[int]:
    """The customers who have this address on this channel."""
    query = select(contact_points.c.customer_id).where(
        contact_points.c.channel == channel.value, contact_points.c.address_hash == hashed
    )
    return list(connection.execute(query).scalars())
