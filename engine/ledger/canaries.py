"""Runs whose first part leaves ahead: what waits for it, and how it was decided."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, case, exists, func, insert, literal, select, update

from engine.ledger.moves import in_state
from engine.model import Plain, Reason, State
from engine.store import Database
from engine.store.tables import canaries, messages, runs

WAITS = datetime(9000, 1, 1, tzinfo=UTC)
"""Due when somebody says so: the rest of a run, behind its canary."""

CHUNK = 10_000
LOTS = 1_000_000
LEFT_ENOUGH = Decimal("0.1")
"""So small a part of the canary may still be on its way (a mailbox that is busy) when it counts as having left."""


class Stage(StrEnum):
    """The first part is leaving; it has left and is watched; the others follow; they do; they do not."""

    LEAVING = "leaving"
    WATCHED = "watched"
    PASSED = "passed"
    OVER = "over"
    STOPPED = "stopped"


@dataclass(frozen=True, kw_only=True, slots=True)
class CanaryRun:
    """One run with a canary. size: how many leave ahead. terms: the campaign's guard as it was at the launch, as JSON.

    decide_at: when it is decided; None before the first part has left. Times are UTC.
    """

    run: int
    campaign: str
    since: datetime
    size: int
    terms: Mapping[str, Plain]
    stage: Stage
    decide_at: datetime | None
    why: str


def ahead(customer: ColumnElement[Any], run_id: int, share: Decimal) -> ColumnElement[bool]:
    """Whether a customer is in the first part: drawn anew for each run, spread over the whole audience."""
    return _lot(customer, run_id) < math.ceil(share * LOTS)


def _lot(customer: ColumnElement[Any], run_id: int) -> ColumnElement[Any]:
    """By the golden ratio: neighbours, who often came together, are far apart, and the next run's first part is another."""
    return (customer * 618_033 + run_id * 729_007 % LOTS) % LOTS


def due(customer: ColumnElement[Any], run_id: int, share: Decimal, now: datetime) -> dict[str, ColumnElement[Any]]:
    """The columns of a message in which the first part and the rest differ."""
    m, first = messages.c, ahead(customer, run_id, share)
    waits = literal(Reason.CANARY.value, m.reason.type)
    return {
        "due_at": case((first, literal(now, m.due_at.type)), else_=literal(WAITS, m.due_at.type)),
        "reason": case((first, None), else_=waits),
        "held_by": case((first, None), else_=waits),
    }


def opened(connection: Connection, run_id: int, campaign: str, terms: Mapping[str, Plain], *, now: datetime) -> int:
    """Write down that a run has a canary. Returns how many leave ahead: one, where the draw found nobody."""
    mine = (messages.c.run_id == run_id, in_state(State.PENDING), messages.c.due_at < WAITS)
    size = int(connection.execute(select(func.count()).select_from(messages).where(*mine)).scalar_one())
    size = size or _one_ahead(connection, run_id, now)
    row = {
        "run_id": run_id,
        "campaign": campaign,
        "since": now,
        "size": size,
        "terms": dict(terms),
        "stage": Stage.LEAVING.value,
        "why": "",
    }
    connection.execute(insert(canaries).values(row))
    return size


def _one_ahead(connection: Connection, run_id: int, now: datetime) -> int:
    waiting = (messages.c.run_id == run_id, in_state(State.PENDING), messages.c.due_at == WAITS)
    first = select(messages.c.id).where(*waiting).order_by(_lot(messages.c.customer_id, run_id), messages.c.id).limit(1)
    ahead = update(messages).where(messages.c.id.in_(first)).values(due_at=now, reason=None, held_by=None)
    return connection.execute(ahead).rowcount


def all_due(connection: Connection, run_id: int, *, now: datetime) -> None:
    """Without a canary after all: the whole run is due at once."""
    waiting = update(messages).where(messages.c.run_id == run_id, in_state(State.PENDING), messages.c.due_at == WAITS)
    connection.execute(waiting.values(due_at=now, reason=None, held_by=None))


