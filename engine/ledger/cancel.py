"""Stopping for good: a campaign's runs, or the rest of one run. What was handed over already is told, not taken back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, func, select, update

from engine.errors import UnknownName
from engine.ledger.moves import move_all
from engine.model import Reason, State
from engine.store import Database, persistently
from engine.store.tables import messages, runs

LEFT = frozenset({State.SENDING, State.IN_DOUBT, State.ACCEPTED, State.REJECTED, State.UNKNOWN})
"""States of a message that a provider was given, or may have been."""

NEWEST = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class RunStands:
    """One run, and how many of its messages stand in each state."""

    run: int
    campaign: str
    occurrence: str
    launched_at: datetime
    cancelled_at: datetime | None
    states: Mapping[State, int]

    @property
    def left(self) -> int:
        """How many were handed to a provider, or may have been."""
        return sum(count for state, count in self.states.items() if state in LEFT)

    @property
    def waiting(self) -> int:
        """How many can still be stopped."""
        return self.states.get(State.PENDING, 0) + self.states.get(State.CLAIMED, 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Undone:
    """What came of undoing the rest of a run: how many messages that stopped, and how the run stands now."""

    cancelled: int
    run: RunStands


def cancel(database: Database, campaign: str, *, now: datetime) -> int:
    """Stop all of a campaign's runs: what was not handed over yet is cancelled. Returns how many messages."""

    def stop() -> int:
        with database.writing() as connection:
            return _cancel(connection, runs.c.campaign == campaign, messages.c.campaign == campaign, now=now)

    return persistently(stop)


def cancel_run(database: Database, run_id: int, *, now: datetime) -> Undone:
    """Stop what is left of one run. Raises UnknownName where there is no such run."""

    def stop() -> Undone:
        with database.writing() as connection:
            stopped = _cancel(connection, runs.c.id == run_id, messages.c.run_id == run_id, now=now)
            return Undone(cancelled=stopped, run=_stands(connection, run_id))

    return persistently(stop)


def _cancel(connection: Connection, these: ColumnElement[bool], theirs: ColumnElement[bool], *, now: datetime) -> int:
    # The runs first: a sender that has a message in its hands asks its run before it lets go.
    connection.execute(update(runs).where(these, runs.c.cancelled_at.is_(None)).values(cancelled_at=now))
    return move_all(connection, "cancel", theirs, now=now, reason=Reason.CANCELLED.value)


def newest_runs(database: Database, campaign: str | None = None) -> tuple[RunStands, ...]:
    """The newest runs of a campaign, or of all, the newest first."""
    mine = (runs.c.campaign == campaign,) if campaign else ()
    with database.reading() as connection:
        ids = connection.execute(select(runs.c.id).where(*mine).order_by(runs.c.id.desc()).limit(NEWEST)).scalars()
        return tuple(_stands(connection, run_id) for run_id in ids.all())


def _stands(connection: Connection, run_id: int) -> RunStands:
    row: Row[Any] | None = connection.execute(_run(run_id)).first()
    if row is None:
        raise UnknownName(f"there is no run {run_id}", remedy="`regulars undo` without a run lists the newest ones.")
    counted = select(messages.c.state, func.count()).where(messages.c.run_id == run_id).group_by(messages.c.state)
    return RunStands(
        run=run_id,
        campaign=row.campaign,
        occurrence=row.occurrence,
        launched_at=row.launched_at,
        cancelled_at=row.cancelled_at,
        states={State(state): count for state, count in connection.execute(counted)},
    )


def _run(run_id: int) -> Select[Any]:
    r = runs.c
    return select(r.campaign, r.occurrence, r.launched_at, r.cancelled_at).where(r.id == run_id)
