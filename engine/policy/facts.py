"""What a decision needs to know, read for a whole batch in one query, immediately before sending."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Connection,
    FromClause,
    Row,
    Select,
    String,
    and_,
    bindparam,
    case,
    cast,
    false,
    func,
    literal,
    literal_column,
    null,
    select,
    true,
    union,
)

from engine.ledger import replies
from engine.model import (
    ANSWERS,
    MAY_HAVE_BEEN_SENT,
    Channel,
    ConsentRule,
    ConsentStatus,
    Message,
    MessageClass,
    Plain,
    SuppressionReason,
)
from engine.rules.arms import held_out
from engine.rules.campaign import Campaign
from engine.scalars import zone
from engine.settings import Cap, Settings
from engine.store.prepared import Prepared, among
from engine.store.tables import consents, contact_points, customers, messages, suppressions


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """Everything about one message's recipient that speaks for or against sending, as of one instant.

    held_out: the campaign sends this customer nothing, to see what the others do because of it.
    reply_waits: they wrote something that may be a no, and nobody has read it yet.
    counted: for each cap of config.yaml that applies, how many messages count under it already.
    revision: the customer's revision that all of this was read at.
    """

    channel: Channel
    message_class: MessageClass
    consent_rule: ConsentRule
    not_after: datetime | None
    customer: Mapping[str, Plain] | None
    revision: int | None
    zone: ZoneInfo
    contact_point_id: int | None
    address: str | None
    consent: ConsentStatus | None
    suppressed: SuppressionReason | None
    reply_waits: bool
    held_out: bool
    counted: tuple[tuple[Cap, int], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """What a run's messages have in common for a decision. `holdout`: the share of the audience that gets nothing."""

    channel: Channel
    message_class: MessageClass
    purpose: str
    holdout: Decimal = Decimal(0)


def terms_of(campaign: Campaign) -> Terms:
    """The terms that a campaign's messages are decided on."""
    return Terms(
        channel=campaign.channel,
        message_class=campaign.message_class,
        purpose=campaign.purpose,
        holdout=campaign.holdout,
    )


def gather(
    connection: Connection, batch: Sequence[Message], terms: Terms, settings: Settings, *, now: datetime
) -> dict[int, Facts]:
    """The facts of each message of one run, by message id."""
    caps = applicable_caps(settings, terms)
    wanted = sorted({message.customer_id for message in batch if message.customer_id is not None})
    since = {f"since_{index}": now - cap.within for index, cap in enumerate(caps)}
    asked = _query(terms.channel, terms.purpose, tuple(cap.channel for cap in caps))
    rows = asked.rows(connection, ids=wanted, moment=now, **since)
    by_customer = {row.id: row for row in rows}
    return {
        message.id: _facts(message, by_customer.get(message.customer_id), terms, caps, settings) for message in batch
    }


def applicable_caps(settings: Settings, terms: Terms) -> tuple[Cap, ...]:
    """The frequency caps that a message is counted under: none for transactional ones."""
    if terms.message_class is not MessageClass.COMMERCIAL:
        return ()
    return tuple(cap for cap in settings.pressure if cap.channel in (None, terms.channel))


def recipients(
    audience: Select[tuple[int]],
    terms: Terms,
    settings: Settings,
    only: Collection[str],
    *,
    now: datetime,
    noted: FromClause | None = None,
) -> Select[Any]:
    """What `gather` reads, for everybody in an audience: the columns named in `only`, then `counted`: the same for those
    who can be reached and for whom the same count under each cap.

    For who asks about many, and needs a message for none of them. `noted`: those whom `noted` below names, by customer_id, as
    of `now` or earlier; nobody else is looked up for what is noted.
    """
    moment: ColumnElement[datetime] = literal(now, consents.c.at.type)
    known = {column.name: column for column in _columns(terms.purpose, moment, ())}
    counted = case((contact_points.c.id.is_not(None), _count_together(applicable_caps(settings, terms), now)))
    known["counted"] = counted.label("counted")
    people = _reached(terms.channel)
    if noted is not None:
        people = people.outerjoin(noted, noted.c.customer_id == customers.c.id)
        known |= {name: _where_noted(known[name], noted, of_others) for name, of_others in NOTED.items()}
    columns = (*(known[name] for name in only), known["counted"])
    return audience.with_only_columns(*columns).select_from(people)


