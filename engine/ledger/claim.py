"""Claiming: a batch of due messages under a lease; and taking back what a dead sender held."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    Select,
    bindparam,
    func,
    literal,
    literal_column,
    select,
    update,
)

from engine.ledger.brakes import braked, free_to_go
from engine.ledger.moves import in_state, lock, move, move_all
from engine.model import LANE_RANK, TRANSITIONS, Channel, Claim, Lane, Message, Reason, State
from engine.store import Database, persistently
from engine.store.prepared import Prepared
from engine.store.tables import messages, runs

_m = messages.c
SEEN = (
    _m.id, _m.epoch, _m.owner, _m.lease_until, _m.run_id, _m.campaign, _m.step, _m.customer_id, _m.channel, _m.attempts,
    _m.owed_at, _m.not_after, _m.first_sent_at, _m.possible_duplicate, _m.doubt_since, _m["values"], _m.sent_to, _m.provider,
    _m.content_hash,
)  # fmt: skip
"""The columns of a message that a sender sees."""


def claim(
    database: Database,
    lane: Lane,
    *,
    owner: str,
    limit: int,
    lease: timedelta,
    now: datetime,
    run_id: int | None = None,
) -> list[Message]:
    """Take up to `limit` due messages of a lane, or of one run in it, oldest due first. Nobody else gets them before the
    lease is over; those of a paused campaign nobody gets.
    """
    asked = {"moment": now, "most": limit, "run": run_id}
    with database.reading() as connection:  # asking takes no lock
        if not _due(lane, run_id is not None).rows(connection, **{**asked, "most": 1}):
            return []
    taken = {"new_owner": owner, "new_lease": now + lease}
    with database.writing() as connection:
        rows = _taking(lane, run_id is not None).rows(connection, **asked, **taken)
    return sorted((message_of(row) for row in rows), key=lambda message: message.id)


@cache
def _due(lane: Lane, one_run: bool) -> Prepared:
    return Prepared(lambda _: _select_due(lane, one_run), growing=True)


def _select_due(lane: Lane, one_run: bool) -> Select[tuple[int]]:
    moment = bindparam("moment", type_=messages.c.due_at.type)
    mine = (messages.c.run_id == bindparam("run", type_=messages.c.run_id.type),) if one_run else ()
    return (
        select(messages.c.id)
        .where(*_waiting(lane), *mine, messages.c.due_at <= moment, free_to_go())
        .order_by(messages.c.due_at, messages.c.id)
        .limit(bindparam("most", type_=Integer))
    )


@cache
def _taking(lane: Lane, one_run: bool) -> Prepared:
    return Prepared(lambda _: _take_due(lane, one_run), growing=True)


def _take_due(lane: Lane, one_run: bool) -> Any:
    # MATERIALIZED: else PostgreSQL may run it again and take more than the limit
    due = _select_due(lane, one_run).with_for_update(skip_locked=True, of=messages).cte("due")
    due = due.prefix_with("MATERIALIZED", dialect="postgresql")
    values = {
        "state": TRANSITIONS["claim"].target.value,
        "epoch": messages.c.epoch + 1,
        "owner": bindparam("new_owner", type_=messages.c.owner.type),
        "lease_until": bindparam("new_lease", type_=messages.c.lease_until.type),
        "changed_at": bindparam("moment", type_=messages.c.changed_at.type),
    }
    mine = messages.c.id.in_(select(due.c.id))
    return update(messages).where(mine, in_state(State.PENDING)).values(values).returning(*SEEN)


def _waiting(lane: Lane, table: FromClause = messages) -> tuple[ColumnElement[bool], ...]:
    """Pending messages of a lane, written so that the lane's own index is used."""
    pending: ColumnElement[str] = literal_column(f"'{State.PENDING.value}'")
    rank: ColumnElement[int] = literal_column(str(LANE_RANK[lane]))
    return table.c.state == pending, table.c.lane == rank


def count_due(database: Database, *, now: datetime, most: int, lanes: Iterable[Lane] = Lane) -> int:
    """How many messages are due on these lanes, counted no further than `most`."""
    due = [
        select(messages.c.id).where(*_waiting(lane), messages.c.due_at <= now, free_to_go()).limit(most)
        for lane in lanes
    ]
    with database.reading() as connection:
        return min(most, sum(len(connection.execute(lane).all()) for lane in due))


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """A run of the bulk lane with pending messages, and when the first of them is due (UTC)."""

    run_id: int
    campaign: str
    due_at: datetime


