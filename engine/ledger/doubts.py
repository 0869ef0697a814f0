"""What is done when no answer came: hand over again where that cannot double or the class allows it once, else say unknown.

Evidence goes first. A vendor that remembers our key is handed the same message again; one that can be asked is asked
(`look_ups`), and only where its answer should long be there, or would come too late, does the class decide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from engine.ledger.look_ups import complete_at, next_look
from engine.ledger.moves import in_state, move
from engine.model import DeliveryClass, Reason, State
from engine.provider import Capabilities
from engine.store import Database
from engine.store.tables import attempts, messages


@dataclass(frozen=True, kw_only=True, slots=True)
class Doubt:
    """A message in doubt, with what decides about it. Times are UTC.

    since: of its first hand-over that nobody knows the end of; doubted_at, began_at: of its last one, number `attempts`.
    """

    message_id: int
    epoch: int
    provider: str
    delivery: DeliveryClass
    reason: str
    attempts: int
    since: datetime
    doubted_at: datetime
    began_at: datetime
    first_sent_at: datetime
    not_after: datetime | None
    possible_duplicate: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class DoubtRules:
    """promises: a provider's name → what it promises, None where it is not open.

    patience: how long evidence is awaited before the one re-send that `at_least_once` allows; as long as a lease.
    resolve_window: after it, without evidence, the message is unknown.
    """

    promises: Callable[[str], Capabilities | None]
    patience: timedelta
    resolve_window: timedelta


@dataclass(frozen=True, kw_only=True, slots=True)
class Resolved:
    """How many messages were handed back for another hand-over, and how many are now unknown."""

    resent: int
    given_up: int


BATCH = 5000
FIRST_WAIT = timedelta(seconds=1)
LONGEST_WAIT = timedelta(minutes=10)


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


def _open_doubts(database: Database) -> Iterator[Doubt]:
    """Every one, the oldest message first, a batch at a time."""
    m, last = messages.c, 0
    columns = (
        m.id.label("message_id"), m.epoch, m.provider, m.delivery, m.reason, m.attempts, m.doubt_since.label("since"),
        m.changed_at.label("doubted_at"), attempts.c.began_at, m.first_sent_at, m.not_after, m.possible_duplicate,
    )  # fmt: skip
    theirs = (attempts.c.message_id == m.id) & (attempts.c.number == m.attempts)
    query = select(*columns).join(attempts, theirs).where(in_state(State.IN_DOUBT)).order_by(m.id).limit(BATCH)
    while True:
        with database.reading() as connection:
            rows = connection.execute(query.where(m.id > last)).all()
        for row in rows:
            # after a restore evidence has its time from when it was asked for, however old the backup is
            since = row.doubted_at if row.reason == Reason.RESTORED.value else row.since
            yield Doubt(**{**row._mapping, "delivery": DeliveryClass(row.delivery), "since": since})
        if len(rows) < BATCH:
            return
        last = rows[-1].message_id


def _decide(doubt: Doubt, rules: DoubtRules, now: datetime) -> tuple[str | None, dict[str, Any]]:
    if now < _key_remembered_until(doubt, rules):
        return "resend", {"due_at": now + _back_off(doubt.attempts)}
    patient = _patient_until(doubt, rules)
    if patient is None or now < patient:
        return None, {}
    if _may_repeat(doubt):
        return "resend", {"due_at": now, "possible_duplicate": True}
    return "give_up", {"reason": Reason.NO_EVIDENCE.value}


def next_decision(database: Database, rules: DoubtRules, *, after: datetime) -> datetime | None:
    """When the next message in doubt is decided about, by a rule or by looking it up (UTC). None where none will be."""
    doubts = list(_open_doubts(database))
    asked = {d.provider for d in doubts if (can := rules.promises(d.provider)) and can.settle_time is not None}
    moments = [after if after < _key_remembered_until(d, rules) else _patient_until(d, rules) for d in doubts]
    with database.reading() as connection:
        moments += [next_look(connection, sorted(asked)) if asked else None]
    ahead = [moment for moment in moments if moment is not None]
    return max(min(ahead), after) if ahead else None


def _key_remembered_until(doubt: Doubt, rules: DoubtRules) -> datetime:
    """Until when the same message may be handed over again by its key."""
    can = rules.promises(doubt.provider)
    if can is None or can.repeatable_for is None or doubt.reason == Reason.CONTENT_CHANGED.value:
        return doubt.first_sent_at
    if doubt.reason == Reason.RESTORED.value and not can.key_suffices:
        return doubt.first_sent_at
    return doubt.first_sent_at + can.repeatable_for


def _patient_until(doubt: Doubt, rules: DoubtRules) -> datetime | None:
    """Until when evidence is awaited before the class decides; None for ever, where a person is to decide."""
    if doubt.delivery is DeliveryClass.ASK:
        return None
    if _may_repeat(doubt):
        return _evidence_by(doubt, rules.promises(doubt.provider), rules)
    return doubt.since + rules.resolve_window


def _may_repeat(doubt: Doubt) -> bool:
    return doubt.delivery is DeliveryClass.AT_LEAST_ONCE and not doubt.possible_duplicate


def _back_off(tries: int) -> timedelta:
    """At once after the first hand-over; then ever longer, for a vendor that does not answer."""
    return min(FIRST_WAIT * 2 ** min(tries - 2, 20), LONGEST_WAIT) if tries > 1 else timedelta()


def _evidence_by(doubt: Doubt, can: Capabilities | None, rules: DoubtRules) -> datetime:
    """Until when evidence is awaited before the class's own re-send: two looks and a lease, where the vendor can be asked
    and the message is still of use by then.
    """
    soon = doubt.since + rules.patience
    if can is None or can.settle_time is None:
        return soon
    complete = complete_at(doubt.doubted_at, doubt.began_at, settle_time=can.settle_time, lease=rules.patience)
    proved = complete + can.settle_time + rules.patience
    return soon if doubt.not_after is not None and doubt.not_after < proved else proved
