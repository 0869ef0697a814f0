"""A small set of books for the ledger's tests: customers, one run, and the messages it owes."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import insert, select

from engine.ledger import hand_over
from engine.ledger.claim import claim
from engine.ledger.owe import NewRun, OwedTo, open_run, owe
from engine.ledger.settle import Ended, Retry, settle
from engine.model import Channel, DeliveryClass, Lane, Message, MessageClass, State
from engine.provider import Outcome
from engine.store import Database
from engine.store.tables import contact_points, customers, messages

LEASE = timedelta(minutes=2)
RETRY = Retry(wait=timedelta(seconds=5), worthwhile=True)
NEW_RUN = NewRun(
    campaign="news",
    occurrence="2026-03-02T10:00",
    nominal_at=datetime.fromisoformat("2026-03-02T10:00+00:00"),
    definition={"campaign": "news", "purpose": "offers"},
    definition_hash="d",
    rules_commit=None,
    template_name="news",
    template_hash="t",
    template_sources={"news/email.txt": "Hello"},
    channel=Channel.EMAIL,
    data={},
)


def add_customers(database: Database, count: int, now: datetime) -> None:
    """Customers c1 … with an email address each."""
    with database.writing() as connection:
        for number in range(1, count + 1):
            made = (
                insert(customers)
                .values(external_id=f"c{number}", attributes={}, created_at=now)
                .returning(customers.c.id)
            )
            customer_id = connection.execute(made).scalar_one()
            address = f"c{number}@customers.example"
            point = {
                "customer_id": customer_id,
                "channel": "email",
                "address": address,
                "address_hash": database.address_hash(address),
                "created_at": now,
            }
            connection.execute(insert(contact_points).values(point))


def owe_all(
    database: Database,
    now: datetime,
    *,
    occurrence: str = NEW_RUN.occurrence,
    lane: Lane = Lane.BULK,
    delivery: DeliveryClass = DeliveryClass.AT_MOST_ONCE,
    not_after: datetime | None = None,
) -> int:
    """Launch a run that owes every customer one email; returns how many messages were new."""
    to = OwedTo(
        audience=select(customers.c.id),
        step="main",
        channel=Channel.EMAIL,
        message_class=MessageClass.COMMERCIAL,
        delivery=delivery,
        lane=lane,
        not_after=not_after,
    )
    with database.writing() as connection:
        run_id, _ = open_run(connection, database, replace(NEW_RUN, occurrence=occurrence), now=now)
        return owe(connection, database, run_id, NEW_RUN.campaign, to, now=now)


def take(
    database: Database, now: datetime, *, limit: int = 100, owner: str = "one", lane: Lane = Lane.BULK
) -> list[Message]:
    return claim(database, lane, owner=owner, limit=limit, lease=LEASE, now=now)


def intent(
    message: Message,
    provider: str = "relay",
    revision: int | None = 0,
    *,
    at: datetime | None = None,
    bump: bool = False,
) -> hand_over.Intent:
    return hand_over.Intent(
        message=message,
        provider=provider,
        at=at or message.owed_at,
        sent_to="c1@customers.example",
        contact_point_id=1,
        values={"a": 1},
        template_path="news/email.txt",
        content_hash="h",
        revision=revision,
        bump=bump,
    )


def begin(database: Database, message: Message, now: datetime, *, revision: int = 0) -> Message | None:
    """Commit the intent; the message as its sender then knows it, or None where it may not leave."""
    if hand_over.begin(database, [intent(message, revision=revision, at=now)], now=now):
        return None
    return replace(message, attempts=message.attempts + 1, sent_to="c1@customers.example", provider="relay")


def end(database: Database, message: Message, outcome: Outcome, now: datetime, retry: Retry = RETRY) -> bool:
    return settle(database, [Ended(message=message, outcome=outcome, retry=retry)], now=now) == 1


def state_of(database: Database, message_id: int) -> State:
    with database.reading() as connection:
        return State(connection.execute(select(messages.c.state).where(messages.c.id == message_id)).scalar_one())


def states(database: Database) -> list[State]:
    with database.reading() as connection:
        return [State(word) for word in connection.execute(select(messages.c.state).order_by(messages.c.id)).scalars()]
