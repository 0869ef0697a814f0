"""The durable intent: committed before the provider's call, or there is no call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import Connection, Update, bindparam, insert, select, update

from engine.ledger.moves import move_claimed
from engine.model import Message, Plain, Reason
from engine.store import Database
from engine.store.tables import attempts, customers, runs


@dataclass(frozen=True, kw_only=True, slots=True)
class Intent:
    """What is about to leave: frozen at the first hand-over, so that a second one is equal to the byte.

    revision: the customer's revision that the decision was made on (None for a public post).
    bump: whether this hand-over itself changes what others may send (it counts under a frequency cap).
    """

    provider: str
    sent_to: str | None
    contact_point_id: int | None
    values: Mapping[str, Plain]
    template_path: str
    content_hash: str
    revision: int | None
    bump: bool


class _Refused(Exception):
    """Rolls the intent back; carries why."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


def begin(database: Database, message: Message, intent: Intent, *, now: datetime) -> Reason | None:
    """Commit the intent to hand `message` over. Not None, with no intent written, where it may not leave: `lease_over`
    (or somebody else has it), `cancelled` (the run; the message then is), or `contact_changed`: what we may send this
    customer is not what it was when the decision was made, so it has to be made again.
    """
    try:
        with database.writing() as connection:
            _begin(connection, message, intent, now)
    except _Refused as refused:
        if refused.reason is Reason.CANCELLED:
            with database.writing() as connection:
                move_claimed(
                    connection,
                    "cancel",
                    message.claim,
                    now=now,
                    reason=Reason.CANCELLED.value,
                    owner=None,
                    lease_until=None,
                )
        return refused.reason
    return None


def _begin(connection: Connection, message: Message, intent: Intent, now: datetime) -> None:
    guards = ("leased", "run_live", *(("same_revision",) if message.customer_id is not None else ()))
    number = message.attempts + 1
    began = {"provider": intent.provider, "attempts": number, "reason": None, "detail": None}
    # While an earlier hand-over is in doubt nothing of it may change; after a sure refusal all is made anew.
    frozen = {} if message.doubt_since else _content(intent, now)
    if not move_claimed(
        connection, "begin", message.claim, *guards, now=now, revision=intent.revision, **began, **frozen
    ):
        raise _Refused(_why_not(connection, message, intent))
    connection.execute(
        insert(attempts), {"message_id": message.id, "number": number, "provider": intent.provider, "began_at": now}
    )
    if (
        intent.bump
        and not connection.execute(_bump(), {"customer": message.customer_id, "decided": intent.revision}).rowcount
    ):
        raise _Refused(Reason.CONTACT_CHANGED)  # another sender was faster, on the same decision


def _content(intent: Intent, now: datetime) -> dict[str, Any]:
    return {
        "first_sent_at": now,
        "sent_to": intent.sent_to,
        "contact_point_id": intent.contact_point_id,
        "values": dict(intent.values),
        "template_path": intent.template_path,
        "content_hash": intent.content_hash,
    }


def _why_not(connection: Connection, message: Message, intent: Intent) -> Reason:
    if connection.execute(select(runs.c.cancelled_at).where(runs.c.id == message.run_id)).scalar() is not None:
        return Reason.CANCELLED
    if message.customer_id is not None:
        revision = connection.execute(
            select(customers.c.revision).where(customers.c.id == message.customer_id)
        ).scalar()
        if revision != intent.revision:
            return Reason.CONTACT_CHANGED
    return Reason.LEASE_OVER


@cache
def _bump() -> Update:
    """Makes other decisions about the customer void: this message counts under a frequency cap."""
    return (
        update(customers)
        .where(customers.c.id == bindparam("customer"), customers.c.revision == bindparam("decided"))
        .values(revision=customers.c.revision + 1)
    )


def hold(database: Database, message: Message, *, until: datetime, reason: Reason, now: datetime) -> bool:
    """Put a claimed message back, to be decided again at `until`."""
    with database.writing() as connection:
        return move_claimed(
            connection,
            "release",
            message.claim,
            now=now,
            due_at=until,
            reason=reason.value,
            held_by=reason.value,
            owner=None,
            lease_until=None,
        )


def release(database: Database, message: Message, *, reason: Reason, now: datetime) -> bool:
    """Put a claimed message back: it was surely not sent. Decided again at once only where the decision was out of date."""
    due = now if reason is Reason.CONTACT_CHANGED else now + timedelta(seconds=1)
    with database.writing() as connection:
        return move_claimed(
            connection, "release", message.claim, now=now, due_at=due, reason=reason.value, owner=None, lease_until=None
        )


def withhold(database: Database, message: Message, *, reason: Reason, detail: str, now: datetime) -> bool:
    """End a claimed message unsent, with the reason (an expired one as expired)."""
    transition = "expire" if reason is Reason.NOT_LATER_THAN else "skip"
    with database.writing() as connection:
        return move_claimed(
            connection,
            transition,
            message.claim,
            now=now,
            reason=reason.value,
            detail=detail or None,
            owner=None,
            lease_until=None,
        )


def doubt_again(database: Database, message: Message, *, reason: Reason, now: datetime) -> bool:
    """The second hand-over of a message in doubt may not be made any more: it waits for evidence, or for its end."""
    with database.writing() as connection:
        return move_claimed(
            connection, "doubt_again", message.claim, now=now, reason=reason.value, owner=None, lease_until=None
        )
