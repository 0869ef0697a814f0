"""Many rules asked of everybody: each kind of events is read once, however many rules ask about them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, FromClause, case, column, func, select, table

from engine.rules.compile import all_together
from engine.rules.syntax import Condition
from engine.rules.workspace import Workspace
from engine.store.aside import forget, lay_aside
from engine.store.tables import Id, customers

ANSWERS, FITTING = "answers", "fitting"
MOST_AT_ONCE = 40
"""So many rules are asked in one go: a database's statement has no room for any number, nor has memory."""


def sizes(workspace: Workspace, connection: Connection, conditions: Sequence[Condition], *, now: datetime) -> list[int]:
    """How many customers each condition holds for, some conditions at a time."""
    found: list[int] = []
    for start in range(0, len(conditions), MOST_AT_ONCE):
        with _asked(workspace, connection, conditions[start : start + MOST_AT_ONCE], now) as (everybody, holds):
            counted = select(*(func.count(case((each, 1))) for each in holds)).select_from(everybody)
            found += connection.execute(counted).one()
    return found


def fitting(
    workspace: Workspace, connection: Connection, conditions: Sequence[Condition], *, now: datetime
) -> Iterator[ColumnElement[bool]]:
    """For one condition after the other, at most MOST_AT_ONCE, whether a customer is one of those whom it holds for: they are laid
    aside in the connection, and void when the next comes, or the end.
    """
    named = [f"rule_{number}" for number in range(len(conditions))]
    with _asked(workspace, connection, conditions, now) as (everybody, holds):
        told = [case((each, 1), else_=0).label(name) for each, name in zip(holds, named, strict=True)]
        lay_aside(connection, ANSWERS, select(customers.c.id, *told).select_from(everybody))
    answers = table(ANSWERS, column("id", Id), *(column(name) for name in named))
    for name in named:
        lay_aside(
            connection, FITTING, select(answers.c.id).where(answers.c[name] == 1)
        )  # nothing but ids: SQLite looks into it
        yield customers.c.id.in_(select(table(FITTING, column("id", Id)).c.id))
    for name in (ANSWERS, FITTING):
        forget(connection, name)


def how_many_fit(connection: Connection) -> int:
    """How many the condition holds for that `fitting` told last."""
    return int(connection.execute(select(func.count()).select_from(table(FITTING))).scalar_one())


@contextmanager
def _asked(
    workspace: Workspace, connection: Connection, conditions: Sequence[Condition], now: datetime
) -> Iterator[tuple[FromClause, list[ColumnElement[bool]]]]:
    shared, holds = all_together(workspace, conditions, now=now, dialect=connection.dialect.name)
    for each in shared.sources.values():
        lay_aside(connection, each.laid.name, each.query)
    yield shared.everybody(), holds
    for each in shared.sources.values():
        forget(connection, each.laid.name)
