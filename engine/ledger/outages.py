"""What counts against no message: the time in which its provider took nothing from anybody, and attempts at which it was not there, refused us, or asked to wait."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import func, select

from engine.ledger import rates as buckets
from engine.store import Database
from engine.store.tables import EPOCH, attempts, rates

REFUSED, DOWN, LATER = "no_access", "down", "later"
"""How an attempt ended that counts for none: the vendor refused us, was not there, or asked to come again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Spared:
    """The time before `until` (UTC), and of each message, by its id, so many `attempts`."""

    until: datetime = EPOCH
    attempts: Mapping[int, int] = field(default_factory=dict)


NOTHING = Spared()


def note(database: Database, key: str, *, until: datetime) -> None:
    """The messages of a provider, by its bucket's key, wait until then, as it is down or refuses us. What was later stays."""
    buckets.put_off(database, key, rates.c.down_until, until)


def spared(database: Database, keys: Collection[str], message_ids: Collection[int]) -> Spared:
    """What counts against none of these messages, which these providers were to carry."""
    last = select(func.max(rates.c.down_until)).where(rates.c.key.in_(keys))
    no_tries = (
        select(attempts.c.message_id, func.count().label("times"))
        .where(attempts.c.message_id.in_(message_ids), attempts.c.outcome.in_((REFUSED, DOWN, LATER)))
        .group_by(attempts.c.message_id)
    )
    with database.reading() as connection:
        until = connection.execute(last).scalar()
        return Spared(
            until=until or EPOCH, attempts={row.message_id: row.times for row in connection.execute(no_tries)}
        )