NOTED: Mapping[str, ColumnElement[Any]] = MappingProxyType(
    {"suppressed": null(), "reply_waits": false(), "counted": null()}
)
"""What gates know of some customers alone, and what it is of all others."""


def _where_noted(column: ColumnElement[Any], noted: FromClause, of_others: ColumnElement[Any]) -> ColumnElement[Any]:
    return case((noted.c.customer_id.is_not(None), column), else_=of_others).label(column.name)


def noted(terms: Terms, settings: Settings, *, now: datetime) -> CompoundSelect[tuple[int]]:
    """The customers of whom gates know more than contact and consent: suppressed ones, those whose reply waits, and those
    with messages that count under a cap at `now` or later.
    """
    owners = select(contact_points.c.customer_id).where(contact_points.c.channel == terms.channel.value)
    s, point = suppressions.c, contact_points.c
    suppressed = owners.join(suppressions, and_(s.channel == point.channel, s.address_hash == point.address_hash))
    kinds = [suppressed.where(s.lifted_at.is_(None)), owners.where(replies.waiting(contact_points))]
    if caps := applicable_caps(settings, terms):
        counting = _counting(messages, literal(now - max(cap.within for cap in caps), messages.c.first_sent_at.type))
        kinds.append(select(messages.c.customer_id).where(messages.c.customer_id.is_not(None), *counting))
    return union(*kinds)


def _count_together(caps: Sequence[Cap], now: datetime) -> ColumnElement[str]:
    """All counts as one text, to look once for a customer's messages; NULL where there are none."""
    if not caps:
        return literal("", String())
    m = messages.c
    each = [
        cast(func.sum(case((and_(m.first_sent_at > now - cap.within, _on(cap.channel)), 1), else_=0)), String())
        for cap in caps
    ]
    counts: ColumnElement[str] = each[0]
    for count in each[1:]:
        counts = counts + literal(" ", String()) + count
    longest = literal(now - max(cap.within for cap in caps), m.first_sent_at.type)
    mine = messages.c.customer_id == customers.c.id
    return select(counts).where(mine, *_counting(messages, longest)).correlate(customers).scalar_subquery()


def _on(channel: Channel | None) -> ColumnElement[bool]:
    return messages.c.channel == channel.value if channel else true()


@lru_cache(maxsize=256)
def _query(to: Channel, purpose: str, capped: tuple[Channel | None, ...]) -> Prepared:
    """For the customers `ids`, as of `moment`; `since_N`: from when on messages count under each cap, on its channel."""
    moment = bindparam("moment", type_=consents.c.at.type)
    kind = messages.c.first_sent_at.type
    since = [(channel, bindparam(f"since_{index}", type_=kind)) for index, channel in enumerate(capped)]
    query = select(*_columns(purpose, moment, since)).select_from(_reached(to))
    return Prepared(lambda dialect: query.where(among(dialect, customers.c.id, "ids")))


def _reached(by: Channel) -> FromClause:
    """Customers, each with the contact point that the message would go to."""
    mine = and_(contact_points.c.customer_id == customers.c.id, contact_points.c.channel == by.value)
    return customers.outerjoin(contact_points, mine)


Since = tuple[Channel | None, ColumnElement[datetime]]
"""From when on messages count under a cap: those on its channel, or all."""


