"""The messages whose end nobody knows: in doubt still, or given up as unknown; one by one, for whoever must explain them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, and_, func, select

from engine.model import DeliveryClass, State
from engine.store import Database
from engine.store.tables import customers, look_ups, messages, runs

CHUNK = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Which:
    """Which doubts are asked for; None stands for any."""

    states: tuple[State, ...] = (State.IN_DOUBT, State.UNKNOWN)
    campaign: str | None = None
    run: int | None = None
    provider: str | None = None
    limit: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Doubtful:
    """One such message. Times are UTC. key: our name for it, under which the vendor knows it. customer: None for a post.

    since: of the first hand-over that nobody knows the end of. looks, finding: how often the vendor was asked what it has,
    and what it said last. address: None unless addresses were asked for.
    """

    message: int
    key: str
    state: State
    campaign: str
    run: int
    occurrence: str
    customer: str | None
    address: str | None
    channel: str
    provider: str | None
    delivery: DeliveryClass
    reason: str | None
    detail: str | None
    attempts: int
    first_sent_at: datetime | None
    since: datetime | None
    possible_duplicate: bool
    looks: int
    finding: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Count:
    """How many doubts a campaign has with a provider."""

    campaign: str
    provider: str | None
    state: State
    messages: int


def doubts(database: Database, which: Which, *, addresses: bool = False) -> Iterator[Doubtful]:
    """Each of them, the oldest first; read as they are asked for, in one view of the database."""
    query = _filtered(_columns(), which).order_by(messages.c.id).limit(which.limit)
    with database.reading() as connection:
        for row in connection.execute(query, execution_options={"yield_per": CHUNK}):
            yield _doubtful(database, row, addresses)


def counted(database: Database, which: Which) -> tuple[Count, ...]:
    """How many there are, by campaign, provider and state."""
    m = messages.c
    query = _filtered(select(m.campaign, m.provider, m.state, func.count().label("messages")), which)
    query = query.group_by(m.campaign, m.provider, m.state).order_by(m.campaign, m.provider, m.state)
    with database.reading() as connection:
        return tuple(
            Count(campaign=row.campaign, provider=row.provider, state=State(row.state), messages=row.messages)
            for row in connection.execute(query)
        )


def _columns() -> Select[Any]:
    m = messages.c
    asked = and_(look_ups.c.message_id == m.id, look_ups.c.attempt == m.attempts)
    return (
        select(messages, runs.c.occurrence, customers.c.external_id, look_ups.c.looks, look_ups.c.finding)
        .join(runs, runs.c.id == m.run_id)
        .outerjoin(customers, customers.c.id == m.customer_id)
        .outerjoin(look_ups, asked)
    )


def _filtered(query: Select[Any], which: Which) -> Select[Any]:
    m = messages.c
    query = query.where(m.state.in_([state.value for state in which.states]))
    for column, asked in ((m.campaign, which.campaign), (m.run_id, which.run), (m.provider, which.provider)):
        query = query.where(column == asked) if asked is not None else query
    return query


def _doubtful(database: Database, row: Row[Any], addresses: bool) -> Doubtful:
    return Doubtful(
        message=row.id,
        key=database.message_key(row.id),
        state=State(row.state),
        campaign=row.campaign,
        run=row.run_id,
        occurrence=row.occurrence,
        customer=row.external_id,
        address=row.sent_to if addresses else None,
        channel=row.channel,
        provider=row.provider,
        delivery=DeliveryClass(row.delivery),
        reason=row.reason,
        detail=row.detail,
        attempts=row.attempts,
        first_sent_at=row.first_sent_at,
        since=row.doubt_since,
        possible_duplicate=row.possible_duplicate,
        looks=row.looks or 0,
        finding=row.finding,
    )
