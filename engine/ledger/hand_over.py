"""The durable intent: committed before the provider's call, or there is no call. Those of a whole group in one commit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection, Select, select, update

from engine.ledger.brakes import braked
from engine.ledger.moves import move_claimed, stands_in
from engine.ledger.spending import FREE, Cost, reserve
from engine.ledger.tallies import note
from engine.model import Message, Plain, Reason, State
from engine.store import Database
from engine.store.prepared import Prepared, among, inserting
from engine.store.tables import attempts, customers, messages, runs


@dataclass(frozen=True, kw_only=True, slots=True)
class Intent:
    """What is about to leave: frozen at the first hand-over, so that a second one is equal to the byte.

    at: the message's own date, which is the first hand-over's for a second one, too.
    revision: the customer's revision that the decision was made on (None for a public post).
    bump: whether this hand-over itself changes what others may send (it counts under a frequency cap).
    watched: whether a guard wants to know how the campaign goes. cost: what it costs, and the caps that it is under.
    """

    message: Message
    provider: str
    at: datetime
    sent_to: str | None
    contact_point_id: int | None
    values: Mapping[str, Plain]
    template_path: str
    content_hash: str
    revision: int | None
    bump: bool
    watched: bool = False
    cost: Cost = FREE


def begin(database: Database, intents: Sequence[Intent], *, now: datetime) -> dict[int, Reason]:
    """Commit the intents to hand these messages over, all at once. Returns which may not leave, by message, and why;
    of those no intent is written:

    `lease_over` (or somebody else has it), `cancelled` (the run; the message then is, too), `paused` (the campaign),
    `contact_changed`: what we may send this customer is not what it was when the decision was made, so it has to be made
    again, or `run_spent`, `day_spent`: it would cost more than a guard allows.
    """
    with database.writing() as connection:
        refused = _refused(connection, intents, now)
        costs = [(one.message.id, one.cost) for one in intents if one.message.id not in refused]
        refused |= reserve(connection, costs, now=now)
        leaving = [intent for intent in intents if intent.message.id not in refused]
        cancelled = [intent.message for intent in intents if refused.get(intent.message.id) is Reason.CANCELLED]
        _end(connection, "cancel", cancelled, now=now, reason=Reason.CANCELLED.value)
        if leaving:
            _begin(connection, leaving, now)
    return refused


def _refused(connection: Connection, intents: Sequence[Intent], now: datetime) -> dict[int, Reason]:
    """Why messages may not leave. What is asked here is locked until the commit: messages before their customers, each in
    the order of their ids, as everybody does who locks both.
    """
    held = {row.id: row for row in _HELD.rows(connection, ids=[intent.message.id for intent in intents])}
    revisions = _revisions(connection, intents)
    paused = braked(connection)
    refused: dict[int, Reason] = {}
    for intent in intents:
        message, row = intent.message, held.get(intent.message.id)
        if row is None or row.epoch != message.claim.epoch or row.lease_until <= now:
            refused[message.id] = Reason.LEASE_OVER
        elif row.cancelled_at is not None:
            refused[message.id] = Reason.CANCELLED
        elif paused(message.campaign):
            refused[message.id] = Reason.PAUSED
        elif message.customer_id is not None and revisions.get(message.customer_id) != intent.revision:
            refused[message.id] = Reason.CONTACT_CHANGED
        elif intent.bump and message.customer_id is not None:
            del revisions[message.customer_id]  # another message of this group to the same customer is decided again
    return refused


def _held(dialect: str) -> Select[Any]:
    m = messages.c
    return (
        select(m.id, m.epoch, m.lease_until, runs.c.cancelled_at)
        .join(runs, runs.c.id == m.run_id)
        .where(among(dialect, m.id, "ids"), stands_in(State.CLAIMED))
        .order_by(m.id)
        .with_for_update(of=messages)
    )


_HELD = Prepared(_held, growing=True)


def _revisions(connection: Connection, intents: Sequence[Intent]) -> dict[int, int]:
    them = {intent.message.customer_id for intent in intents if intent.message.customer_id is not None}
    if not them:
        return {}
    # shared, where nobody's revision is changed: an opt-out waits until this intent is written, or is seen by it
    query = _REVISIONS[any(intent.bump for intent in intents)]
    return {row.id: row.revision for row in query.rows(connection, ids=sorted(them))}


def _revision_of(dialect: str, *, shared: bool) -> Select[Any]:
    c = customers.c
    mine = among(dialect, c.id, "ids")
    return select(c.id, c.revision).where(mine).order_by(c.id).with_for_update(read=shared)


_REVISIONS = {bump: Prepared(partial(_revision_of, shared=not bump)) for bump in (False, True)}


def _begin(connection: Connection, intents: Sequence[Intent], now: datetime) -> None:
    # While an earlier hand-over is in doubt nothing of it may change but what stands around it (its hash is of what left
    # last); after a sure refusal all is made anew.
    def frozen(message: Message) -> bool:
        return message.doubt_since is not None and not message.suspect

    fresh = [intent for intent in intents if not frozen(intent.message)]
    again = [intent for intent in intents if frozen(intent.message)]
    begun = sum(
        move_claimed(connection, "begin", *moves, now=now, leased=True)
        for moves in (
            [(intent.message.claim, {**_attempt(intent), **_content(intent)}) for intent in fresh],
            [(intent.message.claim, {**_attempt(intent), "content_hash": intent.content_hash}) for intent in again],
        )
    )
    if begun != len(intents):
        raise AssertionError("a message moved while it was locked")
    rows = [
        {
            "message_id": intent.message.id,
            "number": intent.message.attempts + 1,
            "provider": intent.provider,
            "began_at": now,
            "cost": intent.cost.amount or None,
            "reserved_under": "\n".join(intent.cost.keys) or None,
        }
        for intent in intents
    ]
    _ATTEMPTS.run(connection, rows)
    watched = [intent.message for intent in intents if intent.watched and intent.message.attempts == 0]
    note(connection, "begun", ((message.campaign, message.run_id) for message in watched), at=now)
    counting = sorted(intent.message.customer_id for intent in intents if intent.bump and intent.message.customer_id)
    if counting:  # makes other decisions about these customers void: these messages count under a frequency cap
        _BUMP.run(connection, ids=counting)


_ATTEMPTS = inserting(attempts, ("message_id", "number", "provider", "began_at", "cost", "reserved_under"))
_BUMP = Prepared(
    lambda dialect: (
        update(customers).where(among(dialect, customers.c.id, "ids")).values(revision=customers.c.revision + 1)
    )
)


def _attempt(intent: Intent) -> dict[str, Any]:
    return {
        "provider": intent.provider,
        "attempts": intent.message.attempts + 1,
        "reason": None,
        "detail": None,
    }


def _content(intent: Intent) -> dict[str, Any]:
    return {
        "first_sent_at": intent.at,
        "sent_to": intent.sent_to,
        "contact_point_id": intent.contact_point_id,
        "values": dict(intent.values),
        "template_path": intent.template_path,
        "content_hash": intent.content_hash,
    }


# ---------------------------------------------------------------- what does not leave


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """A claimed message that goes back, surely unsent, to be decided again at `until`."""

    message: Message
    until: datetime
    reason: Reason


@dataclass(frozen=True, kw_only=True, slots=True)
class Withheld:
    """A claimed message that ends unsent (an expired one as expired). `detail` is for the reader of `why`."""

    message: Message
    reason: Reason
    detail: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Doubted:
    """A second hand-over of a message in doubt that may not be made any more: it waits for evidence, or for its end."""

    message: Message
    reason: Reason


Kept = Held | Withheld | Doubted


def keep(database: Database, kept: Sequence[Kept], *, now: datetime) -> None:
    """Write down what is to become of claimed messages that do not leave, all in one commit."""
    if not kept:
        return
    with database.writing() as connection:
        held = [(one.message.claim, _back(one.until, one.reason)) for one in kept if isinstance(one, Held)]
        move_claimed(connection, "release", *held, now=now)
        withheld = [one for one in kept if isinstance(one, Withheld)]
        for transition, ended in (
            ("expire", [one for one in withheld if one.reason is Reason.NOT_LATER_THAN]),
            ("skip", [one for one in withheld if one.reason is not Reason.NOT_LATER_THAN]),
        ):
            move_claimed(connection, transition, *((one.message.claim, _withheld(one)) for one in ended), now=now)
        doubted = [(one.message.claim, _over(reason=one.reason.value)) for one in kept if isinstance(one, Doubted)]
        move_claimed(connection, "doubt_again", *doubted, now=now)


def _withheld(one: Withheld) -> dict[str, Any]:
    """No run sends to its holdout: a suspect of it never left in the time of which a restored database knows nothing."""
    never = one.reason is Reason.HOLDOUT and one.message.suspect
    doubt = None if never else one.message.doubt_since
    return _over(reason=one.reason.value, detail=one.detail or None, doubt_since=doubt)


def release(database: Database, unsent: Sequence[tuple[Message, Reason]], *, now: datetime) -> None:
    """Put claimed messages back: they were surely not sent. Decided again at once only where the decision was out of date."""
    soon = {Reason.CONTACT_CHANGED: now}
    moves = [
        (message.claim, _over(due_at=soon.get(reason, now + timedelta(seconds=1)), reason=reason.value))
        for message, reason in unsent
    ]
    if moves:
        with database.writing() as connection:
            move_claimed(connection, "release", *moves, now=now)


def _end(connection: Connection, transition: str, ended: Sequence[Message], *, now: datetime, reason: str) -> None:
    move_claimed(connection, transition, *((message.claim, _over(reason=reason)) for message in ended), now=now)


def _back(until: datetime, reason: Reason) -> dict[str, Any]:
    return _over(due_at=until, reason=reason.value, held_by=reason.value)


def _over(**values: Any) -> dict[str, Any]:
    """The values of a claim that ends: nobody's message any more."""
    return {**values, "owner": None, "lease_until": None}
