"""A test, performed: its customers and events taken in, its campaigns launched and their messages sent, as live.

The database is a temporary one, and the providers are stand-ins that accept everything. What decides is the live code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row, select

from engine.addresses import normalise
from engine.campaigns.launch import launch, trigger
from engine.campaigns.schedules import Occurrence
from engine.clock import SteppedClock
from engine.content.links import Links
from engine.errors import WorkspaceError
from engine.intake import Fate as Taking
from engine.intake import Taken, take_customers, take_events
from engine.ledger import hand_over
from engine.ledger.claim import claim
from engine.ledger.consent import suppress_contact_point
from engine.ledger.departures import note_departures
from engine.ledger.engagement import ENGAGEMENTS
from engine.ledger.machines import TOO_FAST
from engine.ledger.record import record_events
from engine.ledger.settle import Ended, Retry, settle
from engine.model import Lane, Message, Reason, State
from engine.provider import Accepted, ProviderEvent
from engine.questions.audience import chosen_customers
from engine.questions.examples.example import EarlierMessage, Example, Fate, InventedCustomer
from engine.rules.workspace import Workspace
from engine.sending.prepare import Setup
from engine.sending.sender import Sender
from engine.sending.stand_in import stand_ins
from engine.store import Database
from engine.store.scratch import Blank
from engine.store.tables import contact_points, customers, messages

SECRET = "invented for tests: guards nobody"  # noqa: S105
PROOF = "invented for a test"


@dataclass(frozen=True, kw_only=True, slots=True)
class Got:
    """What became of one message. `detail` has the template's or the gate's words."""

    fate: Fate
    reason: Reason | None = None
    detail: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What came of a test. members: segment → customers. messages: campaign → customer → messages; None is a public post."""

    members: Mapping[str, frozenset[str]]
    messages: Mapping[str, Mapping[str | None, tuple[Got, ...]]]


@contextmanager
def performed(workspace: Workspace, example: Example, blank: Blank) -> Iterator[tuple[Outcome, Database]]:
    """Perform a test; while the block lasts, its database can be asked why. Raises WorkspaceError at what cannot be taken.

    Nobody is held out: a test says what the rules mean, and lots would decide about invented customers by their names.
    """
    campaigns = {name: one.model_copy(update={"holdout": Decimal(0)}) for name, one in workspace.campaigns.items()}
    workspace = replace(workspace, campaigns=campaigns)
    with blank.database() as database:
        _take_in(workspace, database, example)
        for number, message in enumerate(example.messages):
            _send_before(workspace, database, message, number)
        members = _members(workspace, database, example)
        newest = _newest(database)
        _launch(workspace, database, example)
        yield Outcome(members=members, messages=_messages(database, after=newest)), database


# ---------------------------------------------------------------- before


def _take_in(workspace: Workspace, database: Database, example: Example) -> None:
    settings = workspace.settings
    rows = [{"id": str(number), **event.row} for number, event in enumerate(example.events)]
    people = [each.row for each in example.customers]
    with database.writing() as connection:
        ends = take_customers(connection, database, settings, people, now=example.now, proof=PROOF)
        _refuse_rejected(ends, [each.at for each in example.customers])
        for each in example.customers:
            _suppress(connection, database, each, example.now)
        invented = settings.model_copy(update={"events": settings.happenings})
        ends = take_events(connection, database, invented, rows, now=example.now)
        _refuse_rejected(ends, [each.at for each in example.events])


def _refuse_rejected(ends: list[Taken], places: list[Any]) -> None:
    for end, at in zip(ends, places, strict=True):
        if end.fate is Taking.REJECTED:
            raise WorkspaceError.single(at, f"this cannot be taken in: {end.reason}.")


def _suppress(connection: Connection, database: Database, customer: InventedCustomer, now: datetime) -> None:
    for channel, reason in customer.suppressed.items():
        address = normalise(channel, str(customer.row[channel.value]))
        suppress_contact_point(connection, database, channel, address, reason, at=now, source="test")


def _send_before(workspace: Workspace, database: Database, message: EarlierMessage, number: int) -> None:
    """A message that was accepted earlier. That it was sent is given, so no policy is asked."""
    campaign, at = workspace.campaigns[message.campaign], message.sent_at
    alone = campaign.model_copy(update={"audience": {"id": message.customer}, "reentry": "always", "trigger": None})
    launch(workspace, database, alone, Occurrence(key=f"before-{number}", nominal_at=at), now=at)
    (taken,) = claim(database, Lane.BULK, owner="test", limit=1, lease=timedelta(minutes=1), now=at)
    _hand_over(database, taken, at)
    record_events(database, _reports(message, database.message_key(taken.id)), provider="test", now=at)
    if message.left_at is not None:
        outside = select(customers.c.id).where(customers.c.external_id == message.customer)
        with database.writing() as connection:
            note_departures(connection, database, message.campaign, outside, now=message.left_at)


