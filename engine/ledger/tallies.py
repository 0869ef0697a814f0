"""How campaigns go: small rows that are only ever added, so that senders never wait for one another, and their sums.

A row is dated by when its messages were handed over, whenever it became known how they ended: so a sum over a span is of
the messages that left in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, select

from engine.guards import Tally
from engine.store import Database
from engine.store.prepared import inserting
from engine.store.tables import tallies

Of = tuple[str, int]
"""A campaign and a run of it."""


def note(connection: Connection, what: str, of: Iterable[Of], *, at: datetime) -> None:
    """Count messages of these runs under `begun`, `errors`, `bounces` or `complaints`."""
    counted = sorted(Counter(of).items())
    rows = [{"campaign": campaign, "run_id": run, "at": at, what: count} for (campaign, run), count in counted]
    if rows:
        _NOTES[what].run(connection, rows)


_NOTES = {
    what: inserting(tallies, ("campaign", "run_id", "at", what))
    for what in ("begun", "errors", "bounces", "complaints")
}


def tally(connection: Connection, campaign: str, *, since: datetime, run_id: int | None = None) -> Tally:
    """What became of the messages of a campaign, or of one run, that were handed over since then."""
    t = tallies.c
    which: list[Any] = [t.campaign == campaign, t.at >= since]
    if run_id is not None:
        which.append(t.run_id == run_id)
    sums = [func.coalesce(func.sum(column), 0) for column in (t.begun, t.errors, t.bounces, t.complaints)]
    begun, errors, bounces, complaints = connection.execute(select(*sums).where(*which)).one()
    return Tally(begun=int(begun), errors=int(errors), bounces=int(bounces), complaints=int(complaints))


def at_work(connection: Connection, *, since: datetime) -> list[str]:
    """The campaigns of which something was handed over, or ended badly, since then."""
    return list(connection.execute(select(tallies.c.campaign).where(tallies.c.at >= since).distinct()).scalars())


def forget(database: Database, *, before: datetime) -> None:
    """Rows that no span reaches back to any more."""
    with database.writing() as connection:
        connection.execute(delete(tallies).where(tallies.c.at < before))
