"""Claiming: a batch of due messages under a lease; and taking back what a dead sender held."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, func, literal, select, update

from engine.ledger.moves import in_state, move
from engine.model import LANE_RANK, TRANSITIONS, Channel, Claim, Lane, Message, Reason, State
from engine.store import Database
from engine.store.tables import messages, runs


def claim(database: Database, lane: Lane, *, owner: str, limit: int, lease: timedelta, now: datetime) -> list[Message]:
    """Take up to `limit` due messages of a lane, oldest due first. Nobody else gets them before the lease is over."""
    due = (
        select(messages.c.id)
        .where(in_state(State.PENDING), messages.c.lane == LANE_RANK[lane], messages.c.due_at <= now)
        .order_by(messages.c.due_at, messages.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("due")
        .prefix_with(
            "MATERIALIZED", dialect="postgresql"
        )  # else PostgreSQL may run it again and take more than `limit`
    )
    taking = (
        update(messages)
        .where(messages.c.id.in_(select(due.c.id)), in_state(State.PENDING))
        .values(
            state=TRANSITIONS["claim"].target.value,
            epoch=messages.c.epoch + 1,
            owner=owner,
            lease_until=now + lease,
            changed_at=now,
        )
        .returning(messages)
    )
    if not anything_due(database, lane, now=now):
        return []
    with database.writing() as connection:
        rows = connection.execute(taking).all()
    return sorted((_message(row) for row in rows), key=lambda message: message.id)


def anything_due(database: Database, lane: Lane, *, now: datetime) -> bool:
    """Whether a claim would find something; asked first, since asking takes no lock."""
    query = select(messages.c.id).where(
        in_state(State.PENDING), messages.c.lane == LANE_RANK[lane], messages.c.due_at <= now
    )
    with database.reading() as connection:
        return connection.execute(query.limit(1)).first() is not None


def count_due(database: Database, *, now: datetime, most: int) -> int:
    """How many messages are due on all lanes, counted no further than `most`."""
    due = [
        select(messages.c.id)
        .where(in_state(State.PENDING), messages.c.lane == rank, messages.c.due_at <= now)
        .limit(most)
        for rank in LANE_RANK.values()
    ]
    with database.reading() as connection:
        return min(most, sum(len(connection.execute(lane).all()) for lane in due))


def _message(row: Row[Any]) -> Message:
    return Message(
        id=row.id,
        claim=Claim(message_id=row.id, epoch=row.epoch, owner=row.owner, lease_until=row.lease_until),
        run_id=row.run_id,
        campaign=row.campaign,
        step=row.step,
        customer_id=row.customer_id,
        channel=Channel(row.channel),
        attempts=row.attempts,
        owed_at=row.owed_at,
        not_after=row.not_after,
        first_sent_at=row.first_sent_at,
        possible_duplicate=row.possible_duplicate,
        doubt_since=row.doubt_since,
        values=row.values,
        sent_to=row.sent_to,
        provider=row.provider,
    )


def recover(database: Database, *, now: datetime) -> tuple[int, int]:
    """Take back what a dead sender held: claimed goes back to pending, surely unsent; sending is in doubt.

    Returns how many of each. Safe to run at any time, by anybody, as often as one likes.
    """
    over = messages.c.lease_until <= now
    with database.reading() as connection:
        stale = select(messages.c.id).where(in_state(State.CLAIMED, State.SENDING), over).limit(1)
        if connection.execute(stale).first() is None:
            return 0, 0
    with database.writing() as connection:
        unsent = move(connection, "release", over, now=now, due_at=now, owner=None, lease_until=None)
        since = func.coalesce(messages.c.doubt_since, literal(now, messages.c.doubt_since.type))
        died = {"reason": Reason.SENDER_DIED.value, "doubt_since": since, "owner": None, "lease_until": None}
        doubtful = move(connection, "doubt", over, now=now, **died)
    return unsent, doubtful


def expire(database: Database, *, now: datetime) -> int:
    """End the pending messages whose time to be of use has passed. Returns how many."""
    late = (messages.c.not_after.is_not(None), messages.c.not_after < now)
    with database.reading() as connection:
        if connection.execute(select(messages.c.id).where(in_state(State.PENDING), *late).limit(1)).first() is None:
            return 0
    with database.writing() as connection:
        return move(connection, "expire", in_state(State.PENDING), *late, now=now, reason=Reason.NOT_LATER_THAN.value)


def next_due(database: Database, *, after: datetime, resolve_window: timedelta) -> datetime | None:
    """The next instant at which some open message needs attention; None when all are final."""
    with database.reading() as connection:
        moments = [
            connection.execute(
                select(messages.c.due_at).where(in_state(State.PENDING)).order_by(messages.c.due_at).limit(1)
            ).scalar(),
            connection.execute(
                select(messages.c.lease_until)
                .where(in_state(State.CLAIMED, State.SENDING))
                .order_by(messages.c.lease_until)
                .limit(1)
            ).scalar(),
            _doubt_over(connection, resolve_window),
        ]
    ahead = [moment for moment in moments if moment is not None]
    return max(min(ahead), after) if ahead else None


def _doubt_over(connection: Connection, resolve_window: timedelta) -> datetime | None:
    oldest = connection.execute(
        select(messages.c.changed_at).where(in_state(State.IN_DOUBT)).order_by(messages.c.changed_at).limit(1)
    ).scalar()
    return oldest + resolve_window if oldest else None


def cancel(database: Database, campaign: str, *, now: datetime) -> int:
    """Stop a campaign's runs: what was not handed over yet is cancelled. Returns how many messages."""
    with database.writing() as connection:
        connection.execute(
            update(runs).where(runs.c.campaign == campaign, runs.c.cancelled_at.is_(None)).values(cancelled_at=now)
        )
        return move(connection, "cancel", messages.c.campaign == campaign, now=now)
