"""Launches that a guard holds: which, since when and why; and who let them go."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, exists, select, update

from engine.store import Database
from engine.store.tables import holds, runs


@dataclass(frozen=True, kw_only=True, slots=True)
class Hold:
    """One occurrence of a campaign that is not launched before somebody confirms it. Times are UTC.

    fingerprint: of the rules that it was held under; changed rules are asked anew.
    """

    campaign: str
    occurrence: str
    nominal_at: datetime
    since: datetime
    why: str
    fingerprint: str


def hold(database: Database, held: Hold) -> None:
    """Write down that a launch is held; the newest reason counts."""
    row = {
        "campaign": held.campaign,
        "occurrence": held.occurrence,
        "nominal_at": held.nominal_at,
        "since": held.since,
        "why": held.why,
        "fingerprint": held.fingerprint,
    }
    statement = database.insert(holds).values(row)
    newer = {"why": statement.excluded.why, "fingerprint": statement.excluded.fingerprint}
    with database.writing() as connection:
        connection.execute(statement.on_conflict_do_update(index_elements=["campaign", "occurrence"], set_=newer))


def holding(connection: Connection, campaign: str | None = None) -> tuple[Hold, ...]:
    """Every launch that is held still, the newest first. A later run of the campaign makes an earlier hold void."""
    mine = (holds.c.campaign == campaign,) if campaign else ()
    query = select(holds).where(_open(), *mine).order_by(holds.c.nominal_at.desc(), holds.c.campaign)
    return tuple(
        Hold(
            campaign=row.campaign,
            occurrence=row.occurrence,
            nominal_at=row.nominal_at,
            since=row.since,
            why=row.why,
            fingerprint=row.fingerprint,
        )
        for row in connection.execute(query)
    )


def _open() -> ColumnElement[bool]:
    later = exists(
        select(runs.c.id).where(runs.c.campaign == holds.c.campaign, runs.c.nominal_at >= holds.c.nominal_at)
    )
    return holds.c.released_at.is_(None) & ~later


def release(database: Database, held: Hold, *, by: str, now: datetime) -> None:
    """Write down who let it go."""
    mine = (holds.c.campaign == held.campaign, holds.c.occurrence == held.occurrence)
    with database.writing() as connection:
        connection.execute(update(holds).where(*mine).values(released_at=now, released_by=by))