def waiting_runs(database: Database) -> list[Waiting]:
    """Every bulk run with pending messages, whose campaign is not paused, in the order of their ids."""
    with database.reading() as connection:
        return _waiting_runs(connection)


def _waiting_runs(connection: Connection) -> list[Waiting]:
    paused = braked(connection)
    return [
        Waiting(run_id=row.id, campaign=row.campaign, due_at=row.due_at)
        for row in connection.execute(_runs_that_wait())
        if row.due_at is not None and not paused(row.campaign)
    ]


@cache
def _runs_that_wait() -> Select[Any]:
    """Leaps from run to run through the index of what waits: it does not look at each message. Neither by min() nor for one run_id:
    while PostgreSQL's statistics know nothing of a run just launched, it would.
    """
    m = messages.alias()
    in_order = select(m.c.run_id).where(*_waiting(Lane.BULK, m)).order_by(m.c.run_id, m.c.due_at).limit(1)
    leaps = select(in_order.scalar_subquery().label("id")).cte("waiting", recursive=True)
    following = in_order.where(m.c.run_id > leaps.c.id).scalar_subquery()
    leaps = leaps.union_all(select(following).where(leaps.c.id.is_not(None)))
    soonest = in_order.with_only_columns(m.c.due_at).where(m.c.run_id >= leaps.c.id).scalar_subquery()
    return (
        select(runs.c.id, runs.c.campaign, soonest.label("due_at")).join(leaps, leaps.c.id == runs.c.id).order_by("id")
    )


def message_of(row: Any) -> Message:
    """A row of `messages` as a sender sees it."""
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
        content_hash=row.content_hash,
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
        lock(connection, in_state(State.CLAIMED, State.SENDING), over)
        unsent = move(connection, "release", over, now=now, due_at=now, owner=None, lease_until=None)
        since = func.coalesce(messages.c.doubt_since, literal(now, messages.c.doubt_since.type))
        died = {"reason": Reason.SENDER_DIED.value, "doubt_since": since, "owner": None, "lease_until": None}
        doubtful = move(connection, "doubt", over, now=now, **died)
    return unsent, doubtful


def give_back(database: Database, owner: str, *, now: datetime) -> int:
    """Put back what a sender that has ended still claims: it does not know of it where its server died before it could answer.
    Returns how many. Call it when none of its threads runs any more.
    """

    def back() -> int:
        with database.writing() as connection:
            mine = messages.c.owner == owner
            return move_all(connection, "release", mine, now=now, due_at=now, owner=None, lease_until=None)

    return persistently(back)


def expire(database: Database, *, now: datetime) -> int:
    """End the pending messages whose time to be of use has passed. Returns how many."""
    late = (in_state(State.PENDING), messages.c.not_after.is_not(None), messages.c.not_after < now)
    with database.reading() as connection:
        if connection.execute(select(messages.c.id).where(*late).limit(1)).first() is None:
            return 0
    with database.writing() as connection:
        return move_all(connection, "expire", *late, now=now, reason=Reason.NOT_LATER_THAN.value)


def next_due(database: Database, *, after: datetime, opens: Callable[[int], datetime]) -> datetime | None:
    """The next instant at which some message that is no doubt needs attention; None where there is none. `opens`: when
    some messages of a bulk run may leave, as far as its limits go.
    """
    with database.reading() as connection:
        triggered = select(messages.c.due_at).where(*_waiting(Lane.TRIGGERED), free_to_go())
        moments = [
            connection.execute(triggered.order_by(messages.c.due_at).limit(1)).scalar(),
            min((max(run.due_at, opens(run.run_id)) for run in _waiting_runs(connection)), default=None),
            connection.execute(
                select(messages.c.lease_until)
                .where(in_state(State.CLAIMED, State.SENDING))
                .order_by(messages.c.lease_until)
                .limit(1)
            ).scalar(),
        ]
    ahead = [moment for moment in moments if moment is not None]
    return max(min(ahead), after) if ahead else None
