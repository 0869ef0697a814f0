"""From when on a scheduled campaign's occurrences are to be launched: after its newest run, or since it became known."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select

from engine.store import Database
from engine.store.tables import runs, schedules

GRACE = timedelta(minutes=1)
"""An occurrence of the minute in which a campaign becomes known still counts; earlier ones never do."""


def launched_until(database: Database, campaign: str, *, now: datetime) -> datetime:
    """The instant after which occurrences of this campaign are still to be launched. Makes the campaign known."""
    with database.reading() as connection:
        last, since = _known(connection, campaign)
    if since is None:
        since = now - GRACE
        with database.writing() as connection:
            connection.execute(
                database.insert(schedules).values(campaign=campaign, known_since=since).on_conflict_do_nothing()
            )
    return max(last, since) if last else since


def owed_since(connection: Connection, campaign: str, *, now: datetime) -> datetime:
    """What `launched_until` would say, for who only asks: nothing becomes known by it."""
    last, since = _known(connection, campaign)
    since = since or now - GRACE
    return max(last, since) if last else since


def _known(connection: Connection, campaign: str) -> tuple[datetime | None, datetime | None]:
    """The newest run's own instant, and since when the campaign is known."""
    newest = select(func.max(runs.c.nominal_at)).where(runs.c.campaign == campaign)
    known = select(schedules.c.known_since).where(schedules.c.campaign == campaign)
    return connection.execute(newest).scalar(), connection.execute(known).scalar()
