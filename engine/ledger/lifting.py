"""Suppressions as people see them: which stand, and which were lifted by hand, by whom and why.

What failed may be tried again when somebody knows better. What the person asked for, or reported as spam, only their own new yes
ends: it opens the purpose that it names, and everything else stays closed as the person left it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, insert, select, update

from engine.ledger import consent
from engine.model import Channel, ConsentStatus, SuppressionReason
from engine.store import Database
from engine.store.tables import consents, contact_points, customers, suppressions

BY_HAND = "hand"
"""The source of a consent that was put down here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Yes:
    """What a person agreed to anew: the purpose, the proof of it (how, and where it is kept), and when that was (UTC)."""

    purpose: str
    proof: str
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Which:
    """Which suppressions are asked for; None asks for all."""

    channel: Channel | None = None
    reason: SuppressionReason | None = None
    customer: str | None = None
    hashed: bytes | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Suppression:
    """One suppression. customers: those who have the address now, as the shop knows them. `at`: the newest report's time.

    lifted_at, by, why: how it was lifted; None where it stands.
    """

    id: int
    channel: Channel
    reason: SuppressionReason
    at: datetime
    source: str
    customers: Sequence[str]
    lifted_at: datetime | None
    by: str | None
    why: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Lifted:
    """What became of the wish to lift one suppression: `refused` says why nothing was changed.

    opened, closed: the purposes that stand on a new yes, and those that were put down as a no. remaining: why the address is
    suppressed all the same.
    """

    suppression: int
    channel: Channel | None = None
    reason: SuppressionReason | None = None
    source: str | None = None
    customers: Sequence[str] = ()
    opened: Sequence[str] = ()
    closed: Sequence[str] = ()
    remaining: Sequence[SuppressionReason] = ()
    refused: str = ""


def suppressed(database: Database, which: Which, *, limit: int | None = None) -> Sequence[Suppression]:
    """Those that stand, the newest first."""
    s = suppressions.c
    query = _of(which).where(s.lifted_at.is_(None)).order_by(s.at.desc(), s.id.desc()).limit(limit)
    return _read(database, query)


def lifted(database: Database, which: Which, *, limit: int | None = None) -> Sequence[Suppression]:
    """Those that were lifted, the newest first; by the customer's own START, too."""
    s = suppressions.c
    query = _of(which).where(s.lifted_at.is_not(None)).order_by(s.lifted_at.desc(), s.id.desc()).limit(limit)
    return _read(database, query)


def lift(
    database: Database,
    ids: Sequence[int],
    *,
    yes: Yes | None,
    purposes: Collection[str],
    by: str,
    why: str,
    now: datetime,
) -> Sequence[Lifted]:
    """Lift suppressions that stand. purposes: the workspace's. What was skipped stays skipped; what is decided anew may leave."""
    with database.writing() as connection:
        return [_lift(connection, number, yes, purposes, by, why, now) for number in sorted(set(ids))]


def _lift(
    connection: Connection, number: int, yes: Yes | None, purposes: Collection[str], by: str, why: str, now: datetime
) -> Lifted:
    s = suppressions.c
    row = connection.execute(
        select(suppressions).where(s.id == number, s.lifted_at.is_(None)).with_for_update()
    ).first()
    if row is None:
        return Lifted(suppression=number, refused="no such suppression stands")
    channel, reason = Channel(row.channel), SuppressionReason(row.reason)
    told = Lifted(suppression=number, channel=channel, reason=reason)
    points = _points(connection, channel, row.address_hash)
    opened, closed = set[str](), set[str]()
    if reason in consent.ASKED_FOR:
        refused, opened = _agreed_anew(connection, points, row.at, yes)
        if refused:
            return replace(told, refused=refused)
        closed = _close_others(connection, points, purposes, opened, row.at, number)
        if yes:
            _keep(connection, points, yes)
    elif yes:
        return replace(told, refused="the person never asked for it: no consent is needed")
    values = {"lifted_at": now, "lifted_by": by, "lifted_why": why}
    connection.execute(update(suppressions).where(s.id == number).values(values))
    consent.bump(connection, [point.customer_id for point in points])
    return replace(
        told,
        source=row.source,
        customers=[point.external_id for point in points],
        opened=sorted(opened),
        closed=sorted(closed),
        remaining=_standing(connection, channel, row.address_hash),
    )


def _standing(connection: Connection, channel: Channel, address_hash: bytes) -> list[SuppressionReason]:
    """Why the address is suppressed all the same."""
    reasons = select(suppressions.c.reason).where(*consent.standing(channel, address_hash))
    return [SuppressionReason(word) for word in connection.execute(reasons.order_by(suppressions.c.reason)).scalars()]