def _hand_over(database: Database, taken: Message, at: datetime) -> None:
    """As a sender would, to a vendor that takes everything."""
    mine = (customers.c.id == contact_points.c.customer_id) & (contact_points.c.channel == taken.channel.value)
    query = select(customers.c.revision, contact_points.c.id, contact_points.c.address).select_from(
        customers.outerjoin(contact_points, mine)
    )
    with database.reading() as connection:
        row = connection.execute(query.where(customers.c.id == taken.customer_id)).one()
    intent = hand_over.Intent(
        message=taken,
        provider="test",
        at=at,
        sent_to=row.address,
        contact_point_id=row.id,
        values={},
        template_path="",
        content_hash="",
        revision=row.revision,
        bump=False,
    )
    hand_over.begin(database, [intent], now=at)
    sent = replace(taken, attempts=1, sent_to=row.address, provider="test")
    ended = Ended(message=sent, outcome=Accepted(), retry=Retry(wait=timedelta(), worthwhile=False))
    settle(database, [ended], now=at)


def _reports(message: EarlierMessage, key: str) -> list[ProviderEvent]:
    earliest = message.sent_at + TOO_FAST  # a person did it, whatever the day says
    return [
        ProviderEvent(
            name=name,
            at=max(when, earliest) if name in ENGAGEMENTS else when,
            dedupe=f"{name}:{key}",
            message_key=key,
        )
        for name, when in sorted(message.reported.items(), key=lambda each: each[1])
    ]


# ---------------------------------------------------------------- at the test's moment


def _members(workspace: Workspace, database: Database, example: Example) -> dict[str, frozenset[str]]:
    found = {}
    with database.reading() as connection:
        for expected in example.segments:
            chosen = chosen_customers(workspace, expected.segment, now=example.now, dialect=database.dialect)
            assert chosen is not None
            ids = connection.execute(chosen.with_only_columns(customers.c.external_id)).scalars()
            found[expected.segment] = frozenset(ids)
    return found


def _launch(workspace: Workspace, database: Database, example: Example) -> None:
    """First the calls, then the campaigns that are expected to do something, one after the other, as if due now."""
    settings = workspace.settings
    setup = Setup(
        workspace=workspace,
        providers=stand_ins(settings, workspace.folder),
        links=Links(SECRET, settings.public_url),
    )
    sender = Sender(setup=lambda: setup, database=database, clock=SteppedClock(example.now), limited=False)
    try:
        for number, call in enumerate(example.triggers):
            with database.writing() as connection:
                trigger(
                    workspace,
                    connection,
                    database,
                    call.campaign,
                    customer=call.customer,
                    data=call.data,
                    occurrence=f"test-{number}",
                    now=example.now,
                )
            sender.drain()
        for expected in example.campaigns:
            campaign = workspace.campaigns[expected.campaign]
            if campaign.trigger is None:
                launch(workspace, database, campaign, Occurrence(key="test", nominal_at=example.now), now=example.now)
                sender.drain()
    finally:
        sender.stop()


# ---------------------------------------------------------------- afterwards


def _newest(database: Database) -> int:
    with database.reading() as connection:
        newest = connection.execute(select(messages.c.id).order_by(messages.c.id.desc()).limit(1)).scalar()
    return newest or 0


def _messages(database: Database, *, after: int) -> dict[str, dict[str | None, tuple[Got, ...]]]:
    m, found = messages.c, dict[str, dict[str | None, tuple[Got, ...]]]()
    query = (
        select(m.campaign, customers.c.external_id, m.state, m.reason, m.detail)
        .select_from(messages.outerjoin(customers, m.customer_id == customers.c.id))
        .where(m.id > after)
        .order_by(m.id)
    )
    with database.reading() as connection:
        for row in connection.execute(query):
            of = found.setdefault(row.campaign, {})
            of[row.external_id] = (*of.get(row.external_id, ()), _got(row))
    return found


def _got(row: Row[*tuple[Any, ...]]) -> Got:
    state, reason = State(row.state), Reason(row.reason) if row.reason else None
    fate = _FATES.get(state, Fate.WITHHELD)
    return Got(fate=fate, reason=None if fate is Fate.SENT else reason, detail=row.detail or "")


_FATES: Mapping[State, Fate] = {
    State.ACCEPTED: Fate.SENT,
    State.PENDING: Fate.HELD,
    State.CLAIMED: Fate.HELD,
    State.SENDING: Fate.HELD,
    State.IN_DOUBT: Fate.HELD,
}
"""What is open waits; every other end but `accepted` is a message that was not sent."""

__all__ = ["Got", "Outcome", "performed"]
