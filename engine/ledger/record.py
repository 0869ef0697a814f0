"""What providers and our own links report: stored once, in any order, and the message settled forward.

Every report is kept as an event. What it does is one row of `EFFECTS`: which time it stamps on the message, what it
proves about the hand-over, whether it ends our right to write. A stamp is the earliest report's time, so that order and
repetition change nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, Row

from engine.ledger import consent, posts, replies
from engine.ledger.about import Report, find
from engine.ledger.engagement import ENGAGEMENTS, engage
from engine.ledger.invitations import Invited, take_up
from engine.ledger.keywords import Wish, language, wish, wish_of_part
from engine.ledger.machines import spelled
from engine.ledger.moves import move
from engine.ledger.proofs import DROPPED, dropped, end_open
from engine.ledger.soft_bounces import FAILED, in_a_row
from engine.ledger.tallies import note
from engine.model import TRANSITIONS, Channel, EventName, Plain, State, SuppressionReason
from engine.provider import ProviderEvent
from engine.settings import BUILT_IN_EVENTS, SoftBounces
from engine.store import Database, persistently
from engine.store.bulk import ReportRow, insert_reports, stamp_messages
from engine.store.tables import messages


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
    EventName.OPENED: Effect(proves="prove_accepted"),  # `engagement` stamps what a person did
    EventName.CLICKED: Effect(proves="prove_accepted"),
    EventName.COMPLAINED: Effect(
        stamp=_m.complained_at, proves="prove_accepted", suppress=SuppressionReason.COMPLAINED
    ),
    EventName.OPTED_OUT: Effect(proves="prove_accepted", opts_out=True),
    EventName.OPTED_IN: Effect(),
    EventName.REPLIED: Effect(stamp=_m.replied_at),
    EventName.REACTED: Effect(proves="prove_accepted"),
    EventName.SHARED: Effect(proves="prove_accepted"),
    EventName.COUNTED: Effect(counts=True),
    EventName.OTHER: Effect(),
}


WORDS: Mapping[Wish, EventName] = {
    Wish.OPT_OUT: EventName.OPTED_OUT,
    Wish.OPT_IN: EventName.OPTED_IN,
    Wish.HELP: EventName.OTHER,
}
"""What a text of one such word is kept as: who writes STOP asks for something, and has not replied to what was said."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """How many reports were new, were repeats, and of the new ones how many found no message of ours (kept all the same)."""

    new: int
    repeated: int
    unmatched: int


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
    soft_bounces: SoftBounces = SoftBounces(),
    origins: bool = False,
) -> Recorded:
    """Store a webhook's events and let each take effect, all in one durable transaction.

    channel: the provider's own, on which alone an address is looked for: who leaves WhatsApp has not left SMS.
    invited: reads the invitations of our own messages; without it, whoever comes by one is a stranger.
    answer: told what a text asked for, once it is done. soft_bounces: how many of them in a row suppress an address.
    origins: keep the addresses that opens and clicks came from; they are dropped where nobody would judge by them.
    """
    named: dict[str, ProviderEvent] = {}
    for event in reported:
        named.setdefault(f"{provider}:{event.dedupe}", event)
    ordered = sorted(named.items(), key=lambda each: (each[1].message_key or "", each[1].provider_message_id or ""))

    def record() -> list[Report]:
        with database.writing() as connection:
            reports = find(connection, database, ordered, provider=provider, channel=channel, invited=invited)
            stored = _store(connection, reports, now, origins=origins)
            new = [report for report in reports if report.external_id in stored]
            refused = _take_effect(connection, database, new, now, answer)
            _suppress_dead(connection, database, new, soft_bounces, now)
            end_open(connection, refused, DROPPED)
            return new

    new = persistently(record)  # two webhooks may be about the same messages
    unmatched = sum(report.row is None and not report.customer_ids for report in new)
    return Recorded(new=len(new), repeated=len(reported) - len(new), unmatched=unmatched)


def record_engagement(
    database: Database,
    message_id: int,
    name: EventName,
    *,
    at: datetime,
    now: datetime,
    detail: Mapping[str, Plain] | None = None,
    machine: bool = False,
    origin: str = "",
) -> bool:
    """Store an open or click that came through a link of our own, with its `origin` where one is given. False where the
    message does not exist.
    """
    link = (detail or {}).get("link", "")  # two links of one message, followed in the same instant, are two clicks
    event = ProviderEvent(
        name=name,
        at=at,
        dedupe=f"{name}:{message_id}:{link}:{at.isoformat()}:{machine}",
        message_key=database.message_key(message_id),
        machine=machine,
        origin=origin,
        detail=detail or {},
    )
    return record_events(database, [event], provider="link", now=now, origins=True).unmatched == 0


def _store(connection: Connection, reports: Sequence[Report], now: datetime, *, origins: bool) -> set[str]:
    """Keep every report as an event, opens and clicks with a verdict on who it was; the names of those that were new."""
    rows = [
        ReportRow(
            external_id=report.external_id,
            customer_id=report.customer_id,
            name=_kept_as(report.event).value,
            at=report.event.at,
            properties=_properties(report, origins=origins),
            message_id=report.row.id if report.row is not None else None,
        )
        for report in reports
    ]
    engaged = [row for row in rows if row.message_id is not None and row.name in ENGAGEMENTS]
    if engaged:
        engage(connection, engaged)
    return insert_reports(connection, rows, received_at=now)


def _of_the_person(report: Report) -> bool:
    """Whether it says what somebody wants and names no message: the newest to the address need not be what was answered."""
    return report.guessed and report.event.name in (EventName.OPTED_OUT, EventName.COMPLAINED)


def _kept_as(event: ProviderEvent) -> EventName:
    if event.name is not EventName.REPLIED:
        return event.name
    name = WORDS.get(_wish(event), event.name)
    return EventName.OTHER if event.answered and name is not event.name else name  # the vendor tells the wish by itself


def _wish(event: ProviderEvent) -> Wish:
    return wish_of_part(event.text) if event.part else wish(event.text)


def _properties(report: Report, *, origins: bool) -> dict[str, Plain]:
    event = report.event
    properties: dict[str, Plain] = {**event.detail, "provider": report.source}
    if event.machine:
        properties["said"] = "vendor"
    if event.text:
        properties["text"] = event.text
    if event.name is EventName.REPLIED and report.channel is not None:
        properties["channel"] = report.channel.value
    if origins and event.name in ENGAGEMENTS and (whence := spelled(event.origin)):
        properties["from"] = whence
    if report.row is not None and _kept_as(event) in BUILT_IN_EVENTS:
        properties["campaign"] = report.row.campaign
    return properties


def _take_effect(
    connection: Connection, database: Database, reports: Sequence[Report], now: datetime, answer: Answer
) -> set[int]:
    """Returns the messages that are rejected by what was reported."""
    refused = set[int]()
    stamps: dict[str, dict[int, datetime]] = {}
    counted = set[tuple[int, str]]()
    for report in reports:
        event, effect, row = report.event, EFFECTS[report.event.name], report.row
        if row is not None:
            if effect.proves and not _of_the_person(report) and State(row.state) in TRANSITIONS[effect.proves].origins:
                stands = _settle_forward(connection, row, effect.proves, event, now)
                refused |= {row.id} if stands is State.REJECTED else set()
            if effect.stamp is not None and _kept_as(event) is event.name:
                name = effect.stamp.name
                if name in BAD and row._mapping[effect.stamp] is None and (row.id, name) not in counted:
                    counted.add((row.id, name))
                    note(connection, BAD[name], [(row.campaign, row.run_id)], at=row.first_sent_at)
                times = stamps.setdefault(name, {})
                times[row.id] = min(times.get(row.id, event.at), event.at)
            if effect.counts:
                posts.count(connection, database, row.id, event.detail, at=event.at)
            if effect.opts_out:
                proof = f"{report.source} {event.name}"
                consent.opt_out_of(connection, row.id, at=event.at, source="webhook", proof=proof)
        _about_the_address(connection, database, report, event.suppress or effect.suppress, answer)
    for name, times in sorted(stamps.items()):
        stamp_messages(connection, name, times)  # the earliest report's: order and repetition change nothing
    return refused


def _suppress_dead(
    connection: Connection, database: Database, reports: Sequence[Report], limit: SoftBounces, now: datetime
) -> None:
    """Addresses to which one message too many has failed."""
    last = {report.row.id: report for report in reports if report.row and report.event.name.value in FAILED}
    for report in last.values():
        if report.row is not None and in_a_row(connection, database, report.row, limit, now=now):
            for channel, address in report.addresses:
                consent.suppress_contact_point(
                    connection,
                    database,
                    channel,
                    address,
                    SuppressionReason.SOFT_BOUNCED,
                    at=report.event.at,
                    source=report.source,
                )


def _about_the_address(
    connection: Connection, database: Database, report: Report, reason: SuppressionReason | None, answer: Answer
) -> None:
    event = report.event
    if reason or event.name is EventName.REPLIED:
        for channel, address in report.addresses:
            if reason:
                consent.suppress_contact_point(
                    connection, database, channel, address, reason, at=event.at, source=report.source
                )
            if event.name is EventName.REPLIED:
                _obey(connection, database, report, channel, address, answer)
    if report.inviting is not None and report.channel is not None:
        take_up(connection, database, event, report.inviting, report.channel, source=report.source)


def _settle_forward(
    connection: Connection, row: Row[*tuple[Any, ...]], transition: str, event: ProviderEvent, now: datetime
) -> State | None:
    """Returns where the message stands now; None where it stayed as it was."""
    named = {"provider_message_id": event.provider_message_id} if event.provider_message_id else {}
    if transition == "prove_rejected":
        return State.REJECTED if dropped(connection, row.id, now=now, **named) else None
    # whoever opened it, had it before
    accepted_at = row.first_sent_at if event.name.value in ENGAGEMENTS else event.at
    known = {"accepted_at": accepted_at, "reason": None, "doubt_since": None, "owner": None, "lease_until": None}
    mine = (_m.id == row.id, _m.attempts > 0)
    return State.ACCEPTED if move(connection, transition, *mine, now=now, **known, **named) else None


BAD: Mapping[str, str] = {"bounced_at": "bounces", "complained_at": "complaints"}
"""What guards count, once a message, under the time it was handed over."""


def _obey(
    connection: Connection, database: Database, report: Report, channel: Channel, address: str, answer: Answer
) -> None:
    """Do what an inbound text asks for; what only may be a no waits for a person."""
    asked, at, hashed = _wish(report.event), report.event.at, database.address_hash(address)
    changed = asked is Wish.HELP
    match asked:
        case Wish.OPT_OUT:
            reason = SuppressionReason.OPTED_OUT
            changed = consent.suppress_hash(connection, database, channel, hashed, reason, at=at, source="keyword")
            if report.row is not None:
                stamp_messages(connection, "opted_out_at", {report.row.id: at})
        case Wish.OPT_IN:
            changed = consent.lift_opt_out(connection, database, channel, address, at=at)
        case Wish.REVIEW if report.customer_id is not None:  # to a stranger nothing is sent
            replies.keep(connection, channel, hashed, customer_id=report.customer_id, text=report.event.text, at=at)
    if changed and report.customer_id is not None and not report.public and not report.event.answered:
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