# ---------------------------------------------------------------- a new yes


def _agreed_anew(
    connection: Connection, points: Sequence[Row[*tuple[Any, ...]]], since: datetime, yes: Yes | None
) -> tuple[str, set[str]]:
    """Why there is no yes after the no; else the purposes of which there is one, with its proof."""
    if not points:
        return "nobody has this address any more, so there is nobody's consent to keep", set()
    opened = set[str]()
    for point in points:
        for purpose, word in _words(connection, point.id).items():
            if word.status == ConsentStatus.OPTED_IN and word.at > since and word.proof:
                opened.add(purpose)
            if yes and purpose == yes.purpose and word.status == ConsentStatus.OPTED_OUT and word.at >= yes.at:
                return f"{purpose} was refused again after this yes", set()
    if yes and yes.at <= since:
        return "this yes is older than the no", set()
    opened |= {yes.purpose} if yes else set()
    return (
        "" if opened else "the person asked for it: only their new yes ends it (--consent PURPOSE --proof TEXT)",
        opened,
    )


def _close_others(
    connection: Connection,
    points: Sequence[Row[*tuple[Any, ...]]],
    purposes: Collection[str],
    opened: Collection[str],
    at: datetime,
    number: int,
) -> set[str]:
    """Put the no down for every purpose without a new yes: the suppression stood for it until now. Those that were not a no before."""
    closed = set[str]()
    for point in points:
        words = _words(connection, point.id)
        for purpose in {*purposes, *words} - set(opened):
            word = words.get(purpose)
            if word is None or word.status == ConsentStatus.OPTED_IN:
                _say(
                    connection,
                    point.id,
                    purpose,
                    ConsentStatus.OPTED_OUT,
                    max(at, word.at) if word else at,
                    f"suppression {number}",
                )
                closed.add(purpose)
    return closed


def _keep(connection: Connection, points: Sequence[Row[*tuple[Any, ...]]], yes: Yes) -> None:
    for point in points:
        _say(connection, point.id, yes.purpose, ConsentStatus.OPTED_IN, yes.at, yes.proof)


def _say(connection: Connection, point: int, purpose: str, status: ConsentStatus, at: datetime, proof: str) -> None:
    row = {
        "contact_point_id": point,
        "purpose": purpose,
        "status": status.value,
        "at": at,
        "source": BY_HAND,
        "proof": proof,
    }
    connection.execute(insert(consents).values(row))


def _words(connection: Connection, point: int) -> dict[str, Row[*tuple[Any, ...]]]:
    """The newest word of a contact point on each purpose."""
    c = consents.c
    said = select(c.purpose, c.status, c.at, c.proof).where(c.contact_point_id == point).order_by(c.at, c.id)
    return {row.purpose: row for row in connection.execute(said)}


# ---------------------------------------------------------------- reading


def _points(connection: Connection, channel: Channel, hashed: bytes) -> Sequence[Row[*tuple[Any, ...]]]:
    p, c = contact_points.c, customers.c
    query = (
        select(p.id, p.customer_id, c.external_id)
        .join(customers, c.id == p.customer_id)
        .where(p.channel == channel.value, p.address_hash == hashed)
        .order_by(p.id)
    )
    return connection.execute(query).all()


def _of(which: Which) -> Select[Any]:
    s, p, c = suppressions.c, contact_points.c, customers.c
    query = select(suppressions)
    if which.channel is not None:
        query = query.where(s.channel == which.channel.value)
    if which.reason is not None:
        query = query.where(s.reason == which.reason.value)
    if which.hashed is not None:
        query = query.where(s.address_hash == which.hashed)
    if which.customer is not None:
        theirs = (
            select(p.id)
            .join(customers, c.id == p.customer_id)
            .where(c.external_id == which.customer, p.channel == s.channel, p.address_hash == s.address_hash)
        )
        query = query.where(theirs.exists())
    return query


def _read(database: Database, query: Select[Any]) -> Sequence[Suppression]:
    with database.reading() as connection:
        return [_suppression(connection, row) for row in connection.execute(query).all()]


def _suppression(connection: Connection, row: Row[Any]) -> Suppression:
    channel = Channel(row.channel)
    return Suppression(
        id=row.id,
        channel=channel,
        reason=SuppressionReason(row.reason),
        at=row.at,
        source=row.source,
        customers=[point.external_id for point in _points(connection, channel, row.address_hash)],
        lifted_at=row.lifted_at,
        by=row.lifted_by,
        why=row.lifted_why,
    )
