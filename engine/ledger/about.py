"""Which message, and which customer, a report is about: found for a whole webhook at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection, Row, select

from engine.addresses import also_written, normalise
from engine.ledger import consent
from engine.ledger.invitations import Invited
from engine.ledger.moves import in_state
from engine.model import Channel, EventName, State
from engine.provider import ProviderEvent
from engine.store import Database
from engine.store.bulk import among
from engine.store.tables import messages

_m = messages.c
_COLUMNS = (
    _m.id, _m.customer_id, _m.channel, _m.state, _m.sent_to, _m.campaign, _m.run_id, _m.first_sent_at,
    _m.provider_message_id, _m.bounced_at, _m.complained_at,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """One report on its way in: the event, the vendor it came from, and the message and customer it was found to be about.

    inviting: the message whose invitation was taken up by it. guessed: whether the message is only the newest to that address.
    """

    external_id: str
    event: ProviderEvent
    source: str
    row: Row[*tuple[Any, ...]] | None
    customer_ids: list[int] = field(default_factory=list)
    channel: Channel | None = None
    inviting: int | None = None
    guessed: bool = False

    @property
    def customer_id(self) -> int | None:
        """Whose message it is, or of a post whoever did something with it, as far as the shop knows them."""
        owner: int | None = self.row.customer_id if self.row is not None else None
        return self.customer_ids[0] if owner is None and self.customer_ids else owner

    @property
    def public(self) -> bool:
        """Whether it is about a post to everybody."""
        return self.row is not None and self.row.customer_id is None

    @property
    def addresses(self) -> list[tuple[Channel, str]]:
        """Whom it is about, as an address on a channel; several where nobody knows which channel it is."""
        if self.row is not None and self.row.sent_to and not self.guessed:
            return [(Channel(self.row.channel), self.row.sent_to)]
        only = Channel(self.row.channel) if self.row is not None else self.channel
        return _readings(self.event.address, only) if self.event.address else []


def find(
    connection: Connection,
    database: Database,
    reported: Sequence[tuple[str, ProviderEvent]],
    *,
    provider: str,
    channel: Channel | None,
    invited: Invited,
) -> list[Report]:
    """By our key, else by the vendor's id, else the newest message to that address."""
    inviting = [invited(event.invitation) if event.invitation else None for _, event in reported]
    coming = [
        replace(event, message_key=database.message_key(number)) if number is not None else event
        for (_, event), number in zip(reported, inviting, strict=True)
    ]
    numbers = [database.message_id(event.message_key) if event.message_key else None for event in coming]
    by_key = _by_key(connection, {number for number in numbers if number})
    found = [by_key.get(number) if number else None for number in numbers]
    theirs = {event.provider_message_id for event, row in zip(coming, found, strict=True) if row is None}
    by_id = _by_id(connection, provider, {number for number in theirs if number})
    rows = [
        row if row is not None else by_id.get(event.provider_message_id or "")
        for event, row in zip(coming, found, strict=True)
    ]
    return [
        _report(connection, database, name, event, row, source=provider, only=event.channel or channel, inviting=number)
        for (name, _), event, row, number in zip(reported, coming, rows, inviting, strict=True)
    ]


def _report(
    connection: Connection,
    database: Database,
    name: str,
    event: ProviderEvent,
    row: Any,
    *,
    source: str,
    only: Channel | None,
    inviting: int | None,
) -> Report:
    """`row`: the message that the event names, where it is ours."""
    guessed, owners = row is None and not _about_another(event), list[int]()
    if row is None:
        event = _as_known(connection, database, event, only)
    if guessed:
        row, owners = _by_address(connection, database, event, source, only)
    elif row is None or row.customer_id is None:
        owners = _owners(connection, database, event, only)
    return Report(
        external_id=name,
        event=event,
        source=source,
        row=row,
        customer_ids=owners,
        channel=only,
        inviting=inviting,
        guessed=guessed,
    )


def _about_another(event: ProviderEvent) -> bool:
    """Whether the vendor names what it is about, and that is not ours: another program's mail over the same account, say, to the same
    person. It proves nothing about a message of ours. A reply has a name of its own.
    """
    return event.name is not EventName.REPLIED and bool(event.provider_message_id or event.message_key)


def _by_key(connection: Connection, numbers: set[int]) -> dict[int, Any]:
    if not numbers:
        return {}
    query = select(*_COLUMNS).where(among(connection, _m.id, numbers), _m.attempts > 0)
    return {row.id: row for row in connection.execute(query)}


def _by_id(connection: Connection, provider: str, numbers: set[str]) -> dict[str, Any]:
    if not numbers:
        return {}
    query = select(*_COLUMNS).where(_m.provider == provider, among(connection, _m.provider_message_id, numbers))
    return {row.provider_message_id: row for row in connection.execute(query)}


def _by_address(
    connection: Connection, database: Database, event: ProviderEvent, provider: str, only: Channel | None
) -> tuple[Any, list[int]]:
    owners = _owners(connection, database, event, only)
    if not owners:
        return None, []
    surely_not_there = in_state(State.PENDING, State.CLAIMED) & _m.doubt_since.is_(None)
    query = select(*_COLUMNS).where(
        _m.customer_id.in_(owners), _m.provider == provider, _m.first_sent_at <= event.at, ~surely_not_there
    )
    query = query.where(_m.channel == only.value) if only else query
    row = connection.execute(query.order_by(_m.first_sent_at.desc()).limit(1)).first()
    return row, owners


def _as_known(connection: Connection, database: Database, event: ProviderEvent, only: Channel | None) -> ProviderEvent:
    """The event by that form of its address which a customer has, where the channel may write it otherwise (`also_written`)."""
    others = also_written(only, event.address) if only and event.address else ()
    if not others or _owners(connection, database, event, only):
        return event
    told = [replace(event, address=other) for other in others]
    return next((each for each in told if _owners(connection, database, each, only)), event)


def _owners(connection: Connection, database: Database, event: ProviderEvent, only: Channel | None) -> list[int]:
    """The customers who have the address that an event brings."""
    return [
        owner
        for channel, address in (_readings(event.address, only) if event.address else ())
        for owner in consent.customers_at(connection, channel, database.address_hash(address))
    ]


def _readings(address: str, only: Channel | None) -> list[tuple[Channel, str]]:
    """The channels on which a text is a possible address, with its normal form there."""
    readings = []
    for channel in (only,) if only else Channel:
        try:
            readings.append((channel, normalise(channel, address)))
        except ValueError:
            continue
    return readings
