"""What providers and our own links report: stored once, in any order, and the message settled forward.

Every report is kept as an event. What it does is one row of `EFFECTS`: which time it stamps on the message, what it
proves about the hand-over, whether it ends our right to write. A stamp is the earliest report's time, so that order and
repetition change nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, Row, or_, select, update

from engine.addresses import normalise
from engine.ledger import consent, posts, replies
from engine.ledger.invitations import Invited, take_up
from engine.ledger.keywords import Wish, language, wish
from engine.ledger.moves import move
from engine.ledger.tallies import note
from engine.model import Channel, EventName, Plain, Reason, SuppressionReason
from engine.provider import ProviderEvent
from engine.store import Database
from engine.store.tables import events, messages


@dataclass(frozen=True, kw_only=True, slots=True)
class Effect:
    """What a report does: the message's time that it stamps, the transition that it proves, the suppression it asks for;
    `counts` where it tells how a post fares.
    """

    stamp: Column[Any] | None = None
    proves: str | None = None
    suppress: SuppressionReason | None = None
    opts_out: bool = False
    counts: bool = False


_m = messages.c
EFFECTS: Mapping[EventName, Effect] = {
    EventName.ACCEPTED: Effect(proves="prove_accepted"),
    EventName.DEFERRED: Effect(proves="prove_accepted"),
    EventName.DELIVERED: Effect(stamp=_m.delivered_at, proves="prove_accepted"),
    EventName.BOUNCED: Effect(stamp=_m.bounced_at, proves="prove_accepted"),
    EventName.BOUNCED_SOFT: Effect(proves="prove_accepted"),
    EventName.REJECTED: Effect(stamp=_m.bounced_at, proves="prove_rejected"),
    EventName.OPENED: Effect(stamp=_m.opened_at, proves="prove_accepted"),
    EventName.CLICKED: Effect(stamp=_m.clicked_at, proves="prove_accepted"),
    EventName.COMPLAINED: Effect(
        stamp=_m.complained_at, proves="prove_accepted", suppress=SuppressionReason.COMPLAINED
    ),
    EventName.OPTED_OUT: Effect(proves="prove_accepted", opts_out=True),
    EventName.OPTED_IN: Effect(),
    EventName.REPLIED: Effect(stamp=_m.replied_at),
    EventName.REACTED: Effect(proves="prove_accepted"),
    EventName.COUNTED: Effect(counts=True),
    EventName.OTHER: Effect(),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """How many reports were new, were repeats, and of the new ones how many found no message of ours (kept all the same)."""

    new: int
    repeated: int
    unmatched: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _Report:
    """One report on its way in: the event, the vendor it came from, and the message and customer it was found to be about."""

    event: ProviderEvent
    source: str
    row: Row[*tuple[Any, ...]] | None
    customer_ids: list[int] = field(default_factory=list)
    channel: Channel | None = None

    @property
    def customer_id(self) -> int | None:
        if self.row is not None:
            owner: int | None = self.row.customer_id
            return owner
        return self.customer_ids[0] if self.customer_ids else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What a customer asked for by text, now that it is done: `occurrence` names it, and is never the same for two.

    language: of the word that was used; None where it is everybody's.
    """

    wish: Wish
    language: str | None
    channel: Channel
    customer_id: int
    at: datetime
    occurrence: str


Answer = Callable[[Connection, Asked], object]
"""Owes the answer, in the transaction that stores what was asked."""


def no_answer(_connection: Connection, _asked: Asked) -> None:
    """Nothing is answered."""


def record_events(
    database: Database,
    reported: Sequence[ProviderEvent],
    *,
    provider: str,
    now: datetime,
    channel: Channel | None = None,
    invited: Invited = lambda token: None,
    answer: Answer = no_answer,
) -> Recorded:
    """Store a webhook's events and let each take effect, all in one durable transaction.

    channel: the provider's own, on which alone an address is looked for: who leaves WhatsApp has not left SMS.
    invited: reads the invitations of our own messages; without it, whoever comes by one is a stranger.
    answer: told what a text asked for, once it is done.
    """
    new = unmatched = 0
    with database.writing() as connection:
        for event in sorted(
            reported, key=lambda each: (each.message_key or "", each.provider_message_id or "")
        ):  # no deadlocks
            inviting = invited(event.invitation) if event.invitation else None
            if inviting is not None:
                event = replace(event, message_key=database.message_key(inviting))
            report = _find(connection, database, event, provider, event.channel or channel)
            if not _store(connection, database, report, f"{provider}:{event.dedupe}", now):
                continue
            new += 1
            unmatched += report.row is None and not report.customer_ids
            _take_effect(connection, database, report, now, answer)
            if inviting is not None and channel is not None:
                take_up(connection, database, event, inviting, channel, source=provider)
    return Recorded(new=new, repeated=len(reported) - new, unmatched=unmatched)


def record_engagement(
    database: Database,
    message_id: int,
    name: EventName,
    *,
    at: datetime,
    now: datetime,
    detail: Mapping[str, Plain] | None = None,
    machine: bool = False,
) -> bool:
    """Store an open or click that came through a link of our own. False where the message does not exist."""
    link = (detail or {}).get("link", "")  # two links of one message, followed in the same instant, are two clicks
    event = ProviderEvent(
        name=name,
        at=at,
        dedupe=f"{name}:{message_id}:{link}:{at.isoformat()}:{machine}",
        message_key=database.message_key(message_id),
        machine=machine,
        detail=detail or {},
    )
    return record_events(database, [event], provider="link", now=now).unmatched == 0


