"""What customers did after messages, by their campaign's goal: each event once, within the goal's span."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Connection, exists, func, select

from engine.model import State
from engine.scalars import duration, share
from engine.store import Database
from engine.store.expressions import later, number_in
from engine.store.tables import events, messages, runs

Goal = Mapping[str, Any]
"""As a run keeps it: `event`, `within`, and `value`, which may be None."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wording:
    """A campaign as some runs of it were launched: its file as JSON, and that one's hash."""

    hash: str
    definition: Mapping[str, Any]

    @property
    def goal(self) -> Goal | None:
        return self.definition.get("goal")

    @property
    def variants(self) -> Sequence[str]:
        return self.definition.get("variants") or ()

    @property
    def holdout(self) -> Decimal:
        """The share that it holds out; 0 for nobody."""
        return share(self.definition.get("holdout", "0 %"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Afterwards:
    """Goal events after the messages. `customers` had at least one; `revenue` is None where the goal names no value."""

    event: str
    within: timedelta
    events: int
    customers: int
    revenue: float | None


def wordings(connection: Connection, campaign: str | None) -> Mapping[str, list[Wording]]:
    """Each campaign as it was launched, every wording once, the one launched last first."""
    last = select(func.max(runs.c.id)).group_by(runs.c.campaign, runs.c.definition_hash)
    query = select(runs.c.campaign, runs.c.definition_hash, runs.c.definition).where(runs.c.id.in_(last))
    query = query.where(runs.c.campaign == campaign) if campaign else query
    found: dict[str, list[Wording]] = defaultdict(list)
    for row in connection.execute(query.order_by(runs.c.id.desc())):
        found[row.campaign].append(Wording(hash=row.definition_hash, definition=row.definition))
    return found


def span_of(goal: Goal) -> timedelta:
    """How long after the message it counts: our words, or ISO 8601 as pydantic writes a timedelta."""
    return duration(goal["within"])


def value_of(goal: Goal, *, dialect: str) -> ColumnElement[float] | None:
    """The number of the event that is summed; None where the goal names none."""
    return number_in(events.c.properties, goal["value"], dialect=dialect) if goal.get("value") else None


def afterwards(
    connection: Connection, database: Database, which: ColumnElement[bool], goal: Goal, *, now: datetime
) -> Afterwards:
    """What was done after messages, `which` pick, that a provider took: since it did."""
    within = span_of(goal)
    m, e = messages.c, events.c
    reached = exists(
        select(m.id).where(
            which,
            m.customer_id == e.customer_id,
            m.state == State.ACCEPTED.value,
            m.accepted_at <= e.at,
            e.at < later(m.accepted_at, within, dialect=database.dialect),
        )
    )
    value = value_of(goal, dialect=database.dialect)
    query = select(
        func.count(), func.count(e.customer_id.distinct()), *([func.sum(value)] if value is not None else [])
    )
    row = connection.execute(query.select_from(events).where(e.name == goal["event"], e.at <= now, reached)).one()
    revenue = float(row[2] or 0) if value is not None else None
    return Afterwards(event=goal["event"], within=within, events=row[0], customers=row[1], revenue=revenue)
