"""Limits kept by all senders together: places are taken in one transaction, in every bucket that a message is under or in none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, bindparam, delete, or_, select, update

from engine.ledger.buckets import Bucket
from engine.store import Database
from engine.store.tables import EPOCH, rates


@dataclass(frozen=True, kw_only=True, slots=True)
class Level:
    """How far a bucket's places are taken, and until when it is closed, if it is (UTC)."""

    taken: datetime = EPOCH
    closed_until: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """A message that wants a place in each of these buckets."""

    message_id: int
    buckets: tuple[Bucket, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Appointment:
    """When a message that got no place is to come again, and which bucket it waits for."""

    at: datetime
    bucket: str


EMPTY = Level()


def levels(database: Database, keys: Iterable[str]) -> dict[str, Level]:
    """As they are at this moment: a look that takes nothing. A bucket that nobody has used yet is not there."""
    with database.reading() as connection:
        return _levels(connection, keys, lock=False)


def take(
    database: Database, wanted: Sequence[Wanted], *, queue: str, bulk: bool, now: datetime
) -> dict[int, Appointment]:
    """Take a place for each of these messages, in their order. Returns who got none, by message, and when to come again.

    Those who wait for a bucket stand in a queue beside it, one for each name: places there are as far apart as the
    bucket's own, so that everybody comes again when it is likely to be their turn. `bulk` leaves something for receipts.
    """
    keys = {bucket.key for one in wanted for bucket in one.buckets}
    if not keys:
        return {}
    while True:
        with database.writing(durable=False) as connection:  # an intent that follows takes it to the disk, too
            known = _levels(connection, keys, lock=True)
            if len(known) == len(keys):
                return _take(connection, database, wanted, known, queue, bulk, now)
        _make(database, keys)


def _take(
    connection: Connection,
    database: Database,
    wanted: Sequence[Wanted],
    known: Mapping[str, Level],
    queue: str,
    bulk: bool,
    now: datetime,
) -> dict[int, Appointment]:
    taken = {key: level.taken for key, level in known.items()}
    waiting: list[Wanted] = []
    for one in wanted:
        full = tuple(b for b in one.buckets if _is_full(b, known[b.key], taken[b.key], bulk, now))
        if full:
            waiting.append(Wanted(message_id=one.message_id, buckets=full))
            continue
        for bucket in one.buckets:
            taken[bucket.key] = bucket.after(taken[bucket.key], 1, now=now)
    changed = [{"name": key, "new": moment} for key, moment in taken.items() if moment != known[key].taken]
    if changed:
        mine = update(rates).where(rates.c.key == bindparam("name"))
        connection.execute(mine.values(taken=bindparam("new", type_=rates.c.taken.type)), changed)
    opens = {
        bucket.key: max(bucket.opens(taken[bucket.key], now=now, bulk=bulk), known[bucket.key].closed_until or now)
        for one in waiting
        for bucket in one.buckets
    }
    return _appoint(connection, database, waiting, opens, queue, now)


def _is_full(bucket: Bucket, level: Level, taken: datetime, bulk: bool, now: datetime) -> bool:
    closed = level.closed_until is not None and level.closed_until > now
    return closed or bucket.room(taken, now=now, bulk=bulk) < 1


def _appoint(
    connection: Connection,
    database: Database,
    waiting: Sequence[Wanted],
    opens: Mapping[str, datetime],
    queue: str,
    now: datetime,
) -> dict[int, Appointment]:
    """Give those who wait the next places of a queue; of several that they would have to stand in, of the longest. Whoever
    changes a queue holds its bucket's lock.
    """
    names = {key: f"{key} < {queue}" for key in opens}
    queues = _levels(connection, names.values(), lock=False)
    place = {key: max(queues.get(names[key], EMPTY).taken, moment) for key, moment in opens.items()}
    told = {}
    for one in waiting:
        bucket = max(one.buckets, key=lambda full: place[full.key])
        at, place[bucket.key] = bucket.appointment(place[bucket.key], now=now)
        told[one.message_id] = Appointment(at=at, bucket=bucket.key)
    if place:
        rows = [{"key": names[key], "taken": moment} for key, moment in sorted(place.items())]
        stored = database.insert(rates).values(rows)
        connection.execute(stored.on_conflict_do_update(index_elements=["key"], set_={"taken": stored.excluded.taken}))
    return told


def close(database: Database, key: str, *, until: datetime) -> None:
    """Let nobody through until then: the vendor asked to wait. What closes it for longer stays."""
    put_off(database, key, rates.c.closed_until, until)


def put_off(database: Database, key: str, column: Column[Any], until: datetime) -> None:
    """Set a bucket's instant, one of its columns, to a later one; an earlier one changes nothing."""
    row = database.insert(rates).values({"key": key, "taken": EPOCH, column.key: until})
    new = row.excluded[column.key]
    later = or_(column.is_(None), column < new)
    with database.writing() as connection:
        connection.execute(row.on_conflict_do_update(index_elements=["key"], set_={column.key: new}, where=later))


def closed(database: Database, *, now: datetime) -> dict[str, datetime]:
    """The buckets that are closed at this moment, and until when."""
    with database.reading() as connection:
        rows = connection.execute(select(rates.c.key, rates.c.closed_until).where(rates.c.closed_until > now)).all()
    return {row.key: row.closed_until for row in rows}


def forget(database: Database, *, before: datetime) -> int:
    """Drop the buckets and queues that nobody has used since. Returns how many; an absent one is as good as an old one."""
    ended = (or_(until.is_(None), until < before) for until in (rates.c.closed_until, rates.c.down_until))
    old = rates.c.taken < before, *ended
    with database.reading() as connection:
        if connection.execute(select(rates.c.key).where(*old).limit(1)).first() is None:
            return 0
    with database.writing() as connection:
        return connection.execute(delete(rates).where(*old)).rowcount


def _levels(connection: Connection, keys: Iterable[str], *, lock: bool) -> dict[str, Level]:
    """In the order of their keys: whoever locks several locks them in the same order."""
    query = select(rates).where(rates.c.key.in_(bindparam("keys", expanding=True))).order_by(rates.c.key)
    rows = connection.execute(query.with_for_update() if lock else query, {"keys": list(keys)})
    return {row.key: Level(taken=row.taken, closed_until=row.closed_until) for row in rows}


def _make(database: Database, keys: Iterable[str]) -> None:
    """Buckets that nobody has used yet: made before they are locked, so that locks are taken in one order."""
    rows = [{"key": key, "taken": EPOCH} for key in sorted(keys)]
    with database.writing(durable=False) as connection:
        connection.execute(database.insert(rates).values(rows).on_conflict_do_nothing())
