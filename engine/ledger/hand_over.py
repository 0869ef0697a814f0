"""The durable intent: committed before the provider's call, or there is no call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from sqlalchemy import Update, bindparam, insert, update

from engine.ledger.moves import move_claimed
from engine.model import Message, Plain, Reason
from engine.store import Database
from engine.store.tables import attempts, customers


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


def begin(database: Database, message: Message, intent: Intent, *, now: datetime) -> bool:
    """Commit the intent to hand `message` over. False, with nothing written, where it may not be: the lease is over,
    somebody else has it, the run was cancelled, or what we may send this customer has changed since the decision.
    """
    guards = ("leased", "run_live", *(("same_revision",) if message.customer_id is not None else ()))
    frozen = (
        {}
        if message.first_sent_at
        else {
            "first_sent_at": now,
            "sent_to": intent.sent_to,
            "contact_point_id": intent.contact_point_id,
            "values": dict(intent.values),
            "template_path": intent.template_path,
            "content_hash": intent.content_hash,
        }
    )
    with database.writing() as connection:
        mine = move_claimed(
            connection, "begin", message.claim, *guards,
            now=now, revision=intent.revision, provider=intent.provider, attempts=message.attempts + 1, reason=None, detail=None, **frozen,
        )  # fmt: skip
        if not mine:
            return False
        attempt = {
            "message_id": message.id,
            "number": message.attempts + 1,
            "provider": intent.provider,
            "began_at": now,
        }
        connection.execute(insert(attempts), attempt)
        if intent.bump:
            connection.execute(_bump(), {"customer": message.customer_id})
    return True


@cache
def _bump() -> Update:
    """Makes other decisions about the customer void: this message counts under a frequency cap."""
    return update(customers).where(customers.c.id == bindparam("customer")).values(revision=customers.c.revision + 1)


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
    """Put a claimed message back at once: it was surely not sent."""
    with database.writing() as connection:
        return move_claimed(
            connection, "release", message.claim, now=now, due_at=now, reason=reason.value, owner=None, lease_until=None
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
