"""Opens and clicks, judged message by message: what a person did stamps the message, what a machine did is kept beside it.

A click may show that another one was a machine's. So all that is known of a message is judged together, and the stamps are
what the verdicts say, whatever they were before.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from engine.ledger.machines import LONGEST_BURST, RULE, Range, hit, judge, kept, ranges
from engine.model import Channel, EventName, Plain
from engine.store import Database
from engine.store.bulk import ReportRow, among
from engine.store.tables import EPOCH, events, facts, messages

STAMPS = {"opened_at": EventName.OPENED, "clicked_at": EventName.CLICKED}
ENGAGEMENTS = tuple(STAMPS.values())
FAR = datetime(9000, 1, 1, tzinfo=UTC)
CHUNK = 1000
_PROGRESS, _SCANNERS = "machine_rule", "scanners"  # in the table of facts


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """What a verdict needs to know of a message; `opened_at` and `clicked_at` as they are stamped now."""

    letter: bool
    sent_at: datetime | None
    opened_at: datetime | None
    clicked_at: datetime | None


def engage(connection: Connection, new: Iterable[ReportRow]) -> None:
    """Write a verdict into the properties of new opens and clicks; those that are stored may get another one by them."""
    arriving: dict[int, dict[str, ReportRow]] = defaultdict(dict)
    for one in new:
        assert one.message_id is not None
        arriving[one.message_id].setdefault(one.external_id, one)
    if arriving:
        times = [one.at for them in arriving.values() for one in them.values()]
        _judge(connection, arriving, since=min(times) - LONGEST_BURST, until=max(times) + LONGEST_BURST)


def use_scanners(database: Database, written: Sequence[str]) -> bool:
    """Judge by these addresses of scanners from now on, in every process; True where they changed, and all is to be judged anew."""
    value = json.dumps(sorted(written))
    with database.reading() as connection:
        if _fact(connection, _SCANNERS, "[]") == value:
            return False
    with database.writing() as connection:
        _note(connection, database, _SCANNERS, value)
        _note(connection, database, _PROGRESS, f"{RULE} 0")
    return True


def catch_up(database: Database) -> bool:
    """Judge what an older rule judged, or other addresses of scanners, some messages at a time. False where nothing is left."""
    with database.reading() as connection:  # asking takes no lock
        if _after(_fact(connection, _PROGRESS, "0")) is None:
            return False
    with database.writing() as connection:
        after = _after(_fact(connection, _PROGRESS, "0", mine=True))
        if after is None:
            return False
        ids = _engaged(connection, after)
        _judge(connection, {message_id: {} for message_id in ids}, since=EPOCH, until=FAR)
        _note(connection, database, _PROGRESS, f"{RULE} {ids[-1]}" if ids else str(RULE))
    return bool(ids)


def _after(progress: str) -> int | None:
    """The message up to which all is judged by this rule; None where nothing is left."""
    version, _, last = progress.partition(" ")
    if int(version) >= RULE and not last:
        return None
    return int(last) if last and int(version) == RULE else 0


def _sent(connection: Connection, ids: Collection[int]) -> dict[int, Sent]:
    """The messages, held by this transaction: what else is judged about them waits. In one order, so that nobody waits for
    whom waits for him.
    """
    m = messages.c
    query = select(m.id, m.channel, m.accepted_at, m.first_sent_at, m.opened_at, m.clicked_at)
    rows = connection.execute(query.where(among(connection, m.id, ids)).order_by(m.id).with_for_update())
    return {
        row.id: Sent(
            letter=row.channel == Channel.EMAIL.value,
            sent_at=row.accepted_at or row.first_sent_at,
            opened_at=row.opened_at,
            clicked_at=row.clicked_at,
        )
        for row in rows
    }


def _judge(
    connection: Connection, arriving: Mapping[int, Mapping[str, ReportRow]], *, since: datetime, until: datetime
) -> None:
    """Judge what is known of these messages within a time that holds all of a burst, and stamp them anew."""
    sent, stored = _sent(connection, arriving), _stored(connection, arriving, since, until)
    scanners = _ranges(_fact(connection, _SCANNERS, "[]"))
    changed: list[dict[str, Any]] = []
    stamps: dict[str, list[dict[str, Any]]] = {name: [] for name in STAMPS}
    for message_id, message in sent.items():
        known, incoming = stored[message_id], arriving[message_id].values()
        raw = [kept(row.properties) for row in known]
        hits = [hit(row.external_id, row.name, row.at, was) for row, was in zip(known, raw, strict=True)]
        hits += [hit(one.external_id, one.name, one.at, one.properties) for one in incoming]
        verdicts = judge(hits, letter=message.letter, sent_at=message.sent_at, scanners=scanners)
        for row, properties in zip(known, raw, strict=True):
            if _verdict(properties, verdicts[row.external_id]):
                changed.append({"event": row.id, "given": properties})
        for one in incoming:
            _verdict(one.properties, verdicts[one.external_id])
        for name, times in stamps.items():
            before: datetime | None = getattr(message, name)
            people = [one.at for one in hits if one.name is STAMPS[name] and not verdicts[one.key]]
            if before is not None and not since <= before <= until:
                people.append(before)
            first = min(people) if people else _later(connection, message_id, name, until) if before else None
            if first != before:
                times.append({"message": message_id, "first": first})
    _write(connection, changed, stamps)


def _stored(
    connection: Connection, ids: Collection[int], since: datetime, until: datetime
) -> defaultdict[int, list[Any]]:
    found, e = defaultdict[int, list[Any]](list), events.c
    query = select(e.id, e.external_id, e.message_id, e.name, e.at, e.properties)
    query = query.where(among(connection, e.message_id, ids), e.at.between(since, until), e.name.in_(ENGAGEMENTS))
    for row in connection.execute(query):
        found[row.message_id].append(row)
    return found


def _later(connection: Connection, message_id: int, stamp: str, until: datetime) -> datetime | None:
    """The first time after `until` that a person did it, where what counted so far turned out to be a machine's."""
    e = events.c
    query = select(e.at, e.properties).where(e.message_id == message_id, e.name == STAMPS[stamp].value, e.at > until)
    rows = connection.execute(query.order_by(e.at))
    return next((row.at for row in rows if not row.properties.get("machine")), None)


