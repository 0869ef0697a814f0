"""Each gate of the policy for one customer, in the order in which a message meets them, with the facts it looked at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, Row, select

from engine.ledger.consent import standing
from engine.model import MAY_HAVE_BEEN_SENT, Channel, Claim, Message, MessageClass, Reason
from engine.policy import Facts, Hold, Withhold, gather
from engine.policy.decide import GATES
from engine.policy.facts import terms_of
from engine.questions.why.history import without
from engine.questions.why.reasons import REASONS
from engine.rules.arms import holdout_lot
from engine.rules.campaign import Campaign
from engine.scalars import clock_time, percent, spoken
from engine.settings import Cap, Settings
from engine.store.tables import consents, contact_points, messages, suppressions

STEP = "main"


class Says(StrEnum):
    """What a gate says."""

    PASSES = "passes"
    HOLDS = "holds"
    WITHHOLDS = "withholds"


@dataclass(frozen=True, kw_only=True, slots=True)
class Gate:
    """One gate's word. `why` is its reason in words, `until` when it lets a held message go, `facts` what it looked at.

    decides: whether it is the first to object, and so the one whose reason the ledger would keep. remedy: the command that
    lets the message go, where one does.
    """

    name: str
    says: Says
    reason: Reason | None
    why: str
    until: datetime | None
    facts: str
    decides: bool
    remedy: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Situation:
    """What all gates look at, and what only a reader wants to know beside it: since when, by whom, which messages."""

    facts: Facts
    settings: Settings
    campaign: Campaign
    customer_id: int
    connection: Connection
    now: datetime
    addresses: bool


def gates(
    connection: Connection,
    campaign: Campaign,
    settings: Settings,
    customer_id: int,
    *,
    now: datetime,
    not_after: datetime | None,
    addresses: bool = False,
    earlier: tuple[Gate, ...] = (),
) -> tuple[Gate, ...]:
    """What each gate would say to a message of the campaign at `now`, behind those that were asked `earlier`.
    `not_after`: when the message would expire.
    """
    message = _as_if_owed(campaign, customer_id, now, not_after)
    facts = gather(connection, [message], terms_of(campaign), settings, now=now)[message.id]
    situation = Situation(
        facts=facts,
        settings=settings,
        campaign=campaign,
        customer_id=customer_id,
        connection=connection,
        now=now,
        addresses=addresses,
    )
    told = list(earlier)
    for name in GATES:
        told.append(_gate(name, situation, first=not any(gate.decides for gate in told)))
    return tuple(told)


def _gate(name: str, situation: Situation, *, first: bool) -> Gate:
    verdict = GATES[name](situation.facts, situation.settings, situation.now)
    says, detail = Says.PASSES, ""
    reason: Reason | None = None
    until: datetime | None = None
    match verdict:
        case Hold(until=until, reason=reason):
            says = Says.HOLDS
        case Withhold(reason=reason, detail=detail):
            says = Says.WITHHOLDS
    tell = FACTS.get(name)
    return Gate(
        name=name,
        says=says,
        reason=reason,
        why=REASONS[reason] if reason else "",
        until=until,
        facts=tell(situation) if tell else detail,
        decides=first and says is not Says.PASSES,
    )


def _as_if_owed(campaign: Campaign, customer_id: int, now: datetime, not_after: datetime | None) -> Message:
    return Message(
        id=0,
        claim=Claim(message_id=0, epoch=0, owner="", lease_until=now),
        run_id=0,
        campaign=campaign.campaign,
        step=STEP,
        customer_id=customer_id,
        channel=campaign.channel,
        attempts=0,
        owed_at=now,
        not_after=not_after,
        first_sent_at=None,
        possible_duplicate=False,
    )


def _holdout(of: Situation) -> str:
    share, customer = of.campaign.holdout, of.facts.customer
    if not share or customer is None:
        return "the campaign holds nobody out"
    drawn = holdout_lot(of.campaign.campaign, str(customer["id"]))
    return f"drew lot {drawn:.2f} of 0 to 99.99; those below {share * 100:.2f} ({percent(share)}) are held out"


def _expiry(of: Situation) -> str:
    if of.facts.not_after is None:
        return "no deadline"
    return f"may leave until {_local(of, of.facts.not_after)}"


def _contact(of: Situation) -> str:
    row = _contact_point(of)
    if row is None:
        return f"no {of.campaign.channel} address is known"
    address = f"{row.address}, " if of.addresses else ""
    return f"{address}{of.campaign.channel} address known since {_local(of, row.created_at)}"


def _contact_point(of: Situation) -> Row[Any] | None:
    query = select(contact_points).where(
        contact_points.c.customer_id == of.customer_id, contact_points.c.channel == of.campaign.channel.value
    )
    return of.connection.execute(query).first()


def _suppression(of: Situation) -> str:
    point = _contact_point(of)
    if point is None:
        return "no address"
    query = (
        select(suppressions)
        .where(*standing(Channel(point.channel), point.address_hash))
        .order_by(suppressions.c.at, suppressions.c.id)
    )
    rows = of.connection.execute(query).all()
    if not rows:
        return "the address is not suppressed"
    each = ", ".join(f"{row.reason} on {_local(of, row.at)} ({row.source})" for row in rows)
    return f"the address is suppressed: {each}"


def _consent(of: Situation) -> str:
    rule = f"purpose {of.campaign.purpose} ({of.facts.consent_rule})"
    query = (
        select(consents.c.status, consents.c.at, consents.c.source, consents.c.proof)
        .where(
            consents.c.contact_point_id == of.facts.contact_point_id,
            consents.c.purpose == of.campaign.purpose,
            consents.c.at <= of.now,
        )
        .order_by(consents.c.at.desc(), consents.c.id.desc())
        .limit(1)
    )
    row = of.connection.execute(query).first()
    if row is None:
        return f"{rule}: neither yes nor no is recorded"
    said = str(row.status).replace("_", " ")
    address = None if of.addresses else of.facts.address
    proof = f": {without(row.proof, address)}" if row.proof else ""
    return f"{rule}: {said} on {_local(of, row.at)} ({row.source}{proof})"


def _pressure(of: Situation) -> str:
    if of.campaign.message_class is not MessageClass.COMMERCIAL:
        return "transactional messages are under no cap"
    return "; ".join(_cap(of, cap, count) for cap, count in of.facts.counted) or "config.yaml sets no cap"


def _cap(of: Situation, cap: Cap, count: int) -> str:
    where = f" by {cap.channel}" if cap.channel else ""
    told = f"{count} of {cap.at_most} within {spoken(cap.within)}{where}"
    if count < cap.at_most:
        return told
    return f"{told}, free again {_local(of, _free_again(of, cap, count))}"


def _free_again(of: Situation, cap: Cap, count: int) -> datetime:
    """When so many of the messages that count have left the span that one more fits."""
    m = messages.c
    counted = (
        select(m.first_sent_at)
        .where(
            m.customer_id == of.customer_id,
            m.message_class == MessageClass.COMMERCIAL.value,
            m.first_sent_at > of.now - cap.within,
            m.state.in_([state.value for state in MAY_HAVE_BEEN_SENT]),
            *((m.channel == cap.channel.value,) if cap.channel else ()),
        )
        .order_by(m.first_sent_at)
    )
    sent: list[datetime] = list(of.connection.execute(counted).scalars())
    return sent[count - cap.at_most] + cap.within


def _replies(of: Situation) -> str:
    return "a reply waits to be read" if of.facts.reply_waits else "no reply waits to be read"


def _quiet_hours(of: Situation) -> str:
    window = of.settings.quiet_hours.get(Channel(of.campaign.channel))
    if window is None:
        return f"no quiet hours for {of.campaign.channel}"
    if of.campaign.message_class is not MessageClass.COMMERCIAL:
        return "transactional messages do not wait"
    local = of.now.astimezone(of.facts.zone)
    return (
        f"{local:%H:%M} where the customer is ({of.facts.zone.key}); quiet {window.start:%H:%M} to {window.end:%H:%M}"
    )


def _local(of: Situation, at: datetime) -> str:
    return clock_time(at, of.settings.time_zone)


FACTS: Mapping[str, Callable[[Situation], str]] = MappingProxyType(
    {
        "holdout": _holdout,
        "expiry": _expiry,
        "contact": _contact,
        "suppression": _suppression,
        "consent": _consent,
        "pressure": _pressure,
        "replies": _replies,
        "quiet_hours": _quiet_hours,
    }
)
"""What each gate of `policy.decide.GATES` looks at, in words. A test holds the two together."""
