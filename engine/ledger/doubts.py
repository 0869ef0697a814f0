"""What is done when no answer came: hand over again where that cannot double or the class allows it once, else say unknown.

Evidence goes first. A vendor that remembers our key is handed the same message again; one that can be asked is asked
(`look_ups`), and only where its answer should long be there, or would come too late, does the class decide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Connection, case, false, func, or_, select

from engine.ledger.look_ups import complete_at, next_look
from engine.ledger.moves import in_state, lock, move_claimed
from engine.model import Claim, DeliveryClass, Reason, State
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


BATCH, BATCHES = 500, 10
"""So many are settled in one commit, and so many commits make a pass: what else has to be tidied does not wait for long."""
FIRST_WAIT = timedelta(seconds=1)
LONGEST_WAIT = timedelta(minutes=10)


def resolve(database: Database, rules: DoubtRules, *, now: datetime) -> Resolved:
    """Decide about messages in doubt whose time has come, the oldest first: a few thousand at a time, the others in the next call."""
    counts = {"resend": 0, "give_up": 0}
    due = islice(_due(database, rules, now), BATCH * BATCHES)
    while batch := list(islice(due, BATCH)):
        with database.writing() as connection:
            lock(connection, messages.c.id.in_([doubt.message_id for doubt, _, _ in batch]))
            for transition in counts:
                moves = [(_as_seen(doubt), values) for doubt, name, values in batch if name == transition]
                counts[transition] += move_claimed(connection, transition, *moves, now=now)
    return Resolved(resent=counts["resend"], given_up=counts["give_up"])


def _as_seen(doubt: Doubt) -> Claim:
    """Nobody's: it is moved where nobody else has moved it since."""
    return Claim(message_id=doubt.message_id, epoch=doubt.epoch, owner="", lease_until=doubt.doubted_at)


def _due(database: Database, rules: DoubtRules, now: datetime) -> Iterator[tuple[Doubt, str, dict[str, Any]]]:
    """Those about which there is something to decide, and what."""
    for doubt in _doubts(database, _perhaps_due(database, rules, now)):
        transition, values = _decide(doubt, rules, now)
        if transition is not None:
            yield doubt, transition, values


def _doubts(database: Database, which: ColumnElement[bool]) -> Iterator[Doubt]:
    """The oldest message first, a batch at a time."""
    m, last = messages.c, 0
    columns = (
        m.id.label("message_id"), m.epoch, m.provider, m.delivery, m.reason, m.attempts, _since().label("since"),
        m.changed_at.label("doubted_at"), attempts.c.began_at, m.first_sent_at, m.not_after, m.possible_duplicate,
    )  # fmt: skip
    theirs = (attempts.c.message_id == m.id) & (attempts.c.number == m.attempts)
    query = select(*columns).join(attempts, theirs).where(in_state(State.IN_DOUBT), which).order_by(m.id).limit(BATCH)
    while True:
        with database.reading() as connection:
            rows = connection.execute(query.where(m.id > last)).all()
        for row in rows:
            yield Doubt(**{**row._mapping, "delivery": DeliveryClass(row.delivery)})
        if len(rows) < BATCH:
            return
        last = rows[-1].message_id


def _since() -> ColumnElement[datetime]:
    """After a restore evidence has its time from when it was asked for, however old the backup is."""
    m = messages.c
    return case((m.reason == Reason.RESTORED.value, m.changed_at), else_=m.doubt_since)


def _perhaps_due(database: Database, rules: DoubtRules, now: datetime) -> ColumnElement[bool]:
    """All that `_decide` would decide about, and few others: the same rules as far as the database can tell."""
    m = messages.c
    by_key = [_known_by_key(name, can, now) for name, can in _promises(database, rules).items()]
    again = _repeatable() & (_since() <= now - rules.patience)
    over = (m.delivery != DeliveryClass.ASK.value) & ~_repeatable() & (_since() <= now - rules.resolve_window)
    return or_(*by_key, again, over)


def _known_by_key(provider: str, can: Capabilities, now: datetime) -> ColumnElement[bool]:
    m = messages.c
    if can.repeatable_for is None:
        return false()
    others = [Reason.CONTENT_CHANGED.value] + ([] if can.key_suffices else [Reason.RESTORED.value])
    reason = func.coalesce(m.reason, "")
    return (m.provider == provider) & (m.first_sent_at > now - can.repeatable_for) & reason.not_in(others)


def _repeatable() -> ColumnElement[bool]:
    """Messages that the class hands over once more; see `_may_repeat`."""
    m = messages.c
    return (m.delivery == DeliveryClass.AT_LEAST_ONCE.value) & m.possible_duplicate.is_(False)


def _promises(database: Database, rules: DoubtRules) -> dict[str, Capabilities]:
    """What the providers of messages in doubt promise, of those that are open."""
    query = select(messages.c.provider).where(in_state(State.IN_DOUBT), messages.c.provider.is_not(None)).distinct()
    with database.reading() as connection:
        names = connection.execute(query).scalars().all()
    return {name: can for name in sorted(names) if (can := rules.promises(name)) is not None}


def _decide(doubt: Doubt, rules: DoubtRules, now: datetime) -> tuple[str | None, dict[str, Any]]:
    if now < _key_remembered_until(doubt, rules):
        return "resend", {
            "due_at": now + _back_off(doubt.attempts),
            "possible_duplicate": doubt.possible_duplicate,
        }
    patient = _patient_until(doubt, rules)
    if patient is None or now < patient:
        return None, {}
    if _may_repeat(doubt):
        return "resend", {"due_at": now, "possible_duplicate": True}
    return "give_up", {"reason": Reason.NO_EVIDENCE.value}


def next_decision(database: Database, rules: DoubtRules, *, after: datetime) -> datetime | None:
    """When the next message in doubt is decided about, by a rule or by looking it up (UTC). None where none will be."""
    if next(_due(database, rules, after), None) is not None:
        return after
    m, can = messages.c, _promises(database, rules)
    asked = sorted(name for name, promised in can.items() if promised.settle_time is not None)
    answered = m.provider.in_(asked)
    moments = [_patient_until(doubt, rules) for doubt in _doubts(database, _repeatable() & answered)]
    with database.reading() as connection:
        soon = _first(connection, _repeatable(), ~answered)
        late = _first(connection, ~_repeatable(), m.delivery != DeliveryClass.ASK.value)
        moments += [soon and soon + rules.patience, late and late + rules.resolve_window]
        moments += [next_look(connection, asked) if asked else None]
    ahead = [moment for moment in moments if moment is not None]
    return max(min(ahead), after) if ahead else None


def _first(connection: Connection, *which: ColumnElement[bool]) -> datetime | None:
    """Since when the oldest of these doubts lasts."""
    return connection.execute(select(func.min(_since())).where(in_state(State.IN_DOUBT), *which)).scalar()


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
