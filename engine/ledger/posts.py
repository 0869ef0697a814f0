"""How posts to everybody fare: which of them their vendors are asked about now, and the newest of what they told.

Each change is an event besides (`counted`), so that the past can be read. A post is asked about often while it is young, and
not any more when it is a month old.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, or_, select, update

from engine.model import Plain, State
from engine.provider import Engagement
from engine.store import Database
from engine.store.tables import messages, posts

COUNTS = ("likes", "shares", "replies", "clicks", "views")
FIRST_LOOK, LONGEST_WAIT = timedelta(minutes=10), timedelta(days=1)
WATCHED_FOR = timedelta(days=30)


@dataclass(frozen=True, kw_only=True, slots=True)
class Post:
    """A post that a vendor took, by its id there. counted: what it told last; None where it was not asked yet."""

    message_id: int
    provider: str
    name: str
    published_at: datetime
    counted: Engagement | None

    @property
    def is_known(self) -> bool:
        return self.counted is not None


def take(database: Database, providers: Sequence[str], *, limit: int, lease: timedelta, now: datetime) -> list[Post]:
    """The posts of these providers whose turn it is; nobody else gets them before the lease is over."""
    with database.reading() as connection:
        due = {row.id: row for row in connection.execute(_due(providers, limit, now))} if providers else {}
    if not due:
        return []
    rows = [{"message_id": number, "look_at": now + lease} for number in sorted(due)]
    statement = database.insert(posts).values(rows)
    mine = statement.on_conflict_do_update(
        index_elements=["message_id"], set_={"look_at": statement.excluded.look_at}, where=posts.c.look_at <= now
    )
    with database.writing() as connection:
        taken = connection.execute(mine.returning(posts.c.message_id)).scalars().all()
    return [_post(due[number]) for number in sorted(taken)]


def _due(providers: Sequence[str], limit: int, now: datetime) -> Any:
    m, p = messages.c, posts.c
    published = and_(m.customer_id.is_(None), m.state == State.ACCEPTED.value, m.provider_message_id.is_not(None))
    young = and_(m.accepted_at > now - WATCHED_FOR, m.accepted_at <= now - FIRST_LOOK)
    columns = (m.id, m.provider, m.provider_message_id, m.accepted_at, p.counted_at, *(p[name] for name in COUNTS))
    return (
        select(*columns)
        .select_from(messages.outerjoin(posts, p.message_id == m.id))
        .where(published, young, m.provider.in_(providers), or_(p.message_id.is_(None), p.look_at <= now))
        .order_by(m.accepted_at, m.id)
        .limit(limit)
    )


def _post(row: Any) -> Post:
    counted = Engagement(**{name: getattr(row, name) for name in COUNTS}) if row.counted_at is not None else None
    return Post(
        message_id=row.id,
        provider=row.provider,
        name=row.provider_message_id,
        published_at=row.accepted_at,
        counted=counted,
    )


def asked(database: Database, found: Sequence[Post], there: frozenset[str], *, now: datetime) -> None:
    """The vendor was asked about these posts and has `there`: when they are asked about next. One that it had before and
    has not any more is gone.
    """
    with database.writing() as connection:
        for post in found:
            gone = post.name not in there and post.is_known
            values = {"look_at": None, "gone_at": now} if gone else {"look_at": now + wait(now - post.published_at)}
            connection.execute(update(posts).where(posts.c.message_id == post.message_id).values(values))


def wait(age: timedelta) -> timedelta:
    """How long until a post of this age is asked about again."""
    return min(max(age / 3, FIRST_LOOK), LONGEST_WAIT)


def count(
    connection: Connection, database: Database, message_id: int, told: Mapping[str, Plain], *, at: datetime
) -> None:
    """Keep the counts that were told at this time, unless newer ones are known; those that are not told stay as they are."""
    counts = {name: told[name] for name in COUNTS if isinstance(told.get(name), int)}
    known = posts.c.message_id == message_id
    connection.execute(database.insert(posts).values(message_id=message_id, look_at=at).on_conflict_do_nothing())
    older = or_(posts.c.counted_at.is_(None), posts.c.counted_at <= at)
    connection.execute(update(posts).where(known, older).values({**counts, "counted_at": at}))