def undecided(connection: Connection, *stages: Stage, campaign: str | None = None) -> list[CanaryRun]:
    """The canaries in one of these stages; those that are still leaving or watched where none is named. A run that was cancelled
    has none any more.
    """
    wanted = [stage.value for stage in stages or (Stage.LEAVING, Stage.WATCHED)]
    query = select(canaries).where(canaries.c.stage.in_(wanted), _stands()).order_by(canaries.c.run_id)
    if campaign is not None:
        query = query.where(canaries.c.campaign == campaign)
    return [
        CanaryRun(
            run=row.run_id,
            campaign=row.campaign,
            since=row.since,
            size=row.size,
            terms=row.terms,
            stage=Stage(row.stage),
            decide_at=row.decide_at,
            why=row.why,
        )
        for row in connection.execute(query)
    ]


def _stands() -> ColumnElement[bool]:
    """Its run was not cancelled."""
    return exists().where(runs.c.id == canaries.c.run_id, runs.c.cancelled_at.is_(None))


def has_left(connection: Connection, canary: CanaryRun) -> bool:
    """Whether the first part has been handed over, or will not be."""
    m = messages.c
    mine = (m.run_id == canary.run, m.due_at < WAITS)
    waiting = select(func.count()).select_from(messages).where(*mine, in_state(State.PENDING))
    in_hand = (
        select(func.count()).select_from(messages).where(m.run_id == canary.run, in_state(State.CLAIMED, State.SENDING))
    )
    open_still = sum(connection.execute(query).scalar_one() for query in (waiting, in_hand))
    return open_still <= int(canary.size * LEFT_ENOUGH)


def unwritten(connection: Connection, canary: CanaryRun) -> int:
    """How many of the first part could not be written, or found no provider: that would happen to the others, too."""
    m = messages.c
    reasons = (Reason.TEMPLATE_ERROR.value, Reason.FAULT.value, Reason.REFUSED.value)
    mine = (m.run_id == canary.run, m.state == State.SKIPPED.value, m.reason.in_(reasons))
    return int(connection.execute(select(func.count()).select_from(messages).where(*mine)).scalar_one())


def watch(database: Database, canary: CanaryRun, *, decide_at: datetime) -> None:
    """It has left: it is decided then."""
    _change(database, canary, Stage.LEAVING, stage=Stage.WATCHED.value, decide_at=decide_at)


def decide(database: Database, canary: CanaryRun, stage: Stage, *, why: str, now: datetime) -> bool:
    """Let the rest go, or not. False where somebody else has decided already, or the run was cancelled."""
    return _change(database, canary, canary.stage, stage=stage.value, why=why, decided_at=now)


def _change(database: Database, canary: CanaryRun, former: Stage, **values: Any) -> bool:
    mine = (canaries.c.run_id == canary.run, canaries.c.stage == former.value, _stands())
    with database.writing() as connection:
        return connection.execute(update(canaries).where(*mine).values(values)).rowcount == 1


def let_go(database: Database, *, now: datetime) -> int:
    """Make the rest of every run that passed due, some thousands in a commit; again, where a former call was interrupted."""
    with database.reading() as connection:
        passed = undecided(connection, Stage.PASSED)
    return sum(_let_go(database, canary, now) for canary in passed)


def _let_go(database: Database, canary: CanaryRun, now: datetime) -> int:
    m, count = messages.c, 0
    waiting = select(m.id).where(m.run_id == canary.run, in_state(State.PENDING), m.due_at == WAITS)
    while True:
        with database.writing() as connection:
            some = connection.execute(waiting.order_by(m.id).limit(CHUNK)).scalars().all()
            if not some:
                done = update(canaries).where(canaries.c.run_id == canary.run, canaries.c.stage == Stage.PASSED.value)
                connection.execute(done.values(stage=Stage.OVER.value))
                return count
            free = update(messages).where(m.id.in_(some), in_state(State.PENDING), m.due_at == WAITS)
            count += connection.execute(free.values(due_at=now, reason=None, changed_at=now)).rowcount