def _find(
    connection: Connection, database: Database, event: ProviderEvent, provider: str, only: Channel | None
) -> _Report:
    """The message a report is about: by our key, else by the vendor's id, else the newest to that address."""
    columns = select(
        _m.id, _m.customer_id, _m.channel, _m.state, _m.sent_to, _m.campaign, _m.run_id, _m.first_sent_at, *BAD
    )
    number = database.message_id(event.message_key) if event.message_key else None
    row = connection.execute(columns.where(_m.id == number, _m.attempts > 0)).first() if number else None
    if row is None and event.provider_message_id:
        row = connection.execute(
            columns.where(_m.provider == provider, _m.provider_message_id == event.provider_message_id)
        ).first()
    if row is not None or not event.address:
        return _Report(event=event, source=provider, row=row, channel=only)
    found = [
        owner
        for channel, address in _readings(event.address, only)
        for owner in consent.customers_at(connection, channel, database.address_hash(address))
    ]
    newest = columns.where(_m.customer_id.in_(found), _m.provider == provider, _m.first_sent_at <= event.at).order_by(
        _m.first_sent_at.desc()
    )
    row = connection.execute(newest.limit(1)).first() if found else None
    return _Report(event=event, source=provider, row=row, customer_ids=found, channel=only)


def _readings(address: str, only: Channel | None) -> list[tuple[Channel, str]]:
    """The channels on which a text is a possible address, with its normal form there."""
    readings = []
    for channel in (only,) if only else Channel:
        try:
            readings.append((channel, normalise(channel, address)))
        except ValueError:
            continue
    return readings


def _store(connection: Connection, database: Database, report: _Report, external_id: str, now: datetime) -> bool:
    event = report.event
    properties: dict[str, Plain] = {**event.detail, "provider": report.source}
    if event.machine:
        properties["machine"] = True
    if event.text:
        properties["text"] = event.text
    row = {
        "external_id": external_id,
        "customer_id": report.customer_id,
        "name": event.name.value,
        "at": event.at,
        "properties": properties,
        "message_id": report.row.id if report.row is not None else None,
        "received_at": now,
    }
    return database.inserted(connection, database.insert(events).values(row).on_conflict_do_nothing()) == 1


def _take_effect(connection: Connection, database: Database, report: _Report, now: datetime, answer: Answer) -> None:
    event, effect = report.event, EFFECTS[report.event.name]
    if report.row is not None:
        message_id = report.row.id
        if effect.proves:
            _settle_forward(connection, message_id, effect.proves, event, now)
        if effect.stamp is not None and not event.machine:
            _count(connection, report.row, effect.stamp)
            _stamp(connection, message_id, effect.stamp, event.at)
        if effect.counts:
            posts.count(connection, database, message_id, event.detail, at=event.at)
        if effect.opts_out:
            consent.opt_out_of(
                connection, message_id, at=event.at, source="webhook", proof=f"{report.source} {event.name}"
            )
    for channel, address in _addresses(report):
        reason = event.suppress or effect.suppress
        if reason:
            consent.suppress_contact_point(
                connection, database, channel, address, reason, at=event.at, source=report.source
            )
        if event.name is EventName.REPLIED:
            _obey(connection, database, report, channel, address, answer)


def _settle_forward(
    connection: Connection, message_id: int, transition: str, event: ProviderEvent, now: datetime
) -> None:
    values: dict[str, Any] = {"reason": None} if transition == "prove_accepted" else {"reason": Reason.REFUSED.value}
    if transition == "prove_accepted":
        values["accepted_at"] = event.at
    values["doubt_since"] = None
    if event.provider_message_id:
        values["provider_message_id"] = event.provider_message_id
    move(connection, transition, _m.id == message_id, _m.attempts > 0, now=now, owner=None, lease_until=None, **values)


BAD: Mapping[Column[Any], str] = {_m.bounced_at: "bounces", _m.complained_at: "complaints"}
"""What guards count, once a message, under the time it was handed over."""


def _count(connection: Connection, row: Row[*tuple[Any, ...]], column: Column[Any]) -> None:
    if column in BAD and row._mapping[column] is None:
        note(connection, BAD[column], [(row.campaign, row.run_id)], at=row.first_sent_at)


def _stamp(connection: Connection, message_id: int, column: Column[Any], at: datetime) -> None:
    earlier = or_(column.is_(None), column > at)
    connection.execute(update(messages).where(_m.id == message_id, earlier).values({column.name: at}))


def _addresses(report: _Report) -> list[tuple[Channel, str]]:
    if report.row is not None and report.row.sent_to:
        return [(Channel(report.row.channel), report.row.sent_to)]
    return _readings(report.event.address, report.channel) if report.event.address else []


def _obey(
    connection: Connection, database: Database, report: _Report, channel: Channel, address: str, answer: Answer
) -> None:
    """Do what an inbound text asks for; what only may be a no waits for a person."""
    asked, at, hashed = wish(report.event.text), report.event.at, database.address_hash(address)
    changed = asked is Wish.HELP
    match asked:
        case Wish.OPT_OUT:
            reason = SuppressionReason.OPTED_OUT
            changed = consent.suppress_hash(connection, database, channel, hashed, reason, at=at, source="keyword")
            if report.row is not None:
                _stamp(connection, report.row.id, _m.opted_out_at, at)
        case Wish.OPT_IN:
            changed = consent.lift_opt_out(connection, database, channel, address, at=at)
        case Wish.REVIEW:
            replies.keep(connection, channel, hashed, customer_id=report.customer_id, text=report.event.text, at=at)
    if changed and report.customer_id is not None and not report.event.answered:
        when = at.replace(second=0, microsecond=0) if asked is Wish.HELP else at  # one HELP a minute is answered
        answer(
            connection,
            Asked(
                wish=asked,
                language=language(report.event.text),
                channel=channel,
                customer_id=report.customer_id,
                at=at,
                occurrence=f"{channel} {hashed.hex()} {when.isoformat()}",
            ),
        )
