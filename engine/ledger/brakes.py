"""The brake: campaigns, or all of them, that hand nothing over until somebody lets them go again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, delete, exists, func, insert, select

from engine.store import Database
from engine.store.prepared import Prepared
from engine.store.tables import brakes, messages, stops

ALL = "*"
"""The brake on every campaign there is and will be: the kill switch."""
RESTORED = "*restored"
"""The brake on everything in a database that may not know of all that was sent; see `restores`."""
_ON_ALL = (ALL, RESTORED)


@dataclass(frozen=True, kw_only=True, slots=True)
class Brake:
    """A campaign that is paused (`ALL`, `RESTORED`: every one), since when (UTC), and why, in the words of who did it."""

    campaign: str
    since: datetime
    why: str

    @property
    def on_all(self) -> bool:
        """Whether it holds every campaign."""
        return self.campaign in _ON_ALL

    @property
    def whom(self) -> str:
        """The campaign, or everything."""
        return "everything" if self.on_all else self.campaign


def pause(database: Database, campaign: str, *, why: str, now: datetime) -> bool:
    """Hand over nothing more of this campaign; what is in flight is settled. False where it was paused already."""
    row = {"campaign": campaign, "since": now, "why": why}
    with database.writing() as connection:
        return database.inserted(connection, database.insert(brakes).values(row).on_conflict_do_nothing()) == 1


def resume(database: Database, campaign: str) -> bool:
    """Go on where it was paused: the same rows, so nobody gets anything twice. False where it was not paused."""
    with database.writing() as connection:
        return connection.execute(delete(brakes).where(brakes.c.campaign == campaign)).rowcount == 1


def stop(database: Database, campaign: str, *, why: str, now: datetime) -> bool:
    """Pause a campaign that goes badly, and remember it: what left before is not held against it again."""
    row = {"campaign": campaign, "since": now, "why": why}
    with database.writing() as connection:
        connection.execute(insert(stops).values(campaign=campaign, at=now, why=why))
        return database.inserted(connection, database.insert(brakes).values(row).on_conflict_do_nothing()) == 1


def last_stop(connection: Connection, campaign: str) -> datetime | None:
    """When a guard stopped a campaign last."""
    return connection.execute(select(func.max(stops.c.at)).where(stops.c.campaign == campaign)).scalar()


def paused(database: Database) -> tuple[Brake, ...]:
    """Every brake that is on."""
    with database.reading() as connection:
        return on(connection)


def on(connection: Connection) -> tuple[Brake, ...]:
    """Every brake that is on, as of this connection's view."""
    rows = connection.execute(select(brakes).order_by(brakes.c.campaign)).all()
    return tuple(Brake(campaign=row.campaign, since=row.since, why=row.why) for row in rows)


def braked(connection: Connection) -> Callable[[str], bool]:
    """Whether a campaign is paused, as of this connection's view."""
    names = frozenset(row.campaign for row in _BRAKES.rows(connection))
    everything = not names.isdisjoint(_ON_ALL)
    return lambda campaign: everything or campaign in names


_BRAKES = Prepared(lambda _: select(brakes.c.campaign))


def free_to_go() -> ColumnElement[bool]:
    """Messages of campaigns that are not paused."""
    return ~exists(select(brakes.c.campaign).where(brakes.c.campaign.in_([messages.c.campaign, *_ON_ALL])))
