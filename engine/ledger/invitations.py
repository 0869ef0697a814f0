"""Invitations that were taken up: a link in one of our messages by which its reader joins another channel."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection, select, update

from engine.addresses import normalise
from engine.ledger import consent
from engine.model import Channel, ConsentStatus
from engine.provider import ProviderEvent
from engine.store import Database
from engine.store.tables import contact_points, messages, runs

Invited = Callable[[str], int | None]
"""The message whose invitation a token is; None where we did not sign it."""


def take_up(
    connection: Connection, database: Database, event: ProviderEvent, message_id: int, channel: Channel, *, source: str
) -> None:
    """The reader of this message can be reached at the event's address from now on, and wants what the message was for.

    The address replaces a former one; a STOP from it before now is over.
    """
    sent = (
        select(messages.c.customer_id, runs.c.definition)
        .join(runs, runs.c.id == messages.c.run_id)
        .where(messages.c.id == message_id, messages.c.customer_id.is_not(None), messages.c.attempts > 0)
    )
    row = connection.execute(sent).first()
    if row is None or event.address is None:
        return
    address = normalise(channel, event.address)
    point = _point(connection, database, row.customer_id, channel, address, event.at)
    consent.lift_opt_out(connection, database, channel, address, at=event.at)
    consent.give(
        connection,
        point,
        str(row.definition["purpose"]),
        ConsentStatus.OPTED_IN,
        at=event.at,
        source="link",
        proof=f"{source}: invitation in {database.message_key(message_id)}",
    )
    consent.bump(connection, [row.customer_id])


def _point(
    connection: Connection, database: Database, customer: int, channel: Channel, address: str, at: datetime
) -> int:
    """The customer's contact point on this channel, at this address."""
    place = {"address": address, "address_hash": database.address_hash(address)}
    values = {"customer_id": customer, "channel": channel.value, "created_at": at, **place}
    adding = database.insert(contact_points).values(values)
    connection.execute(adding.on_conflict_do_nothing(index_elements=["customer_id", "channel"]))
    mine = (contact_points.c.customer_id == customer, contact_points.c.channel == channel.value)
    connection.execute(update(contact_points).where(*mine).values(place))
    return int(connection.execute(select(contact_points.c.id).where(*mine)).scalar_one())