def _columns(purpose: str, moment: ColumnElement[datetime], since: Iterable[Since]) -> list[Any]:
    point, c = contact_points.c, customers.c
    newest_consent = (
        select(consents.c.status)
        .where(consents.c.contact_point_id == point.id, consents.c.purpose == purpose, consents.c.at <= moment)
        .order_by(consents.c.at.desc(), consents.c.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    suppression = (
        select(suppressions.c.reason)
        .where(suppressions.c.channel == point.channel, suppressions.c.address_hash == point.address_hash)
        .where(suppressions.c.lifted_at.is_(None))
        # of several the one that counts most: what answers a STOP passes an opt-out alone
        .order_by(suppressions.c.reason == literal_column(f"'{SuppressionReason.OPTED_OUT}'"), suppressions.c.reason)
        .limit(1)
        .scalar_subquery()
    )
    return [
        c.id, c.external_id, c.attributes, c.locale, c.time_zone, c.created_at, c.revision,
        point.id.label("contact_point_id"), point.id.is_not(None).label("reached"), point.address, newest_consent.label("consent"), suppression.label("suppressed"),
        replies.waiting(contact_points).label("reply_waits"),
        *(_count(*each).label(f"count_{index}") for index, each in enumerate(since)),
    ]  # fmt: skip


def _count(channel: Channel | None, since: ColumnElement[datetime]) -> ColumnElement[int]:
    m = messages.alias()
    on_channel = (m.c.channel == channel.value,) if channel else ()
    mine = m.c.customer_id == customers.c.id
    return select(func.count()).select_from(m).where(mine, *_counting(m, since), *on_channel).scalar_subquery()


def _counting(m: FromClause, since: ColumnElement[datetime]) -> tuple[ColumnElement[bool], ...]:
    """The messages that count under a cap, on any channel."""
    return (
        m.c.message_class == MessageClass.COMMERCIAL.value,
        m.c.first_sent_at > since,
        m.c.state.in_([literal_column(f"'{state.value}'") for state in MAY_HAVE_BEEN_SENT]),
    )


def _facts(
    message: Message, row: Row[*tuple[Any, ...]] | None, terms: Terms, caps: tuple[Cap, ...], settings: Settings
) -> Facts:
    purpose, answers = settings.purposes.get(terms.purpose), terms.purpose == ANSWERS
    rule = ConsentRule.NONE if answers else purpose.consent if purpose else ConsentRule.OPT_IN
    suppressed = SuppressionReason(row.suppressed) if row is not None and row.suppressed else None
    return Facts(
        channel=terms.channel,
        message_class=terms.message_class,
        consent_rule=rule,
        not_after=message.not_after,
        customer=_customer(row, settings) if row is not None else None,
        revision=row.revision if row is not None else None,
        zone=_zone(row.time_zone if row is not None else None, settings),
        contact_point_id=row.contact_point_id if row is not None else None,
        address=row.address if row is not None else None,
        consent=ConsentStatus(row.consent) if row is not None and row.consent else None,
        suppressed=None if answers and suppressed is SuppressionReason.OPTED_OUT else suppressed,
        reply_waits=bool(row.reply_waits) if row is not None else False,
        held_out=row is not None and held_out(message.campaign, terms.holdout, row.external_id),
        counted=tuple((cap, getattr(row, f"count_{index}")) for index, cap in enumerate(caps))
        if row is not None
        else (),
    )


def _customer(row: Row[*tuple[Any, ...]], settings: Settings) -> dict[str, Plain]:
    """The customer as a template sees one: every declared attribute is there, None where it is not known."""
    declared: dict[str, Plain] = dict.fromkeys(settings.attributes)
    known = {
        "id": row.external_id,
        "locale": row.locale,
        "time_zone": row.time_zone,
        "created_at": row.created_at.isoformat(),
    }
    return {**declared, **row.attributes, **known}


def _zone(name: str | None, settings: Settings) -> ZoneInfo:
    try:
        return zone(name) if name else settings.time_zone
    except ValueError:
        return settings.time_zone