def _write(connection: Connection, changed: list[dict[str, Any]], stamps: Mapping[str, list[dict[str, Any]]]) -> None:
    e, m = events.c, messages.c
    if changed:
        given = bindparam("given", type_=e.properties.type)
        connection.execute(update(events).where(e.id == bindparam("event")).values(properties=given), changed)
    for name, times in stamps.items():
        if times:
            first = bindparam("first", type_=m[name].type)
            connection.execute(update(messages).where(m.id == bindparam("message")).values({name: first}), times)


def _verdict(properties: dict[str, Plain], because: str) -> bool:
    """Write a verdict beside what came in. False where it stood there already."""
    before = (properties.get("rule"), properties.get("because"), properties.get("machine"))
    properties["rule"] = RULE
    for name, value in (("machine", bool(because)), ("because", because)):
        if value:
            properties[name] = value
        else:
            properties.pop(name, None)
    return before != (RULE, because or None, bool(because) or None)


def _engaged(connection: Connection, after: int) -> list[int]:
    e = events.c
    query = select(e.message_id).where(e.message_id > after, e.name.in_(ENGAGEMENTS))
    return list(connection.execute(query.distinct().order_by(e.message_id).limit(CHUNK)).scalars())


@lru_cache(maxsize=8)
def _ranges(value: str) -> tuple[Range, ...]:
    return ranges(json.loads(value))


def _fact(connection: Connection, name: str, otherwise: str, *, mine: bool = False) -> str:
    """mine: until this transaction ends, whoever would change it waits."""
    query = select(facts.c.value).where(facts.c.name == name)
    return connection.execute(query.with_for_update() if mine else query).scalar() or otherwise


def _note(connection: Connection, database: Database, name: str, value: str) -> None:
    row = database.insert(facts).values(name=name, value=value)
    connection.execute(row.on_conflict_do_update(index_elements=["name"], set_={"value": value}))
