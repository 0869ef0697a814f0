"""What is done when no answer came: hand over again where that cannot double or the class allows it once, else say unknown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from engine.ledger.moves import in_state, move
from engine.model import DeliveryClass, Reason, State
from engine.store import Database
from engine.store.tables import messages


@dataclass(frozen=True, kw_only=True, slots=True)
class Doubt:
    """A message in doubt, with what decides about it. Times are UTC."""

    message_id: int
    epoch: int
    provider: str
    delivery: DeliveryClass
    since: datetime
    first_sent_at: datetime
    possible_duplicate: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class DoubtRules:
    """idempotency: a provider's name → how long it remembers our key, None where it does not.

    patience: how long evidence is awaited before the one re-send that `at_least_once` allows.
    resolve_window: after it, without evidence, the message is unknown.
    """

    idempotency: Callable[[str], timedelta | None]
    patience: timedelta
    resolve_window: timedelta


@dataclass(frozen=True, kw_only=True, slots=True)
class Resolved:
    """How many messages were handed back for another hand-over, and how many are now unknown."""

    resent: int
    given_up: int


BATCH = 5000


def resolve(database: Database, rules: DoubtRules, *, now: datetime) -> Resolved:
    """Decide about every message in doubt."""
    counts = {"resend": 0, "give_up": 0}
    for doubt in _open_doubts(database):
        transition, values = _decide(doubt, rules, now)
        if transition is None:
            continue
        same = (messages.c.id == doubt.message_id, messages.c.epoch == doubt.epoch)
        with database.writing() as connection:
            counts[transition] += move(connection, transition, *same, now=now, **values)
    return Resolved(resent=counts["resend"], given_up=counts["give_up"])


def _open_doubts(database: Database) -> list[Doubt]:
    m = messages.c
    columns = (m.id, m.epoch, m.provider, m.doubt_since, m.first_sent_at, m.possible_duplicate, m.delivery)
    with database.reading() as connection:
        rows = connection.execute(
            select(*columns).where(in_state(State.IN_DOUBT)).order_by(m.changed_at).limit(BATCH)
        ).all()
    return [
        Doubt(
            message_id=row.id,
            epoch=row.epoch,
            provider=row.provider,
            delivery=DeliveryClass(row.delivery),
            since=row.doubt_since,
            first_sent_at=row.first_sent_at,
            possible_duplicate=row.possible_duplicate,
        )
        for row in rows
    ]


def _decide(doubt: Doubt, rules: DoubtRules, now: datetime) -> tuple[str | None, dict[str, Any]]:
    remembered = rules.idempotency(doubt.provider)
    if remembered is not None and now < doubt.first_sent_at + remembered:
        return "resend", {"due_at": now}
    waited = now - doubt.since
    may_repeat = doubt.delivery is DeliveryClass.AT_LEAST_ONCE and not doubt.possible_duplicate
    if may_repeat and waited >= rules.patience:
        return "resend", {"due_at": now, "possible_duplicate": True}
    if not may_repeat and waited >= rules.resolve_window:
        return "give_up", {"reason": Reason.NO_EVIDENCE.value}
    return None, {}
