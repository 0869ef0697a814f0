"""Customers as they are stored, and as a file says that they are: what differs is written.

What a row leaves empty stays as it is. A consent is appended only where it changes the one in force. A yes never overrides
a no that came from elsewhere than an import (a link, a keyword, a webhook): what people said themselves stands.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from engine.intake.result import ADDED, CHANGED, UNCHANGED, Taken, rejected
from engine.ledger.consent import follow
from engine.model import Channel, ConsentRule, ConsentStatus, Plain
from engine.settings import Settings
from engine.store import Database, bulk
from engine.store.tables import consents, contact_points, customers

IMPORT = "import"


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """What one row says of a customer. `own`: those of locale, time_zone and created_at that are given."""

    external_id: str
    own: Mapping[str, Any]
    attributes: Mapping[str, Plain]
    addresses: Mapping[Channel, str]
    consents: Mapping[tuple[Channel, str], ConsentStatus]
    proof: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """What all rows of one intake have in common."""

    database: Database
    settings: Settings
    now: datetime
    source: str


@dataclass(frozen=True, kw_only=True, slots=True)
class _Consent:
    """A word on a purpose, and where it came from."""

    status: ConsentStatus
    source: str
    proof: str = ""


@dataclass(kw_only=True, slots=True)
class _Point:
    """A contact point: `id` is None until it is written; `said` are the consents to append, in their order. former: the address
    that is stored, where it has another one now.
    """

    id: int | None
    address: str
    moved: bool = False
    former: str = ""
    consents: dict[str, _Consent] = field(default_factory=dict)
    said: list[tuple[str, _Consent]] = field(default_factory=list)


@dataclass(kw_only=True, slots=True)
class _Profile:
    """A customer: `id` is None until it is written."""

    external_id: str
    id: int | None = None
    own: dict[str, Any] = field(default_factory=dict)
    attributes: dict[str, Plain] = field(default_factory=dict)
    points: dict[Channel, _Point] = field(default_factory=dict)
    changed: bool = False


_Profiles = dict[str, _Profile]


def take(connection: Connection, rows: Sequence[Said], terms: Terms) -> list[Taken]:
    """Write what the rows say, in their order; gives the end of each."""
    ends: dict[int, Taken] = {}
    pending = dict(enumerate(rows))
    while pending:
        profiles = _stored(connection, {said.external_id for said in pending.values()})
        for place, said in pending.items():
            ends[place] = _apply(profiles, said, terms)
        overtaken = _write(connection, profiles, terms)
        pending = {place: said for place, said in pending.items() if said.external_id in overtaken}
    return [ends[place] for place in range(len(rows))]


# ---------------------------------------------------------------- what a row changes


def _apply(profiles: _Profiles, said: Said, terms: Terms) -> Taken:
    before = profiles.get(said.external_id)
    profile = before or _Profile(external_id=said.external_id)
    if objection := _objection(profile, said, terms):
        return rejected(objection)
    profiles[said.external_id] = profile
    changed = _update(profile.own, said.own) | _update(profile.attributes, said.attributes) | _move(profile, said)
    agreed, kept_out = _agree(profile, said, terms)
    profile.changed |= changed or agreed
    end = ADDED if before is None else CHANGED if changed or agreed else UNCHANGED
    return replace(end, kept_out=True) if kept_out else end


def _objection(profile: _Profile, said: Said, terms: Terms) -> str:
    """Why a row cannot be taken: it speaks of an address that is not there, or agrees without a proof."""
    for (channel, purpose), status in said.consents.items():
        yes = status is ConsentStatus.OPTED_IN
        silence_is_yes = terms.settings.purposes[purpose].consent is ConsentRule.OPT_OUT
        known = channel in said.addresses or channel in profile.points
        if not known and (yes or silence_is_yes):  # elsewhere a no says what silence says
            return f"consent.{channel}.{purpose}: there is no address for {channel}"
        if yes and not said.proof:
            return f"consent.{channel}.{purpose}: a yes needs a proof, how and when this person agreed"
    return ""


def _update(stored: dict[str, Any], given: Mapping[str, Any]) -> bool:
    news = {key: value for key, value in given.items() if stored.get(key) != value}
    stored.update(news)
    return bool(news)


def _move(profile: _Profile, said: Said) -> bool:
    """Take the addresses; whether one is new."""
    moved = False
    for channel, address in said.addresses.items():
        point = profile.points.setdefault(channel, _Point(id=None, address=""))
        if point.address != address:
            point.former = point.former or point.address
            point.address, point.moved, moved = address, True, True
    return moved


def _agree(profile: _Profile, said: Said, terms: Terms) -> tuple[bool, bool]:
    """Take the consents; whether one changed, and whether a no stood against a yes."""
    agreed = kept_out = False
    for (channel, purpose), status in said.consents.items():
        point = profile.points.get(channel)
        in_force = point.consents.get(purpose) if point else None
        if point is None or (in_force and in_force.status is status):
            continue
        if in_force and in_force.status is ConsentStatus.OPTED_OUT and in_force.source not in (IMPORT, terms.source):
            kept_out = True
            continue
        consent = _Consent(status=status, source=terms.source, proof=said.proof)
        point.consents[purpose] = consent
        point.said.append((purpose, consent))
        agreed = True
    return agreed, kept_out


# ---------------------------------------------------------------- what the database holds


def _stored(connection: Connection, external_ids: Collection[str]) -> _Profiles:
    """Those customers that there are, locked until the transaction ends."""
    c, point, consent = customers.c, contact_points.c, consents.c
    mine = (
        select(c.id, c.external_id, c.attributes, c.locale, c.time_zone, c.created_at)
        .where(bulk.among(connection, c.external_id, external_ids))
        .order_by(c.external_id)  # everybody locks in the same order, so nobody waits for ever
        .with_for_update(key_share=True)
    )
    by_id = {
        row.id: _Profile(
            external_id=row.external_id,
            id=row.id,
            own={"locale": row.locale, "time_zone": row.time_zone, "created_at": row.created_at},
            attributes=dict(row.attributes),
        )
        for row in connection.execute(mine)
    }
    points: dict[int, _Point] = {}
    theirs = select(point.id, point.customer_id, point.channel, point.address).where(
        bulk.among(connection, point.customer_id, by_id)
    )
    for row in connection.execute(theirs):
        points[row.id] = by_id[row.customer_id].points[Channel(row.channel)] = _Point(id=row.id, address=row.address)
    words = (
        select(consent.contact_point_id, consent.purpose, consent.status, consent.source)
        .where(bulk.among(connection, consent.contact_point_id, points))
        .order_by(consent.at, consent.id)  # the newest comes last and stays
    )
    for row in connection.execute(words):
        word = _Consent(status=ConsentStatus(row.status), source=row.source)
        points[row.contact_point_id].consents[row.purpose] = word
    return {profile.external_id: profile for profile in by_id.values()}


def _write(connection: Connection, profiles: _Profiles, terms: Terms) -> set[str]:
    """Write what is new and what changed. Gives those that somebody else added meanwhile: nothing of them is written."""
    fresh = sorted((each for each in profiles.values() if each.id is None), key=lambda each: each.external_id)
    changed = [each for each in profiles.values() if each.id is not None and each.changed]
    _insert_customers(connection, fresh, terms)
    _update_customers(connection, changed)
    written = [each for each in (*fresh, *changed) if each.id is not None]
    _write_points(connection, written, terms)
    _append_consents(connection, written, terms)
    return {each.external_id for each in fresh if each.id is None}


def _insert_customers(connection: Connection, fresh: Sequence[_Profile], terms: Terms) -> None:
    """Add them, which gives them their ids; those without were added by somebody else."""
    if not fresh:
        return
    adding = (
        terms.database.insert(customers).on_conflict_do_nothing().returning(customers.c.id, customers.c.external_id)
    )
    nothing: dict[str, Any] = {"locale": None, "time_zone": None, "created_at": terms.now}
    rows = [{"external_id": each.external_id, "attributes": each.attributes, **nothing, **each.own} for each in fresh]
    ids = {row.external_id: row.id for row in connection.execute(adding, rows)}
    for each in fresh:
        each.id = ids.get(each.external_id)


def _update_customers(connection: Connection, changed: Sequence[_Profile]) -> None:
    """A new revision makes decisions void that were made on the old one."""
    if not changed:
        return
    c = customers.c
    changing = (
        update(customers)
        .where(c.id == bindparam("this"))
        .values(
            attributes=bindparam("attributes"),
            locale=bindparam("locale"),
            time_zone=bindparam("time_zone"),
            created_at=bindparam("created_at"),
            revision=c.revision + 1,
        )
    )
    connection.execute(changing, [{"this": each.id, "attributes": each.attributes, **each.own} for each in changed])


def _write_points(connection: Connection, profiles: Iterable[_Profile], terms: Terms) -> None:
    point, hashed = contact_points.c, terms.database.address_hash
    moved = [(each, channel, p) for each in profiles for channel, p in each.points.items() if p.moved]
    new = {(each.id, channel.value): p for each, channel, p in moved if p.id is None}
    changing = (
        update(contact_points)
        .where(point.id == bindparam("this"))
        .values(address=bindparam("to"), address_hash=bindparam("hash"))
    )
    rows = [{"this": p.id, "to": p.address, "hash": hashed(p.address)} for _, _, p in moved if p.id is not None]
    if rows:
        connection.execute(changing, rows)
    _let_follow(connection, ((channel, p) for _, channel, p in moved if p.former), terms)
    rows = [
        {
            "customer_id": owner,
            "channel": channel,
            "address": p.address,
            "address_hash": hashed(p.address),
            "created_at": terms.now,
        }
        for (owner, channel), p in new.items()
    ]
    if rows:
        adding = insert(contact_points).returning(point.id, point.customer_id, point.channel)
        for row in connection.execute(adding, rows):
            new[row.customer_id, row.channel].id = row.id


def _let_follow(connection: Connection, moved: Iterable[tuple[Channel, _Point]], terms: Terms) -> None:
    """Whoever said no at the former address has said it."""
    hashed = terms.database.address_hash
    moves: dict[Channel, dict[bytes, set[bytes]]] = defaultdict(lambda: defaultdict(set))
    for channel, point in moved:
        moves[channel][hashed(point.former)].add(hashed(point.address))
    for channel, theirs in moves.items():
        follow(connection, terms.database, channel, theirs)


def _append_consents(connection: Connection, profiles: Iterable[_Profile], terms: Terms) -> None:
    rows = [
        {
            "contact_point_id": point.id,
            "purpose": purpose,
            "status": consent.status.value,
            "at": terms.now,
            "source": consent.source,
            "proof": consent.proof,
        }
        for profile in profiles
        for point in profile.points.values()
        for purpose, consent in point.said
    ]
    if rows:
        connection.execute(insert(consents), rows)
